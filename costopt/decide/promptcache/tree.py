"""Prompts seen, as a tree of their pieces: what two prompts have in common is stored once.

A node stands for a run of pieces, so a conversation takes one node a turn. `until` never grows on the way
down, so a node that is forgotten takes everything below it along.
"""

from __future__ import annotations

from typing import TypeAlias

Digests: TypeAlias = tuple[bytes, ...]


class Node:
    """`edge` leads here from the parent. Times are nanoseconds: `since` until `until` all of the edge is known.

    `owner` kept it alive last. `tokens` and `size` (bytes) are how long the prompt is up to here (0: not known). An
    entry that was written at a breakpoint ends here where `entry_ttl` is not 0; it lives until `entry_until`.
    """

    __slots__ = ("children", "edge", "entry_ttl", "entry_until", "owner", "since", "size", "tokens", "until")

    def __init__(self, edge: Digests = ()) -> None:
        self.edge = edge
        self.children: dict[bytes, Node] = {}
        self.since = self.until = self.owner = self.tokens = self.size = 0
        self.entry_ttl = self.entry_until = 0

    def lives(self, at: int) -> bool:
        return self.since <= at < self.until

    def entry_lives(self, at: int) -> bool:
        return self.since <= at < self.entry_until


Step: TypeAlias = tuple[Node, int]


def walk(root: Node, digests: Digests) -> list[Step]:
    """The nodes along `digests` and the index up to which each agrees; only the last may agree in part."""
    steps: list[Step] = []
    node, at = root, 0
    while at < len(digests):
        child = node.children.get(digests[at])
        if child is None:
            break
        agreed = _common(child.edge, digests[at : at + len(child.edge)])
        at += agreed
        steps.append((child, at))
        if agreed < len(child.edge):
            break
        node = child
    return steps


def lay(node: Node, digests: Digests) -> list[Node]:
    """The nodes below `node` that `digests` lead through, the last ending exactly there; made where missing."""
    path: list[Node] = []
    at = 0
    while at < len(digests):
        child = node.children.get(digests[at])
        if child is None:
            child = node.children[digests[at]] = Node(digests[at:])
        agreed = _common(child.edge, digests[at : at + len(child.edge)])
        if agreed < len(child.edge):
            child = _split(node, child, agreed)
        path.append(child)
        node, at = child, at + agreed
    return path


def sweep(root: Node, at: int) -> int:
    """Forget what nobody can read any more; the number of nodes left."""
    left, todo = 0, [root]
    while todo:
        node = todo.pop()
        left += 1
        dead = [digest for digest, child in node.children.items() if child.until <= at]
        for digest in dead:
            del node.children[digest]
        todo += node.children.values()
    return left


def _common(edge: Digests, digests: Digests) -> int:
    if digests == edge:
        return len(edge)
    pairs = enumerate(zip(edge, digests, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(edge), len(digests)))


def _split(parent: Node, child: Node, at: int) -> Node:
    upper = Node(child.edge[:at])
    upper.since, upper.until, upper.owner = child.since, child.until, child.owner
    upper.children[child.edge[at]] = child
    parent.children[child.edge[0]] = upper
    child.edge = child.edge[at:]
    return upper
