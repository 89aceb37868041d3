"""What must hold between the parts of a policy: each check sees the parts that could be read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from costopt.policy import Budget, Limit, Model, Price, Retry, Route
from costopt.policyfile.block import Values
from costopt.policyfile.kinds import slips, suggest
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
#: An unknown name at most this many letters away from a known one is a slip: two letters changed places, say. One
#: further away (gpt-4o-eu) may be the user's own, such as an Azure deployment's.
SLIPS = 2


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
    named = {model.name.partition("/")[0] for model in parts.models if "/" in model.name}
    providers = PROVIDERS | named
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
    """A model to choose or to replace is in the price map, or the file says what it costs: what is cheaper than one
    without a price is not known, and nothing would replace it. One to limit may have a name of the user's own, which
    is no slip in a known one."""
    for place, name in _named(parts):
        if has_price(name, parts.prices) or is_known(name, known):
            continue
        near = nearest(name, names, known)
        if place[0] == "limits" and not (near and slips(name, near) <= SLIPS):
            continue
        mend = f"prices: {{{name}: {{input: $0.50, output: $1.50}}}}"
        hint = f"write {near or 'a known model'}, or add its price: {mend}"
        if place[0] == "limits":
            hint += f", or write {name}* for a model of your own"
        parts.add(place, f"{name} has no price in the price map", hint)


def _named(parts: Parts) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Where a model is named, and how."""
    for number, model in enumerate(parts.models):
        yield ("models", number, "name"), model.name
    for number, name in enumerate(parts.route.downgrade if parts.route else ()):
        yield ("route", "downgrade", number), name
    for number, limit in enumerate(parts.limits):
        for at, name in enumerate(limit.models):
            if not is_pattern(name):
                yield ("limits", number, "models", at), name


def has_price(name: str, prices: Collection[str]) -> bool:
    """Whether the file prices this model, named with its provider or without."""
    whole = name in prices or name.partition("/")[2] in prices
    return whole or ("/" not in name and any(own.endswith(f"/{name}") for own in prices))


def is_known(name: str, known: Known) -> bool:
    """A price map may name a model with its provider or without."""
    return known(name) if callable(known) else name in known or name.partition("/")[2] in known


def is_pattern(name: str) -> bool:
    """Whether a limit's model stands for many."""
    return not {"*", "?", "["}.isdisjoint(name)


def matches(pattern: str, names: Collection[str], known: Known) -> bool:
    """Whether a limit's pattern is for a model of the price map, whose `names` may leave out the provider."""
    if "/" not in pattern:
        return any(fnmatchcase(name.rpartition("/")[2], pattern) for name in names)
    bare = (f"{provider}/{name}" for name in names if "/" not in name for provider in PROVIDERS)
    return any(fnmatchcase(name, pattern) for name in names) or any(
        fnmatchcase(name, pattern) and is_known(name, known) for name in bare
    )


def nearest(name: str, names: Collection[str], known: Known) -> str:
    """The most alike of the provider that the user wrote, or meant, else of all `names`; empty where none is."""
    import difflib

    provider, slash, bare = name.rpartition("/")
    for each in dict.fromkeys((provider, *difflib.get_close_matches(provider, PROVIDERS, 1, 0.7))):
        prefix = f"{each}{slash}"
        here = [other.removeprefix(prefix) for other in names if other.startswith(prefix) or "/" not in other]
        for match in difflib.get_close_matches(bare, here, 3, 0.8):
            if prefix + match in names or is_known(prefix + match, known):
                return prefix + match
    return next(iter(difflib.get_close_matches(name, names, 1, 0.8)), "")
