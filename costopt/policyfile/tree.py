"""A policy as a tree of values that know their line, and the log of what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from costopt.errors import PolicyError, Problem

MAX_DEPTH = 16
FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
#: Those of them that are texts in YAML 1.2, which most editors read: in quotes or not is all the same there.
WORDS = ("yes", "on", "no", "off")


class Node(Struct, frozen=True):
    """A value and the line it starts on (its key's line in a mapping; 0 where there is no file).

    `text` is a scalar as written. `kind` says how YAML 1.1 would read it: `off` is a flag, `"off"` is text.
    """

    kind: Literal["null", "flag", "number", "text", "list", "map"]
    line: int = 0
    text: str = ""
    items: tuple[Node, ...] = ()
    entries: dict[str, Node] = {}

    def at(self, line: int) -> Node:
        return Node(self.kind, line, self.text, self.items, self.entries)

    @property
    def said(self) -> str:
        """What it is, for a message."""
        names = {"list": "a list", "map": "a mapping", "null": "empty"}
        return names.get(self.kind) or repr(self.text[:60])


class Log:
    """Collects what is wrong, so that one run names everything."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[Problem] = []

    def add(self, line: int, key: str, message: str, hint: str = "") -> None:
        self.found.append(Problem(self.file, line, key, message, hint))

    def stop(self, line: int, key: str, message: str, hint: str = "") -> PolicyError:
        self.add(line, key, message, hint)
        return self.error()

    def error(self) -> PolicyError:
        return PolicyError(sorted(self.found, key=lambda problem: problem.line))


def from_mapping(value: Any, depth: int = 0) -> Node:
    """Python values as the YAML that would say the same. Raises PolicyError where they nest too deeply."""
    if depth > MAX_DEPTH:
        raise PolicyError(f"<mapping>: nested more than {MAX_DEPTH} deep")
    inside: Any = value
    if isinstance(value, Mapping):
        return Node("map", entries={str(k): from_mapping(v, depth + 1) for k, v in inside.items()})
    if isinstance(value, (list, tuple)):
        return Node("list", items=tuple(from_mapping(item, depth + 1) for item in inside))
    if value is None or isinstance(value, bool):
        return Node("null") if value is None else Node("flag", text=str(value).lower())
    return Node("number" if isinstance(value, (int, float)) else "text", text=str(value))
