"""The simulated prompt cache beside one that is slow and plainly right."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from promptcache_material import ALL, CLAUDE, GPT_6, MINUTE, OPENAI, sent, tokens

from costopt.decide.promptcache import Piece, PromptCache, Rules, Split


class Naive:
    """The same documentation, written down without a tree: every prefix that can be read, by its digests."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.until: dict[tuple[bytes, ...], int] = {}
        self.life: dict[tuple[bytes, ...], int] = {}
        self.owner: dict[tuple[bytes, ...], int] = {}

    def send(self, pieces: list[Piece], at: int, owner: int) -> tuple[Split, int | None]:
        total = tokens(pieces)
        if not pieces or total < self.rules.least:
            return Split(0, 0, 0, total), None
        return (self.marked if self.rules.marked else self.automatic)(pieces, at, owner)

    def automatic(self, pieces: list[Piece], at: int, owner: int) -> tuple[Split, int | None]:
        prefixes = [tuple(piece.digest for piece in pieces[:end]) for end in range(1, len(pieces) + 1)]
        found = max((len(prefix) for prefix in prefixes if self.until.get(prefix, 0) > at), default=0)
        read = tokens(pieces[:found])
        read = read // self.rules.step * self.rules.step if read >= self.rules.least else 0
        whose = self.owner[prefixes[found - 1]] if read else None
        for prefix in prefixes:
            self.until[prefix], self.owner[prefix] = at + self.rules.ttl, owner
        return Split(read, 0, 0, tokens(pieces) - read), whose

    def marked(self, pieces: list[Piece], at: int, owner: int) -> tuple[Split, int | None]:
        rules, total = self.rules, tokens(pieces)
        ends = [end for end, piece in enumerate(pieces, 1) if piece.mark]
        lives = {
            end: rules.ttl_1h or rules.ttl if pieces[end - 1].mark == "1h" else rules.ttl for end in ends
        }
        ends = ends[-rules.marks :]
        if rules.implicit:
            newest = [end for end, piece in enumerate(pieces, 1) if piece.ends == "message"][-1:]
            ends = sorted([*[end for end in ends if end not in newest][-3:], *newest])
            lives |= dict.fromkeys(newest, rules.ttl)
        ends = [end for end in ends if tokens(pieces[:end]) >= rules.least]
        if not ends:
            return Split(0, 0, 0, total), None
        keys = {end: tuple(piece.digest for piece in pieces[:end]) for end in range(len(pieces) + 1)}
        hit = next((end for mark in reversed(ends) if (end := self.back(pieces, keys, mark, at))), 0)
        whose = self.owner[keys[hit]] if hit else None
        hour = max((end for end in ends if end > hit and lives[end] > rules.ttl), default=hit)
        read, long, last = (tokens(pieces[:end]) for end in (hit, hour, ends[-1]))
        for end in {*ends, hit} - {0}:
            if self.until.get(keys[end], 0) <= at:
                self.life[keys[end]] = lives[end]
            self.until[keys[end]] = max(self.until.get(keys[end], 0), at + self.life[keys[end]])
            self.owner[keys[end]] = owner
        return Split(read, last - long, long - read, total - last), whose if read else None

    def back(self, pieces: list[Piece], keys: dict[int, tuple[bytes, ...]], mark: int, at: int) -> int:
        passed = 0
        for end in range(mark, 0, -1):
            if self.until.get(keys[end], 0) > at:
                return end
            piece = pieces[end - 1]
            ends = piece.ends == "message" if self.rules.by_message else piece.ends and piece.size
            passed += bool(ends or (piece.mark and (piece.size or self.rules.by_message)))
            if passed >= self.rules.reach:
                return 0
        return 0


SIZES = {b"A": 4000, b"B": 4096, b"C": 200, b"D": 12_000}
fixed_pieces = st.lists(
    st.builds(
        lambda digest, mark, ends: Piece(digest, SIZES[digest], mark, ends),
        st.sampled_from(sorted(SIZES)),
        st.sampled_from(["", "", "5m", "1h"]),
        st.sampled_from(["", "block", "message"]),
    ),
    max_size=9,
)


@given(
    st.lists(st.tuples(fixed_pieces, st.integers(0, 40 * MINUTE)), max_size=12),
    st.sampled_from([OPENAI, CLAUDE, GPT_6, Rules(marked=True, ttl_1h=60 * MINUTE, reach=2), Rules(least=1)]),
)
def test_it_says_what_the_documentation_says_word_by_word(
    history: list[tuple[list[Piece], int]], rules: Rules
) -> None:
    cache, naive, at = PromptCache(), Naive(rules), 0
    for owner, (pieces, wait) in enumerate(history):
        at += wait
        split = sent(cache, rules, pieces, at, owner)
        assert (split, cache.last_owner) == naive.send(pieces, at, owner)


@given(st.lists(st.tuples(fixed_pieces, st.integers(0, 40 * MINUTE)), max_size=12), st.sampled_from(ALL))
def test_what_is_swept_in_time_was_of_no_use(history: list[tuple[list[Piece], int]], rules: Rules) -> None:
    swept, lazy, at = PromptCache(), PromptCache(), 0
    for owner, (pieces, wait) in enumerate(history):
        at += wait
        swept._sweep(at)  # pyright: ignore[reportPrivateUsage]
        assert sent(swept, rules, pieces, at, owner) == sent(lazy, rules, pieces, at, owner)
