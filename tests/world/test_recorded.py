"""The recorded world's parts: the cache as sizes and times, the clock of events, what a provider's failure was."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import answer, request

from costopt.errors import Interrupted, UpstreamError
from costopt.types import Entry, Receipt, Reply, Usage
from costopt.world.ledger.words import Fact
from costopt.world.memory import LARGEST, OVERHEAD, MemoryCache
from costopt.world.recorded import EventClock, Past, asked_then
from costopt.world.recorded.cache import RecordedCache
from costopt.world.recorded.past import failed_check, trouble
from costopt.world.stored import pack

USAGE = Usage(input=100, output=10)


def entry(expires: int = 100, text: str = "Paris") -> Entry:
    return Entry(answer(text), 0, expires)


def fact(**fields: Any) -> Fact:
    plain: dict[str, Any] = {
        "id": "a", "started": 0, "ended": 10, "first": 5, "api": "chat", "provider": "openai", "endpoint": "",
        "asked": "gpt-4o", "served": "gpt-4o", "tenant": "", "variant": "", "revision": "", "outcome": "ok",
        "tier": "", "status": 200, "finish": "stop", "stream": False, "usage": USAGE, "raw_usage": None,
        "cost": 1, "unpriced": False, "error": "", "headers": {}, "tags": {}, "request_hash": b"", "shape": b"",
        "parts": (),
    }  # fmt: skip
    return Fact(**(plain | fields))


def past(**fields: Any) -> Past:
    return Past(fact=fact(**fields), request=request())


def test_an_entry_is_found_where_it_is_and_comes_up_to_memory() -> None:
    room = 10 * LARGEST * OVERHEAD
    cache = RecordedCache(room, room)
    cache.put("a", entry(), 50)
    found = cache.get("a", 0)
    assert found is not None
    assert found.reply.tier == "memory"
    only_disk = RecordedCache(0, room)
    only_disk.put("a", entry(), 50)
    assert [hit.reply.tier for hit in (only_disk.get("a", 0), only_disk.get("a", 0)) if hit] == [
        "disk",
        "disk",
    ]


def test_what_no_longer_fits_memory_is_on_disk_and_comes_back_up() -> None:
    each = OVERHEAD + 1 + 999
    cache = RecordedCache(LARGEST * each, 100 * LARGEST * each)
    keys = [chr(ord("a") + n) for n in range(LARGEST + 1)]
    for key in keys:
        cache.put(key, entry(), 999)
    tiers = [found.reply.tier for _ in range(2) if (found := cache.get("a", 0))]
    assert tiers == ["disk", "memory"]


@pytest.mark.parametrize(("now", "there"), [(99, True), (100, False), (101, False)])
def test_an_entry_is_gone_at_its_end_in_both_tiers(now: int, there: bool) -> None:
    cache = RecordedCache(1 << 20, 1 << 20)
    cache.put("a", entry(100), 5)
    assert (cache.get("a", now) is not None) is there
    assert (cache.get("a", 0) is not None) is there


@given(st.lists(st.tuples(st.sampled_from("abcdefghij"), st.booleans()), max_size=60), st.integers(0, 9))
def test_memory_keeps_what_the_live_memory_keeps(steps: list[tuple[str, bool]], size: int) -> None:
    """The same puts and looks, the same answers: least recently used out first, at the same number of bytes."""
    kept = pack(entry(10**9))
    assert kept is not None
    live, recorded = MemoryCache(size * 4000), RecordedCache(size * 4000, 0)
    for key, put in steps:
        if put:
            live.put(key, kept)
            recorded.put(key, entry(10**9), len(kept.data))
        assert (live.get(key, 0) is None) == (recorded.get(key, 0) is None)


def test_the_clock_moves_from_event_to_event_and_never_back() -> None:
    clock = EventClock(100)
    heard: list[tuple[str, int]] = []
    for name, due in (("late", 300), ("first", 200), ("second", 200), ("past", 50)):
        clock.call_at(due, lambda name=name: heard.append((name, clock.now())))
    while clock.step(250):
        pass
    assert heard == [("past", 100), ("first", 200), ("second", 200)]
    clock.move_to(150)
    assert clock.now() == 200
    clock.move_to(260)
    assert clock.step(None)
    assert heard[-1] == ("late", 300)
    assert not clock.step(None)


def test_who_sleeps_is_woken_by_time_alone() -> None:
    clock = EventClock(0)
    sleeper: Future[None] = clock.after(1.5)
    assert not sleeper.done()
    assert clock.now() == 0
    clock.step(None)
    assert sleeper.done()
    assert clock.now() == 1_500_000_000


@pytest.mark.parametrize("status", [301, 400, 429, 500, 529])
def test_a_providers_error_is_an_error_again(status: int) -> None:
    """Also where the ledger says that the answer's finish was `error`: nothing is billed."""
    failed = past(outcome="error", status=status, finish="error", usage=None, headers={"retry-after": "2.5"})
    error = trouble(failed, None)
    assert isinstance(error, UpstreamError)
    assert error.reply is not None
    assert error.reply.status == status
    assert (error.retry_after_s, error.partial) == (2.5, None)


def test_a_broken_connection_has_what_had_come_by_then() -> None:
    nothing = trouble(past(outcome="error", status=None, finish="unknown", usage=None), None)
    some = trouble(past(outcome="error", status=200, finish="incomplete"), USAGE)
    assert isinstance(nothing, UpstreamError)
    assert (nothing.reply, nothing.partial) == (None, None)
    assert isinstance(some, UpstreamError)
    assert some.partial is not None
    assert some.partial.usage == USAGE


def test_a_caller_leaves_again() -> None:
    left = trouble(past(outcome="left"), USAGE)
    assert isinstance(left, Interrupted)
    assert left.partial is not None
    assert left.partial.usage == USAGE
    early = trouble(past(outcome="left", usage=None), None)
    assert isinstance(early, Interrupted)
    assert early.partial is None


@pytest.mark.parametrize("fields", [{}, {"outcome": "hit"}, {"outcome": "error", "finish": "error"}])
def test_an_answer_is_no_trouble_and_neither_is_one_nobody_could_read(fields: dict[str, Any]) -> None:
    assert trouble(past(**fields), USAGE) is None


@pytest.mark.parametrize(
    ("outcome", "latency"), [("ok", 7), ("error", 7), ("left", 7), ("hit", None), ("refused", None)]
)
def test_latency_is_the_providers_own_failures_included(outcome: str, latency: int | None) -> None:
    assert past(outcome=outcome, ended=10, waited=3).latency_ns == latency


def test_the_model_that_answered_then_goes_by_both_its_names_unless_it_was_chosen() -> None:
    assert asked_then(fact(asked="gpt-4o", served="gpt-4o-2024-08-06")) == {"gpt-4o", "gpt-4o-2024-08-06"}
    tried = Receipt("gpt-5-nano", USAGE, 1)
    assert asked_then(fact(asked="auto", served="gpt-4o", attempts=(tried,))) == {"gpt-4o"}


def test_a_failed_check_is_the_same_question_in_the_same_place() -> None:
    tried = Receipt("gpt-4o-mini", USAGE, 1)
    recorded = fact(attempts=(tried,))
    assert failed_check(recorded, request(), 0) is tried
    assert failed_check(recorded, request(), 1) is None
    assert failed_check(recorded, request(model="gpt-4o"), 0) is None


def test_the_reply_of_an_error_says_so() -> None:
    error = trouble(past(outcome="error", status=500, finish="error", usage=None), None)
    assert isinstance(error, UpstreamError)
    assert error.reply == Reply(500, finish="error")
