"""What a value in the file may be. Each `Kind` reads a node and describes itself as JSON schema.

A kind that cannot read logs why and returns `BAD`, so that the reading goes on and every problem is named.
`SKIP` means: valid, and says nothing (a lever that is off).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Protocol

from msgspec import Struct

from costopt.policyfile import patterns, units
from costopt.policyfile.tree import FLAGS, WORDS, Log, Node
from costopt.types import Json


class Mark(Enum):
    BAD = "bad"
    SKIP = "skip"


BAD, SKIP = Mark.BAD, Mark.SKIP


class Kind(Protocol):
    def read(self, node: Node, key: str, log: Log) -> Any: ...

    def schema(self) -> Json: ...


class Scalar(Struct, frozen=True):
    """Text read by one of the `units` readers; `pattern` is what that takes, as exactly as a pattern can say it.

    `plain_numbers` may stand without quotes and units, `zero` says so of 0 alone.
    """

    parse: Callable[[str], Any]
    pattern: str
    example: str
    plain_numbers: bool = False
    zero: bool = False
    at_least: int | None = None

    def read(self, node: Node, key: str, log: Log) -> Any:
        if node.kind not in ("number", "text"):
            return bad(log, node, key, f"{node.said} is not allowed here", f"write {self.example}")
        try:
            value = self.parse(node.text)
        except units.Wrong as wrong:
            return bad(log, node, key, str(wrong), wrong.hint)
        if self.at_least is not None and value < self.at_least:
            return bad(log, node, key, f"{node.text} is too small", f"write at least {self.at_least}")
        return value

    def schema(self) -> Json:
        text: Json = {"type": "string", "pattern": self.pattern, "examples": [self.example]}
        if self.at_least:
            text["not"] = {"pattern": ZERO}
        if self.plain_numbers:
            number: Json = {"type": "integer", "minimum": self.at_least or 0, "maximum": LARGEST_PLAIN}
            return {"anyOf": [number, text]}
        return {"anyOf": [{"const": 0}, {"const": "0"}, text]} if self.zero else text


#: A number of nothing, in any unit.
ZERO = r"^0(\.0+)?(?![0-9.])"
#: `units` reads numbers of up to 15 digits.
LARGEST_PLAIN = 10**15 - 1
DURATION = Scalar(units.duration, patterns.DURATION, "30s", zero=True)
SIZE = Scalar(units.size, patterns.SIZE, "256MB", zero=True)
COUNT = Scalar(units.count, patterns.COUNT, "32k", plain_numbers=True)
POSITIVE = Scalar(units.count, patterns.COUNT, "32k", plain_numbers=True, at_least=1)
RATE = Scalar(units.rate, patterns.RATE, "500/min")
MONEY = Scalar(units.money, patterns.MONEY, "$0.50")
SPEND = Scalar(units.spend, patterns.SPEND, "$5/day")


class Share(Struct, frozen=True):
    """A number from 0 to 1."""

    def read(self, node: Node, key: str, log: Log) -> Any:
        value = number(node)
        if value is not None and 0 <= value <= 1:
            return value
        return bad(log, node, key, f"{node.said} is not a share", "write a number from 0 to 1, such as 0.02")

    def schema(self) -> Json:
        return {"type": "number", "minimum": 0, "maximum": 1}


class Flag(Struct, frozen=True):
    """True or false, or one of `WORDS`."""

    def read(self, node: Node, key: str, log: Log) -> Any:
        value = flag(node)
        if value is not None:
            return value
        return bad(
            log, node, key, f"{node.said} is neither true nor false", "write true or false, without quotes"
        )

    def schema(self) -> Json:
        return {"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": patterns.words(WORDS)}]}


class Text(Struct, frozen=True):
    """A word or a line; `pattern` must match all of it, `what` and `example` say it to a person. None of `WORDS`."""

    what: str
    example: str
    pattern: str = r"\S(.*\S)?"

    def read(self, node: Node, key: str, log: Log) -> Any:
        if node.kind == "text" and flag(node) is None and re.fullmatch(self.pattern, node.text):
            return node.text
        return bad(log, node, key, f"{node.said} is not {self.what}", f"write {self.example}")

    def schema(self) -> Json:
        no_flag = {"pattern": patterns.words(WORDS)}
        return {"type": "string", "pattern": f"^{self.pattern}$", "not": no_flag, "examples": [self.example]}


class Choice(Struct, frozen=True):
    """One of `words`; those in `later` are planned and refused for now."""

    words: tuple[str, ...]
    later: tuple[str, ...] = ()

    def read(self, node: Node, key: str, log: Log) -> Any:
        if node.text in self.words and node.kind in ("text", "flag"):
            return node.text
        if node.text in self.later:
            return bad(log, node, key, f"{node.text} is not available yet", f"write {said(self.words)}")
        return bad(log, node, key, f"{node.said} is not known here", suggest(node.text, self.words))

    def schema(self) -> Json:
        return {"enum": list(self.words)}


class Off(Struct, frozen=True):
    """`inner`, or `off`, which reads as `value`."""

    inner: Kind
    value: Any = None

    def read(self, node: Node, key: str, log: Log) -> Any:
        if flag(node) is False:
            return self.value
        return self.inner.read(node, key, log)

    def schema(self) -> Json:
        return {"anyOf": [self.inner.schema(), *OFF]}


#: `off`, in the schema: `{"const": "off"}` is what editors offer.
OFF: tuple[Json, ...] = (
    {"const": False},
    {"const": "off"},
    {"type": "string", "pattern": patterns.words(word for word in WORDS if not FLAGS[word])},
)


class Unless(Struct, frozen=True):
    """`inner` without the values that its block refuses, which knows best what to write instead; `wrong` is their
    schema."""

    inner: Kind
    wrong: Json

    def read(self, node: Node, key: str, log: Log) -> Any:
        return self.inner.read(node, key, log)

    def schema(self) -> Json:
        schema = self.inner.schema()
        return {**schema, "not": {"anyOf": [schema["not"], self.wrong]} if "not" in schema else self.wrong}


class Later(Struct, frozen=True):
    """A planned setting: read, so that a mistake in it shows, then refused unless `idle` says it is off; `off` is the
    schema of what is."""

    inner: Kind
    idle: Callable[[Any], bool] = lambda value: not value
    off: tuple[Json, ...] = OFF

    def read(self, node: Node, key: str, log: Log) -> Any:
        value = self.inner.read(node, key, log)
        if value is BAD or value is SKIP or self.idle(value):
            return value if value is BAD else SKIP
        return bad(log, node, key, "is not available yet", "leave it out")

    def schema(self) -> Json:
        return {"anyOf": list(self.off), "description": "Not available yet."}


class ListOf(Struct, frozen=True):
    inner: Kind

    def read(self, node: Node, key: str, log: Log) -> Any:
        if node.kind != "list":
            return bad(log, node, key, f"{node.said} is not a list", "write one item a line, each after `- `")
        got = [self.inner.read(item, f"{key}[{number}]", log) for number, item in enumerate(node.items)]
        return BAD if BAD in got else tuple(got)

    def schema(self) -> Json:
        return {"type": "array", "items": self.inner.schema()}


class MapOf(Struct, frozen=True):
    """Names of the user's own, each with an `inner`."""

    inner: Kind

    def read(self, node: Node, key: str, log: Log) -> Any:
        if node.kind != "map":
            return bad(log, node, key, f"{node.said} is not a mapping", "write `name: value` lines")
        got = {name: self.inner.read(child, f"{key}.{name}", log) for name, child in node.entries.items()}
        return BAD if BAD in got.values() else got

    def schema(self) -> Json:
        return {"type": "object", "additionalProperties": self.inner.schema()}


def flag(node: Node) -> bool | None:
    """Whether a word says true or false; None for anything else."""
    word = node.text.lower()
    return FLAGS.get(word) if node.kind == "flag" or (node.kind == "text" and word in WORDS) else None


def number(node: Node) -> float | None:
    """None for anything else, and for spellings that only YAML 1.2 knows (0x1F)."""
    try:
        return float(node.text) if node.kind == "number" else None
    except ValueError:
        return None


def suggest(word: str, valid: Iterable[str]) -> str:
    """The nearest of `valid`, or all of them."""
    import difflib

    words = list(valid)
    near = difflib.get_close_matches(word, words, 3, 0.5)
    nearest = min(near, key=lambda each: slips(word, each), default="")
    return f"write {nearest}" if nearest else f"write {said(words)}"


def slips(word: str, other: str) -> int:
    """Letters to add, drop or change on the way from `word` to `other` (Levenshtein distance)."""
    row = list(range(len(other) + 1))
    for number, letter in enumerate(word, 1):
        before, row = row, [number]
        for at, wanted in enumerate(other):
            row.append(min(before[at] + (letter != wanted), before[at + 1] + 1, row[at] + 1))
    return row[-1]


def said(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def bad(log: Log, node: Node, key: str, message: str, hint: str = "") -> Mark:
    log.add(node.line, key, message, hint)
    return BAD
