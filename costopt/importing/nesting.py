"""One call that several spans of a trace tell of is counted once.

An SDK's span stands inside the span of the framework that called the SDK, and both have the same usage. So a span that
is a model call and has another one below it is not counted, the innermost is; unless a tool or an agent stands between
them, which made a call of its own. What only the outer one has (often the tokens of a stream) is taken from there. Two
spans side by side with the same answer id, tokens and overlapping times are one call.

Spans come in any order, children mostly first. Whole traces are held, in all at most `most` spans and `weight` bytes of
requests; beyond that the oldest trace is let go, and of it only the ids that later spans may refer to are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from costopt.importing import counts
from costopt.importing.words import Found, Imported

MOST, WEIGHT = 20_000, 32 * 1024**2


class Node(Struct, frozen=True):
    """A span, and where it stands. `call` is there where it tells of a model call; `wall` marks tools and agents;
    `answer` is the id that the provider gave its answer, `weight` about how many bytes the call takes."""

    trace: str
    id: str
    parent: str
    call: Imported | None = None
    wall: bool = False
    answer: str = ""
    weight: int = 0
    path: str = ""
    line: int = 0


class Nest:
    def __init__(self, most: int = MOST, weight: int = WEIGHT) -> None:
        self._most, self._held = most, 0
        self._heaviest, self._weight = weight, 0
        self._traces: dict[str, dict[str, Node]] = {}
        self._above: set[int] = set()
        self._counted: set[int] = set()

    def add(self, node: Node) -> Iterator[Found]:
        """The calls that are certain by now; Unusable those with nothing in them that could be counted."""
        if self._is_known(node):
            return
        spans = self._traces.setdefault(node.trace, {})
        if known := spans.get(node.id):
            self._count(known, -1)
        spans[node.id] = node
        self._count(node, 1)
        while self._held > self._most or self._weight > self._heaviest:
            yield from self._let_go(next(iter(self._traces)))

    def rest(self) -> Iterator[Found]:
        for trace in list(self._traces):
            yield from self._let_go(trace)

    def _count(self, node: Node, times: int) -> None:
        self._held += times
        self._weight += times * node.weight

    def _is_known(self, node: Node) -> bool:
        """Whether a trace that was let go has counted this call already."""
        key = hash((node.trace, node.id))
        if key in self._above and not node.wall:
            self._above.add(hash((node.trace, node.parent)))
            return True
        return node.call is not None and hash((node.trace, node.parent)) in self._counted

    def _let_go(self, trace: str) -> Iterator[Found]:
        spans = self._traces.pop(trace)
        for node in spans.values():
            self._count(node, -1)
        above = {node.id: list(_above(node, spans)) for node in spans.values() if node.call}
        found = _distinct(_innermost(spans, above))
        self._above.update(hash((trace, outer)) for outers in above.values() for outer in outers)
        self._counted.update(hash((trace, node.id)) for node in found)
        yield from map(_found, found)


def _found(node: Node) -> Found:
    assert node.call is not None
    return counts.checked(node.call, node.path, node.line)


def _above(node: Node, spans: dict[str, Node]) -> Iterator[str]:
    """Ids of the spans around `node`, up to the tool or agent that it is a part of."""
    seen = {node.id}
    while node.parent and node.parent not in seen:
        seen.add(node.parent)
        around = spans.get(node.parent)
        if around is not None and around.wall:
            return
        yield node.parent
        if around is None:
            return
        node = around


def _innermost(spans: dict[str, Node], above: dict[str, list[str]]) -> list[Node]:
    """The calls with no other inside, told of by what is around them where that holds no other call."""
    outer = {name for names in above.values() for name in names}
    inner = [name for name in above if name not in outer] or list(above)
    shared = Counter(around for name in inner for around in above[name])
    found: list[Node] = []
    for name in inner:
        node = spans[name]
        for around in above[name]:
            if around in above and shared[around] == 1:
                node = _completed(node, spans[around])
        found.append(node)
    return found


def _completed(node: Node, other: Node) -> Node:
    """`node` with what only `other` has of their call: tokens, request, answer."""
    call, more = node.call, other.call
    assert call is not None and more is not None
    if not call.usage and more.usage:
        call = replace(call, usage=more.usage, raw_usage=more.raw_usage)
    if call.api == more.api and call.partial and not more.partial:
        call = replace(call, body=more.body, partial=False)
    if call.api == more.api and call.answer is None and not call.error:
        call = replace(call, answer=more.answer)
    return replace(node, call=call)


def _distinct(nodes: list[Node]) -> list[Node]:
    """Those that tell of the same answer as one; the one that counted tokens or, of equals, began last stays."""
    kept: list[Node] = []
    by_answer: dict[str, list[int]] = {}
    for node in sorted(nodes, key=_worth, reverse=True):
        same = by_answer.setdefault(node.answer, []) if node.answer else []
        twin = next((at for at in same if _is_same(node, kept[at])), None)
        if twin is None:
            same.append(len(kept))
            kept.append(node)
        else:
            kept[twin] = _completed(kept[twin], node)
    return sorted(kept, key=_worth_at)


def _worth(node: Node) -> tuple[bool, int]:
    assert node.call is not None
    return node.call.usage is not None, node.call.at


def _worth_at(node: Node) -> tuple[int, str]:
    assert node.call is not None
    return node.call.at, node.id


def _is_same(one: Node, other: Node) -> bool:
    """Gateways give one id to all their answers: those are told apart by time and tokens."""
    a, b = one.call, other.call
    assert a is not None and b is not None
    if a.usage and b.usage and (a.usage.prompt, a.usage.output) != (b.usage.prompt, b.usage.output):
        return False
    return a.at <= (b.ended or b.at) and b.at <= (a.ended or a.at)
