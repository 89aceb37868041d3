"""YAML text as a tree of values that know their line.

Built from YAML *events*: plain data only, so no tag can construct anything, and with a depth limit, because
yaml's own composer overflows the C stack on deep nesting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from costopt.errors import PolicyError
from costopt.policyfile.tree import FLAGS, MAX_DEPTH, Log, Node

MAX_NODES = 20_000
#: YAML 1.1, section 4.1. Looked for here, because yaml's C reader gives its place in bytes of another encoding.
FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
ONE_DOCUMENT = "keep one policy per file"
#: What YAML 1.2 reads as a number, as editors do. Not all are taken for one here: 010 is 8 in YAML 1.1.
NUMBER = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
KNOWN_TAGS = {
    "!",
    *(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map")),
}


def from_yaml(text: str, log: Log) -> Node:
    """The one document in `text`. Raises PolicyError where it is not YAML; doubled keys are only logged."""
    import yaml

    if odd := FORBIDDEN.search(text):
        line = text.count("\n", 0, odd.start()) + 1
        raise log.stop(line, "", f"the character U+{ord(odd[0]):04X} may not stand in YAML", "remove it")
    try:
        return Builder(yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)), log).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise not_yaml(log, error.problem or "", text.split("\n"), mark.line if mark else 0) from None


def not_yaml(log: Log, problem: str, lines: list[str], number: int) -> PolicyError:
    """`number` counts from 0 and is one past the end where the text ends too early."""
    number = min(number, len(lines) - 1)
    margin = lines[number][: len(lines[number]) - len(lines[number].lstrip())]
    if "\t" in margin or "tab" in problem:
        return log.stop(number + 1, "", "a tab where YAML wants spaces", "indent with spaces")
    return log.stop(number + 1, "", f"not YAML: {problem}")


class Builder:
    """Turns the events of one document into nodes."""

    def __init__(self, events: Iterator[Any], log: Log) -> None:
        self.events = events
        self.log = log
        self.anchors: dict[str, Node] = {}
        self.nodes = 0

    def document(self) -> Node:
        root: Node | None = None
        for event in self.events:
            name = type(event).__name__
            if name == "DocumentStartEvent" and root:
                raise self.log.stop(line_of(event), "", "a second document begins here", ONE_DOCUMENT)
            if name not in ("StreamStartEvent", "StreamEndEvent", "DocumentStartEvent", "DocumentEndEvent"):
                root = self.node(event, "", 0)
        return root or Node("null", 1)

    def node(self, event: Any, key: str, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise self.log.stop(line_of(event), key[:60], f"nested more than {MAX_DEPTH} deep")
        if type(event).__name__ == "AliasEvent":
            return self.alias(event, key)
        if event.tag and event.tag not in KNOWN_TAGS:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            raise self.log.stop(line_of(event), key, f"the tag {tag} is refused", "write plain values")
        node = self.bare(event, key, depth)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def alias(self, event: Any, key: str) -> Node:
        if event.anchor not in self.anchors:
            raise self.log.stop(
                line_of(event), key, f"*{event.anchor} refers to nothing above", f"define &{event.anchor}"
            )
        node = self.anchors[event.anchor]
        self.grow(weight(node), event, key)
        return node.at(line_of(event))

    def bare(self, event: Any, key: str, depth: int) -> Node:
        self.grow(1, event, key)
        name = type(event).__name__
        if name == "ScalarEvent":
            return scalar(event)
        if name == "SequenceStartEvent":
            return Node("list", line_of(event), items=tuple(self.items(key, depth)))
        return Node("map", line_of(event), entries=self.entries(key, depth))

    def items(self, key: str, depth: int) -> Iterator[Node]:
        for number, event in enumerate(self.until("SequenceEndEvent")):
            yield self.node(event, f"{key}[{number}]", depth + 1)

    def entries(self, key: str, depth: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for event in self.until("MappingEndEvent"):
            name = self.key(event, key)
            dotted = f"{key}.{name}" if key else name
            value = self.node(next(self.events), dotted, depth + 1)
            if name == "<<" and event.implicit[0]:
                merged = {**self.merge(value, dotted), **merged}
            elif name in found:
                self.log.add(
                    line_of(event), dotted, f"is written twice (first on line {found[name].line})", "keep one"
                )
            else:
                found[name] = value.at(line_of(event))
        return {**merged, **found}

    def key(self, event: Any, parent: str) -> str:
        if type(event).__name__ != "ScalarEvent":
            raise self.log.stop(line_of(event), parent, "a key must be a word")
        return str(event.value)

    def merge(self, value: Node, key: str) -> dict[str, Node]:
        if value.kind != "map":
            raise self.log.stop(value.line, key, "can only merge one mapping", "write <<: *name")
        return {name: node.at(value.line) for name, node in value.entries.items()}

    def until(self, end: str) -> Iterator[Any]:
        for event in self.events:
            if type(event).__name__ == end:
                return
            yield event

    def grow(self, by: int, event: Any, key: str) -> None:
        self.nodes += by
        if self.nodes > MAX_NODES:
            raise self.log.stop(
                line_of(event), key[:60], f"more than {MAX_NODES} values", "repeat fewer anchors"
            )


def scalar(event: Any) -> Node:
    line, text = line_of(event), str(event.value)
    if not event.implicit[0]:
        return Node("text", line, text)
    if text in ("", "~", "null", "Null", "NULL"):
        return Node("null", line)
    if text.lower() in FLAGS:
        return Node("flag", line, text.lower())
    return Node("number" if NUMBER.fullmatch(text) else "text", line, text)


def weight(node: Node) -> int:
    return 1 + sum(map(weight, node.items)) + sum(map(weight, node.entries.values()))


def line_of(event: Any) -> int:
    return int(event.start_mark.line) + 1
