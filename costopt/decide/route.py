"""Which model answers: the cheapest of the policy's ladder that can, a stronger one where the rules say so.

A model's place on the ladder is its strength; its price comes from the price book, for a call of this size.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from costopt.decide.accept import accept as accept
from costopt.decide.prices import PriceBook
from costopt.errors import NoModel
from costopt.policy import Model, Policy, Route
from costopt.types import Nano, Need, Tags, Usage

#: The tag that names a call's task, for the policy's `task` rules.
TASK_TAG = "task"
#: Models are compared on a call with a quarter as many output as prompt tokens, but this many at least.
LEAST_OUTPUT = 256


class Choice(Struct, frozen=True):
    """Models to try in order, named as in the policy, and why in plain words."""

    models: tuple[str, ...]
    why: str


def ladder(
    policy: Policy, needs: frozenset[Need], prompt_tokens: int, tags: Tags, asked: str, book: PriceBook
) -> Choice:
    """The models for one request: the first is the choice, the rest is where it may escalate to.

    `asked` is the alias, or a model of `downgrade`: that one goes to cheaper models only and is itself the
    last. A model the price map does not know counts as able and of unknown price. Raises NoModel where no
    model can serve the request.
    """
    call = _Call(needs, prompt_tokens, tags, book)
    rules = policy.route or Route()
    able = [model for model in policy.models if not call.lacks(model.name)]
    if asked != rules.alias:
        able = [*call.cheaper(able, asked), Model(asked)]
    if not able:
        raise NoModel(call.nobody(policy.models))
    return _choice(able, rules, call)


def cheaper(
    policy: Policy, needs: frozenset[Need], prompt_tokens: int, tags: Tags, asked: str, book: PriceBook
) -> tuple[str, ...]:
    """Models of the policy that can serve the request for less than `asked`, strongest first."""
    call = _Call(needs, prompt_tokens, tags, book)
    able = [model for model in policy.models if not call.lacks(model.name)]
    return _names(call.cheaper(able, asked)[::-1])


def _choice(able: Sequence[Model], rules: Route, call: _Call) -> Choice:
    if rules.strategy == "strongest":
        return Choice((able[-1].name,), "the strongest that can")
    task = rules.task.get(call.tags.get(TASK_TAG, ""), "") if rules.strategy == "rules" else ""
    for at, model in enumerate(able):
        if task and task in (model.name, model.tier):
            return Choice(_names(able[at:]), f"task {call.tags[TASK_TAG]} goes to {task}")
    rungs = call.undominated(able)
    reasons = call.reasons(rules) if rules.strategy == "rules" else []
    start = min(len(reasons), len(rungs) - 1)
    why = f"{', '.join(reasons)}: {start} up" if start else "the cheapest that can"
    return Choice(_names(rungs[start:]), why)


def _names(models: Sequence[Model]) -> tuple[str, ...]:
    return tuple(model.name for model in models)


class _Call(Struct, frozen=True):
    """What is known of the request."""

    needs: frozenset[Need]
    prompt: int
    tags: Tags
    book: PriceBook

    def lacks(self, model: str) -> str:
        """Why a model cannot serve the request, or "" where nothing speaks against it."""
        row = self.book.find(model)
        if row is None:
            return ""
        if row.max_input is not None and row.max_input < self.prompt:
            return f"{model} takes {row.max_input} tokens"
        missing = sorted(self.needs - row.needs)
        return f"{model} has no {', '.join(missing)}" if missing else ""

    def nobody(self, models: Sequence[Model]) -> str:
        if not models:
            return "the policy names no models to route to: list them under `models:`"
        reasons = "; ".join(self.lacks(model.name) for model in models)
        return f"no model of the policy can serve this request of {self.prompt} prompt tokens: {reasons}"

    def reasons(self, rules: Route) -> list[str]:
        """Each one moves the choice up one rung. Tools alone are none: agents always send them."""
        found: list[str] = []
        if self.prompt > rules.long_prompt:
            found.append(f"{self.prompt} prompt tokens")
        if "reasoning" in self.needs:
            found.append("reasoning asked for")
        return found

    def cost(self, model: str) -> Nano | None:
        return self.book.cost(model, Usage(input=self.prompt, output=max(self.prompt // 4, LEAST_OUTPUT)))

    def undominated(self, models: Sequence[Model]) -> list[Model]:
        """Without those that a stronger model undercuts."""
        kept: list[Model] = []
        least: Nano | None = None
        for model in reversed(models):
            cost = self.cost(model.name)
            if cost is None or least is None or cost <= least:
                kept.insert(0, model)
            if cost is not None:
                least = cost if least is None else min(least, cost)
        return kept

    def cheaper(self, models: Sequence[Model], asked: str) -> list[Model]:
        """Models that cost less than the one asked for; none where its price is unknown."""
        limit = self.cost(asked)
        if limit is None:
            return []
        costs = ((model, self.cost(model.name)) for model in models)
        return [model for model, cost in costs if cost is not None and cost < limit]
