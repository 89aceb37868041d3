"""Which lines of a Claude Code session are one call, and what was said before it.

One call is one message id with one request id: streamed lines and resumed, forked and copied sessions repeat both,
whatever session they say they are (ccusage #994, #1175; CodexBar #646). A gateway may leave the request id out, and
answer every call with one message id (ccusage #985, #1635); then only the chain tells calls apart: lines are one call
as long as nobody asked anything between them, or only tools answered and the prompt was no longer than before. Such a
call is known by the `uuid` of its first line, which copies keep.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from costopt.importing.formats.claude_code.lines import Node, size
from costopt.types import Json
from costopt.wire.loose import record, text

_LISTS_KEPT = 64


class Call:
    """The lines of one call, in the order of the file."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.nodes: list[Node] = []
        self._message: Json = {}

    @property
    def message(self) -> Json:
        """The whole answer as one assistant message, the same object each time. Only asked once all lines are
        there."""
        if not self._message:
            self._message = {"role": "assistant", "content": merged(self.blocks())}
        return self._message

    def blocks(self) -> Iterator[Any]:
        for node in self.nodes:
            yield from node.blocks

    @property
    def first(self) -> int:
        return min((node.at for node in self.nodes if node.at), default=0)

    @property
    def last(self) -> int:
        return max((node.at for node in self.nodes), default=0)

    @property
    def best(self) -> Node:
        return size(self.nodes)


def merged(blocks: Iterator[Any]) -> list[Any]:
    """Each block once, in order. Some versions log what an answer held so far again with each line: a text that
    has grown takes the place of its beginning (codeburn PR #201)."""
    kept: list[Any] = []
    for block in blocks:
        known = next((i for i, before in enumerate(kept) if _same(before, block)), None)
        if known is None:
            kept.append(block)
        else:
            kept[known] = block
    return kept


def _same(before: Any, block: Any) -> bool:
    if before == block:
        return True
    old, new = record(before), record(block)
    if old.get("type") != new.get("type"):
        return False
    if text(old.get("id")):
        return text(old["id"]) == text(new.get("id"))
    kind = text(old.get("type"))
    grown = text(old.get(kind)) if kind in ("text", "thinking") else ""
    return bool(grown) and text(new.get(kind)).startswith(grown)


class Session:
    """One file: its lines by uuid, its calls in order, and the conversation before each."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.calls: dict[str, Call] = {}
        self.own = False
        self._nodes: dict[str, Node] = {}
        self._call: dict[int, Call] = {}
        self._results: dict[str, list[Node]] = {}
        self._previous: Node | None = None
        self._asked: dict[str, list[Json]] = {}

    def add(self, node: Node) -> None:
        """Takes the next line of the file. A line that is there already (a copy) is passed over."""
        if node.uuid and node.uuid in self._nodes:
            return
        if not node.uuid:
            # a name that a copy of the file gives it too
            node.uuid = f"{node.tags.get('session') or self.path}:{node.at}:{node.number}"
            node.parent = node.parent or (self._previous.uuid if self._previous else "")
        self._nodes[node.uuid] = self._previous = node
        if node.kind == "answered":
            self._join(node)
        elif node.answers:
            self._results.setdefault(node.parent, []).append(node)

    def is_cut(self, call: Call) -> bool:
        """Whether the file may hold only a part of this call: it begins or ends in the middle of it."""
        head = call.nodes[0]
        torn = bool(head.parent) and head.parent not in self._nodes and head is self._first()
        open_end = call.nodes[-1] is self._previous and not any(
            n.message.get("stop_reason") for n in call.nodes
        )
        return torn or open_end

    def asked(self, call: Call) -> tuple[list[Json], int]:
        """The messages before this call, and when the last of them came (0: unknown). Lists share the messages,
        and the list of the call before is only extended, so a session of n calls takes n lists of references."""
        before, tail = self._before(call)
        messages = [*self._messages(before), *(_plain(node) for node in tail)]
        self._keep(call, messages)
        return messages, max((node.at for node in tail), default=0)

    def _join(self, node: Node) -> None:
        key = f"{node.id}:{node.request}" if node.id and node.request else self._chained(node)
        call = self.calls.setdefault(key, Call(key))
        call.nodes.append(node)
        self._call[id(node)] = call

    def _chained(self, node: Node) -> str:
        """The key of the call before, if this line goes on with it, else a new one."""
        asked = False
        for ancestor in self._up(node):
            if ancestor.kind == "answered":
                same = ancestor.id == node.id and not ancestor.request and _continues(ancestor, node, asked)
                return self._call[id(ancestor)].key if same else f"{node.id}:{node.uuid}"
            if ancestor.kind == "asked":
                if not ancestor.answers:
                    break
                asked = True
        return f"{node.id}:{node.uuid}"

    def _up(self, node: Node) -> Iterator[Node]:
        """The lines above, nearest first. Damaged logs have circles."""
        met = {node.uuid}
        while (above := self._nodes.get(node.parent)) and above.uuid not in met:
            met.add(above.uuid)
            yield above
            node = above

    def _first(self) -> Node | None:
        return next((node for node in self._nodes.values() if node.kind != "link"), None)

    def _before(self, call: Call) -> tuple[Call | None, list[Node]]:
        """The call before this one and what was asked since. The results of parallel tools hang on the lines that
        called them, beside the chain (claude-code #37779)."""
        head, tail, before = call.nodes[0], dict[str, Node](), None
        for node in self._up(head):
            owner = self._call.get(id(node))
            if owner and owner is not call:
                before = owner
                break
            if node.kind == "asked":
                tail[node.uuid] = node
        if before:
            answered = set[str]().union(*(node.answers for node in tail.values()))
            for node in self._beside(before, head):
                if not node.answers <= answered:
                    tail.setdefault(node.uuid, node)
        return before, sorted(tail.values(), key=lambda node: node.number)

    def _beside(self, call: Call, head: Node) -> Iterator[Node]:
        for line in call.nodes:
            yield from (node for node in self._results.get(line.uuid, ()) if node.number < head.number)

    def _messages(self, call: Call | None) -> list[Json]:
        """Everything up to and with the answer of `call`."""
        waiting: list[tuple[Call, list[Node]]] = []
        met: set[str] = set()
        while call and call.key not in self._asked and call.key not in met:
            met.add(call.key)
            above, tail = self._before(call)
            waiting.append((call, tail))
            call = above
        messages = [*self._asked[call.key], call.message] if call and call.key in self._asked else []
        for each, tail in reversed(waiting):
            messages = [*messages, *(_plain(node) for node in tail)]
            self._keep(each, messages)
            messages = [*messages, each.message]
        return messages

    def _keep(self, call: Call, messages: list[Json]) -> None:
        self._asked[call.key] = messages
        if len(self._asked) > _LISTS_KEPT:
            del self._asked[next(iter(self._asked))]


def _continues(before: Node, node: Node, asked: bool) -> bool:
    """Whether a line of an answer goes on with the answer of the line before it."""
    same = before.prompt == node.prompt
    if asked:
        return same and any(node.prompt)
    return same or bool(node.id) or not any(before.prompt) or not any(node.prompt)


def _plain(node: Node) -> Json:
    """A message with its role and content. Made once, so that later lists hold the same object."""
    if node.message.keys() != {"role", "content"}:
        node.message = {
            "role": text(node.message.get("role")) or "user",
            "content": node.message.get("content"),
        }
    return node.message
