"""The state of all prompt caches of one account, in virtual time.

Two kinds of provider: *automatic* ones know every prefix of every prompt they saw; *marked* ones know the
prefixes that ended at a breakpoint. Lifetimes count from the start of the call that wrote or read, as
Anthropic's "Prompt caching" page says. Not simulated: misses by routing or early eviction.
"""

from __future__ import annotations

from collections.abc import Sequence

from costopt.decide.promptcache.ruler import Ruler
from costopt.decide.promptcache.rules import Rules
from costopt.decide.promptcache.tree import Digests, Node, Step, lay, sweep, walk
from costopt.decide.promptcache.words import Piece, Split

#: Sweep when this many nodes, or as many as were alive, have been added.
_SWEEP = 4096


class PromptCache:
    """Remembers prefixes for as long as their provider does; memory is bounded by what is alive.

    `last_owner` is who (the `owner` of an earlier `send`) last kept alive the prefix that the last `send` or
    `peek` read, None where it read nothing.
    """

    def __init__(self) -> None:
        self.last_owner: int | None = None
        self._roots: dict[tuple[str, str], Node] = {}
        self._added = 0
        self._alive = 0

    def send(
        self,
        rules: Rules | None,
        scope: str,
        pieces: Sequence[Piece],
        tokens: int,
        at: int,
        owner: int = 0,
        ready: int | None = None,
    ) -> Split:
        """What a prompt of `tokens` read and wrote when it was sent `at` (ns); it is remembered.

        `scope` separates caches: provider, model, tenant. From `ready` (ns, default `at`) on others can read what
        this call wrote: when its first token came.
        """
        if rules is None or tokens < rules.least or not pieces:
            return self._nothing(tokens)
        root = self._root(scope, rules)
        look = _Look(rules, root, pieces, tokens, at)
        self.last_owner = look.owner
        self._added += look.remember(root, owner, at if ready is None else ready)
        if self._added > max(_SWEEP, self._alive):
            self._sweep(at)
        return look.split

    def peek(
        self, rules: Rules | None, scope: str, pieces: Sequence[Piece], tokens: int, at: int
    ) -> tuple[Split, int | None]:
        """What `send` would answer, and whose prefix it would read; nothing is remembered."""
        root = self._roots.get((scope, rules.key)) if rules else None
        if rules is None or tokens < rules.least or not pieces:
            return self._nothing(tokens), None
        look = _Look(rules, root or Node(), pieces, tokens, at)
        self.last_owner = look.owner
        return look.split, look.owner

    def __len__(self) -> int:
        """Nodes kept, dead ones that were not swept yet included."""
        return self._alive + self._added

    def _nothing(self, tokens: int) -> Split:
        self.last_owner = None
        return Split(0, 0, 0, tokens)

    def _root(self, scope: str, rules: Rules) -> Node:
        root = self._roots.get((scope, rules.key))
        if root is None:
            root = self._roots[scope, rules.key] = Node()
            self._added += 1
        return root

    def _sweep(self, at: int) -> None:
        self._alive = 0
        for name, root in list(self._roots.items()):
            self._alive += sweep(root, at)
            if not root.children:
                del self._roots[name]
        self._added = 0


class _Look:
    """One prompt held against what is known."""

    __slots__ = (
        "_at",
        "_by_mark",
        "_digests",
        "_hit",
        "_marks",
        "_ruler",
        "_rules",
        "_tokens",
        "owner",
        "split",
    )

    def __init__(self, rules: Rules, root: Node, pieces: Sequence[Piece], tokens: int, at: int) -> None:
        self._rules, self._tokens, self._at = rules, tokens, at
        self._digests: Digests = tuple([piece.digest for piece in pieces])
        steps = walk(root, self._digests)
        self._ruler = Ruler(steps, pieces, tokens)
        self._hit: Step | None = None
        self._marks: list[tuple[int, int]] = []
        self._by_mark = rules.marked and not (rules.either and not any(piece.mark for piece in pieces))
        self.split = self._marked(steps, pieces) if self._by_mark else self._automatic(steps)
        self.owner = self._hit[0].owner if self._hit and self.split.read else None

    def _automatic(self, steps: list[Step]) -> Split:
        for step in steps:
            if not step[0].lives(self._at):
                break
            self._hit = step
        read = self._ruler.tokens(self._hit[1]) if self._hit else 0
        read = read - read % self._rules.step if read >= self._rules.least else 0
        return Split(read, 0, 0, self._tokens - read)

    def _marked(self, steps: list[Step], pieces: Sequence[Piece]) -> Split:
        rules, ruler = self._rules, self._ruler
        marks = rules.breakpoints(pieces)
        self._marks = [(end, ttl) for end, ttl in marks if ruler.tokens(end) >= rules.least]
        if not self._marks:
            return Split(0, 0, 0, self._tokens)
        self._hit = self._entry(steps, pieces)
        start = self._hit[1] if self._hit else 0
        read = ruler.tokens(start)
        long = max((end for end, ttl in self._marks if end > start and ttl > rules.ttl), default=start)
        upto_long, upto_last = ruler.tokens(long), ruler.tokens(self._marks[-1][0])
        return Split(read, upto_last - upto_long, upto_long - read, self._tokens - upto_last)

    def _entry(self, steps: list[Step], pieces: Sequence[Piece]) -> Step | None:
        """The longest entry that one of the breakpoints reaches, looking back from the last one first."""
        entries = [step for step in _whole(steps) if step[0].entry_lives(self._at)]
        for mark, _ in reversed(self._marks):
            nearest = next((step for step in reversed(entries) if step[1] <= mark), None)
            if nearest and self._rules.reaches(pieces, nearest[1], mark):
                return nearest
        return None

    def remember(self, root: Node, owner: int, ready: int) -> int:
        """Lay this prompt into the tree; at most how many nodes that added."""
        if self._by_mark:
            return self._remember_marks(root, owner, ready)
        path = lay(root, self._digests)
        until = self._at + self._rules.ttl
        for node in path:
            _touch(node, self._at, until, owner, ready)
        self._ruler.note(path[-1], len(self._digests))
        return 2

    def _remember_marks(self, root: Node, owner: int, ready: int) -> int:
        if not self._marks:
            return 0
        node, start, path = root, 0, list[Node]()
        longest = max(ttl for _, ttl in self._marks)
        for end, ttl in self._marks:
            nodes = lay(node, self._digests[start:end])
            path += nodes
            node, start = nodes[-1] if nodes else node, end
            self._write(node, end, ttl, owner, ready)
        if self._hit:
            entry = self._hit[0]
            entry.owner, entry.entry_until = owner, max(entry.entry_until, self._at + entry.entry_ttl)
            longest = max(longest, entry.entry_ttl)
        for node in path:
            node.until = max(node.until, self._at + longest)
        return 2 * len(self._marks)

    def _write(self, node: Node, end: int, ttl: int, owner: int, ready: int) -> None:
        if node.entry_until <= self._at:
            node.entry_ttl, node.since = ttl, ready
            self._ruler.note(node, end)
        node.since = min(node.since, ready)
        node.entry_until = max(node.entry_until, self._at + node.entry_ttl)
        node.owner = owner


def _whole(steps: list[Step]) -> list[Step]:
    """The nodes that agree in full: all but perhaps the last."""
    if not steps:
        return []
    node, end = steps[-1]
    start = steps[-2][1] if len(steps) > 1 else 0
    return steps if end - start == len(node.edge) else steps[:-1]


def _touch(node: Node, at: int, until: int, owner: int, ready: int) -> None:
    node.since = ready if node.until <= at else min(node.since, ready)
    node.until = max(node.until, until)
    node.owner = owner
