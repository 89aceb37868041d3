"""Where a piece of a prompt ends, in tokens."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from costopt.decide.promptcache.tree import Step
from costopt.decide.promptcache.words import Piece


class Ruler:
    """Tokens up to a piece: known where an earlier prompt ended there, in between in proportion to the bytes.

    The prompt's own number of tokens is the truth; an earlier prompt's number that contradicts it is ignored.
    """

    def __init__(self, steps: list[Step], pieces: Sequence[Piece], tokens: int) -> None:
        self._bytes = [0, *accumulate([piece.size for piece in pieces])]
        self._ends, self._known = [0], [0]
        at = 0
        for node, end in steps:
            whole, at = end - at == len(node.edge), end
            if whole and self._known[-1] <= node.tokens <= tokens and node.tokens > 0 and end < len(pieces):
                self._ends.append(end)
                self._known.append(node.tokens)
        self._ends.append(len(pieces))
        self._known.append(tokens)

    def tokens(self, end: int) -> int:
        """Tokens of the first `end` pieces."""
        after = bisect_right(self._ends, end)
        if after == len(self._ends):
            return self._known[-1]
        low, high = self._ends[after - 1], self._ends[after]
        size = self._bytes[high] - self._bytes[low]
        if not size:
            return self._known[after - 1]
        share = (self._known[after] - self._known[after - 1]) * (self._bytes[end] - self._bytes[low])
        return self._known[after - 1] + share // size
