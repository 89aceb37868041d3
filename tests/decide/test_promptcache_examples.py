"""The documentation's own examples."""

from __future__ import annotations

import pytest
from promptcache_material import CLAUDE, EITHER, GPT_6, MINUTE, OPENAI, sent, text, tokens

from costopt.decide.promptcache import PromptCache, Rules, Split


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
