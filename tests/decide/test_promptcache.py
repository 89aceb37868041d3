"""The simulated prompt cache: what always holds."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from promptcache_material import ALL, GPT_6, MINUTE, OPENAI, sent, text

from costopt.decide.promptcache import Piece, PromptCache, Rules, Split, pieces_of
from costopt.demo.promptcache import PromptCache as TokenCache

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
