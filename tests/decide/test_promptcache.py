"""The simulated prompt cache: what always holds, then the documentation's own examples."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costopt.decide.promptcache import Piece, PromptCache, Rules, Split, pieces_of
from costopt.demo.promptcache import PromptCache as TokenCache

MINUTE = 60 * 10**9
OPENAI = Rules(step=128)
CLAUDE = Rules(marked=True, ttl_1h=60 * MINUTE)
GPT_6 = Rules(ttl=30 * MINUTE, marked=True, implicit=True, reach=80, by_message=True)
EITHER = Rules(marked=True, either=True)
ALL = (OPENAI, CLAUDE, GPT_6, EITHER, Rules(least=64, step=64), Rules(least=1))


def text(*names: object, size: int = 4000, ends: str = "message") -> list[Piece]:
    """One piece per name, 1,000 tokens each where a token is 4 bytes; a name with `@5m` or `@1h` is marked."""
    found: list[Piece] = []
    for name in map(str, names):
        bare, _, mark = name.partition("@")
        found.append(Piece(bare.encode(), size, mark, ends))  # type: ignore[arg-type]
    return found


def tokens(pieces: Sequence[Piece]) -> int:
    return sum(piece.size for piece in pieces) // 4


def sent(cache: PromptCache, rules: Rules, pieces: Sequence[Piece], at: int, owner: int = 0) -> Split:
    return cache.send(rules, "m", pieces, tokens(pieces), at, owner)


letters = st.lists(st.sampled_from("ABCDE"), max_size=8)
marked_pieces = st.lists(
    st.builds(
        Piece,
        digest=st.sampled_from([b"A", b"B", b"C"]),
        size=st.sampled_from([0, 400, 4000, 40_000]),
        mark=st.sampled_from(["", "", "5m", "1h"]),
        ends=st.sampled_from(["", "block", "message"]),
    ),
    max_size=12,
)
calls = st.lists(
    st.tuples(
        marked_pieces, st.integers(0, 200_000), st.integers(0, 20 * MINUTE), st.sampled_from(["m", "n"])
    ),
    max_size=12,
)


@given(calls, st.sampled_from(ALL))
def test_a_split_adds_up_and_nothing_is_negative(
    history: list[tuple[list[Piece], int, int, str]], rules: Rules
) -> None:
    cache, at = PromptCache(), 0
    for owner, (pieces, size, wait, scope) in enumerate(history):
        at += wait
        split = cache.send(rules, scope, pieces, size, at, owner)
        assert split.read + split.write + split.write_1h + split.uncached == size
        assert min(split.read, split.write, split.write_1h, split.uncached) >= 0
        assert (cache.last_owner is None) == (split.read == 0)
        if cache.last_owner is not None:
            assert cache.last_owner < owner


@given(calls, st.sampled_from(ALL))
def test_a_peek_says_what_a_send_says_and_changes_nothing(
    history: list[tuple[list[Piece], int, int, str]], rules: Rules
) -> None:
    cache, twin, at = PromptCache(), PromptCache(), 0
    for owner, (pieces, size, wait, scope) in enumerate(history):
        at += wait
        seen = cache.peek(rules, scope, pieces, size, at)
        assert cache.peek(rules, scope, pieces, size, at) == seen
        split = cache.send(rules, scope, pieces, size, at, owner)
        assert seen == (split, cache.last_owner)
        assert twin.send(rules, scope, pieces, size, at, owner) == split


@given(st.integers(0, 300_000), st.integers(0, 5 * MINUTE - 1), marked_pieces.filter(len))
def test_the_same_prompt_again_reads_all_of_it_in_steps_of_128(
    size: int, wait: int, pieces: list[Piece]
) -> None:
    cache = PromptCache()
    assert cache.send(OPENAI, "m", pieces, size, 0).read == 0
    expected = size // 128 * 128 if size >= 1024 else 0
    assert cache.send(OPENAI, "m", pieces, size, wait).read == expected


@given(letters, letters, st.sampled_from(ALL))
def test_never_more_is_read_than_two_prompts_have_in_common(
    first: list[str], second: list[str], rules: Rules
) -> None:
    cache = PromptCache()
    one, two = text(*[f"{name}@5m" for name in first]), text(*[f"{name}@5m" for name in second])
    sent(cache, rules, one, 0)
    same = 0
    while same < min(len(first), len(second)) and first[same] == second[same]:
        same += 1
    assert sent(cache, rules, two, 1).read <= same * 1000


@given(calls, st.sampled_from(ALL))
def test_nothing_is_read_after_its_life(
    history: list[tuple[list[Piece], int, int, str]], rules: Rules
) -> None:
    cache, at = PromptCache(), 0
    for pieces, size, _, scope in history:
        assert cache.send(rules, scope, pieces, size, at).read == 0
        at += max(rules.ttl, rules.ttl_1h)


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


def test_the_same_text_in_another_scope_or_under_another_key_is_not_found() -> None:
    cache, prompt = PromptCache(), text("A", "B")
    sent(cache, OPENAI, prompt, 0)
    assert cache.peek(OPENAI, "n", prompt, 2000, 1) == (Split(0, 0, 0, 2000), None)
    assert cache.peek(Rules(step=128, key="k"), "m", prompt, 2000, 1) == (Split(0, 0, 0, 2000), None)
    assert cache.peek(OPENAI, "m", prompt, 2000, 1)[0].read == 1920


def test_no_rules_no_cache() -> None:
    cache = PromptCache()
    for _ in range(2):
        assert cache.send(None, "m", text("A", "B"), 2000, 0) == Split(0, 0, 0, 2000)
    assert cache.last_owner is None


def test_reading_keeps_a_prefix_alive_and_the_last_reader_owns_it() -> None:
    cache, prompt = PromptCache(), text("A", "B")
    for owner, at in enumerate((0, 4, 8)):
        sent(cache, OPENAI, prompt, at * MINUTE, owner)
        assert cache.last_owner == (owner - 1 if owner else None)
    assert sent(cache, OPENAI, prompt, 13 * MINUTE).read == 0


def test_a_shorter_prompt_keeps_only_its_own_prefix_alive() -> None:
    cache = PromptCache()
    sent(cache, OPENAI, text("A", "B", "C"), 0, owner=1)
    sent(cache, OPENAI, text("A", "B"), 4 * MINUTE, owner=2)
    split, owner = cache.peek(OPENAI, "m", text("A", "B", "C"), 3000, 6 * MINUTE)
    assert (split.read, owner) == (1920, 2)
    split, owner = cache.peek(OPENAI, "m", text("A", "B", "C"), 3000, 5 * MINUTE - 1)
    assert (split.read, owner) == (2944, 1)


def test_what_a_call_writes_can_be_read_once_its_answer_begins() -> None:
    for rules in (OPENAI, GPT_6):
        cache, prompt = PromptCache(), text("A", "B")
        cache.send(rules, "m", prompt, 2000, 0, ready=3 * 10**9)
        assert cache.peek(rules, "m", prompt, 2000, 10**9)[0].read == 0
        assert cache.peek(rules, "m", prompt, 2000, 3 * 10**9)[0].read > 0


@pytest.mark.parametrize(
    ("size", "read"), [(1023, 0), (1024, 1024), (1151, 1024), (1152, 1152), (2006, 1920), (12_077, 12_032)]
)
def test_openai_reads_from_1024_tokens_on_in_steps_of_128(size: int, read: int) -> None:
    cache, prompt = PromptCache(), text("A")
    cache.send(OPENAI, "m", prompt, size, 0)
    assert cache.send(OPENAI, "m", prompt, size, 1) == Split(read, 0, 0, size - read)


def test_newer_openai_models_write_up_to_the_newest_message_and_read_it_unrounded() -> None:
    cache = PromptCache()
    first = text("tools", "system", "user")
    assert sent(cache, GPT_6, first, 0) == Split(0, 3000, 0, 0)
    second = [*first, *text("answer", ends="block"), *text("result", size=4444)]
    assert sent(cache, GPT_6, second, 29 * MINUTE) == Split(3000, 2111, 0, 0)
    assert cache.peek(GPT_6, "m", second, 5111, 59 * MINUTE)[0] == Split(0, 5111, 0, 0)


def test_newer_openai_models_do_not_fall_back_to_a_prefix_without_breakpoint() -> None:
    cache = PromptCache()
    sent(cache, GPT_6, text("system", "one"), 0)
    assert sent(cache, GPT_6, text("system", "two"), 1) == Split(0, 2000, 0, 0)
    marked = PromptCache()
    sent(marked, GPT_6, text("tools", "system@5m", "one"), 0)
    assert sent(marked, GPT_6, text("tools", "system", "two"), 1) == Split(2000, 1000, 0, 0)


def test_explicit_mode_without_breakpoints_caches_nothing() -> None:
    explicit = Rules(ttl=30 * MINUTE, marked=True, reach=80, by_message=True)
    cache, prompt = PromptCache(), text("A", "B")
    for at in range(2):
        assert sent(cache, explicit, prompt, at) == Split(0, 0, 0, 2000)


def test_claude_caches_nothing_without_breakpoints_and_up_to_the_last_with() -> None:
    cache = PromptCache()
    assert sent(cache, CLAUDE, text("A", "B"), 0) == Split(0, 0, 0, 2000)
    assert sent(cache, CLAUDE, text("A", "B@5m", "C"), 1) == Split(0, 2000, 0, 1000)
    assert sent(cache, CLAUDE, text("A", "B@5m", "D"), 2) == Split(2000, 0, 0, 1000)


def test_claude_takes_no_prefix_below_the_minimum() -> None:
    cache, prompt = PromptCache(), text("A@5m", "B", size=4092)
    assert sent(cache, CLAUDE, prompt, 0) == Split(0, 0, 0, 2046)
    assert sent(cache, CLAUDE, prompt, 1) == Split(0, 0, 0, 2046)


def test_claude_example_of_a_growing_conversation() -> None:
    """ "Lookback in a growing conversation": 10 blocks, 15, then 35 with the breakpoint on the last."""
    blocks = [str(at) for at in range(35)]
    cache = PromptCache()
    assert sent(cache, CLAUDE, text(*blocks[:9], "9@5m"), 0) == Split(0, 10_000, 0, 0)
    assert sent(cache, CLAUDE, text(*blocks[:14], "14@5m"), 1) == Split(10_000, 5000, 0, 0)
    third = text(*blocks[:34], "34@5m")
    assert cache.peek(CLAUDE, "m", third, 35_000, 2)[0] == Split(0, 35_000, 0, 0)
    helped = text(*blocks[:14], "14@5m", *blocks[15:34], "34@5m")
    assert sent(cache, CLAUDE, helped, 2) == Split(15_000, 20_000, 0, 0)


@pytest.mark.parametrize(("added", "read"), [(19, 10_000), (20, 0)])
def test_claude_checks_twenty_positions(added: int, read: int) -> None:
    cache = PromptCache()
    sent(cache, CLAUDE, text(*range(9), "9@5m"), 0)
    grown = text(*range(9 + added), f"{9 + added}@5m")
    assert cache.peek(CLAUDE, "m", grown, tokens(grown), 1)[0].read == read


def test_claude_example_of_a_breakpoint_on_what_changes() -> None:
    cache = PromptCache()
    sent(cache, CLAUDE, text("1", "2", "3", "4", "5", "monday@5m"), 0)
    assert sent(cache, CLAUDE, text("1", "2", "3", "4", "5", "tuesday@5m"), 1) == Split(0, 6000, 0, 0)


def test_only_the_last_four_breakpoints_count() -> None:
    cache = PromptCache()
    sent(cache, CLAUDE, text("A@5m", "B@5m", "C@5m", "D@5m", "E@5m"), 0)
    short = text("A@5m", size=8000)
    assert cache.peek(CLAUDE, "m", short, 2000, 1)[0].read == 0
    assert cache.peek(CLAUDE, "m", text("A", "B@5m"), 2000, 1)[0].read == 2000


def test_hour_and_five_minute_breakpoints_are_billed_apart() -> None:
    cache = PromptCache()
    prompt = text("tools@1h", "system@1h", "question@5m", "rest")
    assert sent(cache, CLAUDE, prompt, 0) == Split(0, 1000, 2000, 1000)
    assert sent(cache, CLAUDE, prompt, 4 * MINUTE) == Split(3000, 0, 0, 1000)
    assert sent(cache, CLAUDE, prompt, 10 * MINUTE) == Split(2000, 1000, 0, 1000)
    assert sent(cache, CLAUDE, prompt, 69 * MINUTE) == Split(2000, 1000, 0, 1000)
    assert sent(cache, CLAUDE, prompt, 129 * MINUTE) == Split(0, 1000, 2000, 1000)


def test_a_provider_with_both_goes_by_breakpoints_where_there_are_some() -> None:
    cache = PromptCache()
    assert sent(cache, EITHER, text("A", "B"), 0) == Split(0, 0, 0, 2000)
    assert sent(cache, EITHER, text("A", "B"), 1) == Split(2000, 0, 0, 0)
    assert sent(cache, EITHER, text("C", "D@5m"), 2) == Split(0, 2000, 0, 0)


def test_memory_is_bounded_by_what_is_alive() -> None:
    cache = PromptCache()
    for at in range(20_000):
        sent(cache, OPENAI, text("system", at), at * MINUTE)
    assert len(cache) < 10_000


def test_token_lengths_of_earlier_prompts_are_used() -> None:
    """Bytes say 1,000 tokens for each piece, the provider said 3,000 for the first two."""
    cache = PromptCache()
    cache.send(OPENAI, "m", text("A", "B"), 3000, 0)
    assert cache.send(OPENAI, "m", text("A", "B", "C", "D"), 4000, 1).read == 2944
    parted = cache.peek(OPENAI, "m", text("A", "Z"), 2000, 2)[0]
    assert parted.read == 1408  # half of the 3,000, in steps


WORDS = [f"{number:04d}"[:4] for number in range(10_000)]


def words(chance: random.Random, most: int) -> str:
    return "".join(chance.choices(WORDS, k=chance.randrange(1, most)))


def ids(message: dict[str, str]) -> list[int]:
    """One token per 4 bytes, and 4 for the role: as many as the simulator's frame stands for."""
    role = {"system": 1, "user": 2, "assistant": 3}[message["role"]]
    data = message["content"].encode()
    return [role] * 4 + [number for (number,) in struct.iter_unpack("<I", data)]


@pytest.mark.parametrize("window", [None, 6])
def test_agent_loops_agree_with_a_cache_that_knows_every_token(window: int | None) -> None:
    chance = random.Random(7)
    cache, seconds = PromptCache(), [0.0]
    truth = TokenCache(lambda: seconds[0])
    system = {"role": "system", "content": words(chance, 1500) + words(chance, 1500)}
    loops = [[system] for _ in range(8)]
    for turn in range(160):
        loop = loops[chance.randrange(len(loops))]
        loop.append({"role": "user", "content": words(chance, 400)})
        kept = loop if window is None else [loop[0], *loop[1:][-window:]]
        prompt = [token for message in kept for token in ids(message)]
        seconds[0] = turn * 20.0
        pieces = pieces_of("chat", {"messages": kept})
        split = cache.send(OPENAI, "m", pieces, len(prompt), round(seconds[0] * 1e9))
        assert abs(split.read - truth.read("m", prompt)) <= (128 if window else 0)
        loop.append({"role": "assistant", "content": words(chance, 60)})
