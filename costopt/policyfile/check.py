"""What must hold between the parts of a policy: each check sees the parts that could be read."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeAlias

from costopt.policy import Budget, Limit, Model, Price, Retry, Route
from costopt.policyfile.block import Values
from costopt.policyfile.kinds import suggest
from costopt.policyfile.tree import Log, Node

#: The providers a client's base URL is known for; see `edge.intake`.
_KNOWN = (
    "anthropic",
    "azure",
    "deepseek",
    "fireworks_ai",
    "gemini",
    "groq",
    "mistral",
    "openai",
    "openrouter",
)
PROVIDERS = frozenset((*_KNOWN, "together_ai", "xai"))
#: Tells whether a model has a price: a test, or the names themselves.
Known: TypeAlias = Callable[[str], bool] | Collection[str]


class Parts:
    """The file's tree, and the values of those of its parts that are fine."""

    def __init__(self, root: Node, values: Values, log: Log) -> None:
        self.root = root
        self.values = values
        self.log = log
        self.models: tuple[Model, ...] = values.get("models", ())
        self.route: Route | None = values.get("route")
        self.limits: tuple[Limit, ...] = values.get("limits", ())
        self.budgets: tuple[Budget, ...] = values.get("budgets", ())
        self.retry: Retry = values.get("retry", Retry())
        self.prices: dict[str, Price] = values.get("prices", {})

    def readable(self, *parts: str) -> bool:
        """Whether none of these is there and wrong."""
        return all(part in self.values or part not in self.root.entries for part in parts)

    def add(self, path: tuple[str | int, ...], message: str, hint: str = "") -> None:
        node, key = self.root, ""
        for step in path:
            node = node.items[step] if isinstance(step, int) else node.entries.get(step, node)
            key += f"[{step}]" if isinstance(step, int) else f".{step}" if key else step
        self.log.add(node.line, key, message, hint)


def check(parts: Parts, known: Known | None, names: Collection[str]) -> None:
    _twice(parts)
    if parts.readable("limits", "models"):
        _limits(parts)
    if parts.readable("models"):
        _ladder(parts)
        _tasks(parts)
    if parts.retry.cap < parts.retry.base:
        parts.add(
            ("retry", "cap"), "the longest wait is shorter than the first", "write cap larger than base"
        )
    if known is not None and parts.readable("prices"):
        _known(parts, known, names if callable(known) else known)


def _twice(parts: Parts) -> None:
    _repeated(parts, "models", "name", [model.name for model in parts.models])
    _repeated(parts, "limits", "group", [(one.group, one.window, one.models) for one in parts.limits])
    _repeated(parts, "budgets", "limit", [(one.per, one.window) for one in parts.budgets])


def _repeated(parts: Parts, block: str, key: str, names: list[Any]) -> None:
    for number, name in enumerate(names):
        first = names.index(name)
        if first < number:
            parts.add((block, number, key), f"says the same as {block}[{first}]", "keep one of the two")


def _limits(parts: Parts) -> None:
    """A limit without `models:` is for a provider; a name that is none would limit nothing."""
    providers = PROVIDERS | {model.name.partition("/")[0] for model in parts.models}
    for number, limit in enumerate(parts.limits):
        if not limit.models and limit.group not in providers:
            hint = f"write a provider ({', '.join(sorted(providers))}), or say which models: the group holds"
            parts.add(("limits", number, "group"), f"no provider is called {limit.group}", hint)


def _ladder(parts: Parts) -> None:
    """A lever that changes the model needs models to choose from."""
    if parts.route and not parts.models:
        parts.add(("route",), "has no models to choose from", "add models: to the file, or remove route:")
    elif parts.route and parts.route.cascade.check != "none" and len(parts.models) < 2:
        parts.add(
            ("route", "cascade"), "has no second model to ask", "add a stronger model, or remove cascade:"
        )
    for number, budget in enumerate(parts.budgets):
        if budget.on_exceed == "downgrade" and not parts.models:
            parts.add(
                ("budgets", number, "on_exceed"),
                "has no models to go down to",
                "add models:, or write reject",
            )


def _tasks(parts: Parts) -> None:
    words = {word: None for model in parts.models for word in (model.name, model.tier) if word}
    for task, target in (parts.route.task if parts.route and words else {}).items():
        if target not in words:
            place = ("route", "task", task)
            parts.add(place, f"{target!r} is no model or tier of this file", suggest(target, words))


def _known(parts: Parts, known: Known, names: Collection[str]) -> None:
    for number, model in enumerate(parts.models):
        if model.name in parts.prices or is_known(model.name, known):
            continue
        near = nearest(model.name, names)
        mend = f"prices: {{{model.name}: {{input: $0.50, output: $1.50}}}}"
        hint = f"write {near or 'a known model'}, or add its price: {mend}"
        parts.add(("models", number, "name"), f"{model.name} has no price in the price map", hint)


def is_known(name: str, known: Known) -> bool:
    """A price map may name a model with its provider or without."""
    return known(name) if callable(known) else name in known or name.partition("/")[2] in known


def nearest(name: str, names: Collection[str]) -> str:
    """The most alike of `names`, with the provider the user wrote; empty where none is."""
    import difflib

    provider, _, bare = name.rpartition("/")
    whole = difflib.get_close_matches(name, names, 1, 0.8)
    bares = [f"{provider}/{match}" for match in difflib.get_close_matches(bare, names, 1, 0.8) if provider]
    return next(iter(whole + bares), "")
