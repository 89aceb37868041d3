"""Which model answers: the cheapest of the policy's ladder that can, a stronger one where the rules say so.

A model's place on the ladder is its strength; its price comes from the price book, for a call of this size.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from costopt.decide.prices import PriceBook
from costopt.errors import NoModel
from costopt.policy import Model, Policy, Route
from costopt.types import Api, Nano, Need, Tags, Usage

#: The tag that names a call's task, for the policy's `task` rules.
TASK_TAG = "task"
#: Models are compared on a call with a quarter as many output as prompt tokens, but this many at least.
LEAST_OUTPUT = 256
#: What a row of the price map must be for to serve an API; "" is a row that does not say. Models for the Responses API
#: alone answer no other, and models for chat answer it too.
MODES: dict[Api, frozenset[str]] = {
    "chat": frozenset({"", "chat"}),
    "messages": frozenset({"", "chat"}),
    "responses": frozenset({"", "chat", "responses"}),
}
#: APIs whose requests can be put to another provider than the client's, see `world.upstream`.
TRAVELLING: frozenset[Api] = frozenset({"chat"})


class Choice(Struct, frozen=True):
    """Models to try in order, named as in the policy, and why in plain words."""

    models: tuple[str, ...]
    why: str


class Asked(Struct, frozen=True):
    """What a choice goes by: the model a request names, at its client's `provider` (that of the price map), the API
    and what it needs. `prompt` is in tokens."""

    model: str
    provider: str
    api: Api
    needs: frozenset[Need]
    prompt: int
    tags: Tags = {}


def ladder(policy: Policy, asked: Asked, book: PriceBook) -> Choice:
    """The models for one request: the first is the choice, the rest is where it may escalate to.

    It asks for the alias, or for a model of `downgrade`: that one goes to cheaper models only and is itself the
    last. A model the price map does not know counts as able and of unknown price. Raises NoModel where no
    model can serve the request.
    """
    call = _Call(asked, book)
    rules = policy.route or Route()
    able = call.able(policy.models)
    if asked.model != rules.alias:
        able = [*call.cheaper(able, asked.model), Model(asked.model)]
    if not able:
        raise NoModel(call.nobody(policy.models))
    return _choice(able, rules, call)


def cheaper(policy: Policy, asked: Asked, than: str, book: PriceBook) -> tuple[str, ...]:
    """Models of the policy that can serve the request for less than the model `than`, strongest first."""
    call = _Call(asked, book)
    return _names(call.cheaper(call.able(policy.models), than)[::-1])


def strongest(policy: Policy, asked: Asked, book: PriceBook) -> str:
    """The last model of the policy that can serve the request; "" where none can."""
    able = _Call(asked, book).able(policy.models)
    return able[-1].name if able else ""


def placed(model: str, home: str) -> tuple[str, str]:
    """Provider and name of a model as a policy names it; without a provider it is one of `home`, the client's."""
    provider, slash, name = model.partition("/")
    return (provider, name) if slash else (home, model)


def other_use(model: str, book: PriceBook) -> str:
    """What a model of the policy is for, where no conversation can be routed to it ("embedding"); "" for all others."""
    row = book.find(model)
    return "" if row is None or row.mode in MODES["responses"] else row.mode.replace("_", " ")


def _choice(able: Sequence[Model], rules: Route, call: _Call) -> Choice:
    if rules.strategy == "strongest":
        return Choice((able[-1].name,), "the strongest that can")
    task = rules.task.get(call.asked.tags.get(TASK_TAG, ""), "") if rules.strategy == "rules" else ""
    for at, model in enumerate(able):
        if task and task in (model.name, model.tier):
            return Choice(_names(able[at:]), f"task {call.asked.tags[TASK_TAG]} goes to {task}")
    rungs = call.undominated(able)
    reasons = call.reasons(rules) if rules.strategy == "rules" else []
    start = min(len(reasons), len(rungs) - 1)
    why = f"{', '.join(reasons)}: {start} up" if start else "the cheapest that can"
    return Choice(_names(rungs[start:]), why)


def _names(models: Sequence[Model]) -> tuple[str, ...]:
    return tuple(model.name for model in models)


class _Call(Struct, frozen=True):
    """A request and the prices it is weighed with."""

    asked: Asked
    book: PriceBook

    def provider(self, model: str) -> str:
        """Where `model` is asked, "" where its name says so. One without a provider, and the one asked for, is at the
        client's."""
        return self.asked.provider if model == self.asked.model or "/" not in model else ""

    def near(self, model: str) -> bool:
        """Whether `model` is at the client's own provider."""
        home = self.asked.provider
        return model == self.asked.model or placed(model, home)[0] == home

    def able(self, models: Sequence[Model]) -> list[Model]:
        return [model for model in models if not self.lacks(model.name)]

    def lacks(self, model: str) -> str:
        """Why a model cannot serve the request, or "" where nothing speaks against it."""
        if self.asked.api not in TRAVELLING and not self.near(model):
            return f"{model} is at another provider than the client's, and only Chat Completions can be sent there"
        row = self.book.find(model, self.provider(model))
        if row is None:
            return ""
        if row.mode not in MODES[self.asked.api]:
            return f"{model} is for {row.mode.replace('_', ' ')}"
        if row.max_input is not None and row.max_input < self.asked.prompt:
            return f"{model} takes {row.max_input} tokens"
        missing = sorted(self.asked.needs - row.needs)
        return f"{model} has no {', '.join(missing)}" if missing else ""

    def nobody(self, models: Sequence[Model]) -> str:
        if not models:
            return "the policy names no models to route to: list them under `models:`"
        reasons = "; ".join(self.lacks(model.name) for model in models)
        asked = f"this {self.asked.api} request of {self.asked.prompt} prompt tokens"
        return f"no model of the policy can serve {asked}: {reasons}"

    def reasons(self, rules: Route) -> list[str]:
        """Each one moves the choice up one rung. Tools alone are none: agents always send them."""
        found: list[str] = []
        if self.asked.prompt > rules.long_prompt:
            found.append(f"{self.asked.prompt} prompt tokens")
        if "reasoning" in self.asked.needs:
            found.append("reasoning asked for")
        return found

    def cost(self, model: str) -> Nano | None:
        prompt = self.asked.prompt
        usage = Usage(input=prompt, output=max(prompt // 4, LEAST_OUTPUT))
        return self.book.cost(model, usage, self.provider(model))

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

    def cheaper(self, models: Sequence[Model], than: str) -> list[Model]:
        """Models that cost less than the model `than`; none where its price is unknown."""
        limit = self.cost(than)
        if limit is None:
            return []
        costs = ((model, self.cost(model.name)) for model in models)
        return [model for model, cost in costs if cost is not None and cost < limit]
