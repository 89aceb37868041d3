"""Calls that wait for company: who leads, who is merged, who goes alone."""

from __future__ import annotations

import asyncio
import gc
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from threads import together

from costopt.effects import Head
from costopt.errors import Closed
from costopt.types import Reply, Request
from costopt.world.clock import Clock, VirtualClock
from costopt.world.gather import Answer, Gatherer


def request(name: str) -> Request:
    return Request(name, "embeddings", "m", {}, "http://x")


def part(name: str) -> Reply:
    return Reply(body=name.encode())


def ask(gatherer: Gatherer, name: str, size: int = 1, bucket: str = "b") -> Answer:
    return gatherer.gather(bucket, request(name), size, 4, 0.02)


def head_of(future: Answer) -> Head:
    head = future.result(0)
    assert isinstance(head, Head)
    return head


def names(head: Head) -> list[str]:
    return [r.id for r in head.requests]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def gatherer(clock: VirtualClock) -> Gatherer:
    return Gatherer(clock)


def test_the_first_leads_when_the_window_closes_and_each_gets_its_part(clock, gatherer):
    first, second, third = (ask(gatherer, name) for name in "abc")
    clock.advance(0.019)
    assert not first.done()
    clock.advance(0.001)
    head = head_of(first)
    assert names(head) == ["a", "b", "c"] and not second.done()
    gatherer.scatter(head, (part("a"), part("b"), part("c")))
    assert (second.result(0), third.result(0)) == (part("b"), part("c"))


def test_a_full_window_closes_at_once_and_its_timer_is_gone(clock, gatherer):
    first, _ = ask(gatherer, "a", 2), ask(gatherer, "b", 2)
    assert names(head_of(first)) == ["a", "b"]
    assert clock._timers.next_due() is None


def test_a_request_that_does_not_fit_opens_the_next_window(gatherer):
    first, second = ask(gatherer, "a", 3), ask(gatherer, "b", 4)
    assert names(head_of(first)) == ["a"]
    assert names(head_of(second)) == ["b"]
    assert names(head_of(ask(gatherer, "larger than any window", 9))) == ["larger than any window"]


def test_buckets_do_not_mix(clock, gatherer):
    first, other = ask(gatherer, "a"), ask(gatherer, "b", bucket="other")
    clock.advance(1)
    assert names(head_of(first)) == ["a"] and names(head_of(other)) == ["b"]


def test_the_next_one_leads_when_the_first_left(clock, gatherer):
    first, second, third = (ask(gatherer, name) for name in "abc")
    first.cancel()
    clock.advance(1)
    head = head_of(second)
    assert names(head) == ["b", "c"]
    third.cancel()
    gatherer.scatter(head, (part("b"), part("c")))


def test_nobody_pays_for_a_follower_who_left_in_time(clock, gatherer):
    first, second, third = (ask(gatherer, name) for name in "abc")
    second.cancel()
    clock.advance(1)
    assert names(head_of(first)) == ["a", "c"]
    gatherer.scatter(head_of(first), (part("a"), part("c")))
    assert third.result(0) == part("c")


def test_nobody_is_left_to_lead(clock, gatherer):
    ask(gatherer, "a").cancel()
    clock.advance(1)
    assert not gatherer._windows and not gatherer._flying


def test_the_parts_that_nobody_took_come_back_to_the_head(gatherer):
    first, second, third, _ = (ask(gatherer, name) for name in "abcd")
    head = head_of(first)
    second.cancel()
    assert gatherer.scatter(head, tuple(map(part, "abcd"))) == (part("b"),)
    assert third.result(0) == part("c")


def test_a_ctrl_c_among_the_parts_loses_none(gatherer):
    first, second, third, fourth = (ask(gatherer, name) for name in "abcd")
    head, parts = head_of(first), tuple(map(part, "abcd"))
    fourth.cancel()

    def strike(_: Answer) -> None:
        raise KeyboardInterrupt

    second.add_done_callback(strike)
    with pytest.raises(KeyboardInterrupt):
        gatherer.scatter(head, parts)
    assert gatherer.scatter(head, parts) == (part("d"),)
    assert (second.result(0), third.result(0)) == (part("b"), part("c"))


def test_parts_that_come_after_the_close_were_paid_all_the_same(gatherer):
    first, second = ask(gatherer, "a", 2), ask(gatherer, "b", 2)
    head = head_of(first)
    gatherer.close()
    assert second.result(0) is None
    assert gatherer.scatter(head, (part("a"), part("b"))) == (part("b"),)


def test_no_parts_and_wrong_parts_send_everybody_off_alone(gatherer):
    first, second = ask(gatherer, "a", 2), ask(gatherer, "b", 2)
    gatherer.scatter(head_of(first), None)
    assert second.result(0) is None
    first, second = ask(gatherer, "a", 2), ask(gatherer, "b", 2)
    with pytest.raises(ValueError, match="1 parts for 2"):
        gatherer.scatter(head_of(first), (part("a"),))
    assert second.result(0) is None
    gatherer.scatter(head_of(first), (part("a"), part("b")))


def test_a_head_that_is_lost_frees_its_followers(gatherer):
    first, second = ask(gatherer, "a", 2), ask(gatherer, "b", 2)
    assert first.done()
    del first
    gc.collect()
    assert second.result(0) is None and not gatherer._flying


def test_close_answers_everybody(clock, gatherer):
    led, follower = ask(gatherer, "a", 2), ask(gatherer, "b", 2)
    waiting = ask(gatherer, "c")
    gatherer.close()
    gatherer.close()
    assert led.done() and follower.result(0) is None and waiting.result(0) is None
    assert clock._timers.next_due() is None


def test_a_closed_clock_refuses_and_leaves_nothing_behind():
    clock = Clock()
    clock.close()
    gatherer = Gatherer(clock)
    with pytest.raises(Closed):
        ask(gatherer, "a")
    assert not gatherer._windows


def test_threads_and_loops_share_batches():
    clock = Clock()
    gatherer = Gatherer(clock)
    parts: dict[str, Reply | None] = {}

    def answer(name: str, got: Head | Reply | None) -> None:
        if isinstance(got, Head):
            gatherer.scatter(got, tuple(part(r.id) for r in got.requests))
            got = part(got.requests[0].id)
        parts[name] = got

    async def one(name: str) -> None:
        answer(name, await asyncio.wrap_future(ask(gatherer, name)))

    async def many(prefix: str) -> None:
        await asyncio.gather(*(one(f"{prefix}{n}") for n in range(25)))

    def alone(name: str) -> None:
        answer(name, ask(gatherer, name).result(10))

    loops = [lambda p=p: asyncio.run(many(p)) for p in "ab"]
    together(*loops, *(partial(alone, f"t{n}") for n in range(10)))
    clock.close()
    assert len(parts) == 60 and all(got == part(name) for name, got in parts.items())


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("ask"), st.integers(1, 5)),
            st.tuples(st.just("wait"), st.integers(0, 3)),
            st.tuples(st.just("leave"), st.integers(0, 50)),
            st.tuples(st.just("fail"), st.integers(0, 50)),
        ),
        max_size=50,
    )
)
def test_no_waiter_is_ever_lost(steps):
    clock = VirtualClock()
    gatherer = Gatherer(clock)
    asked: list[Answer] = []
    scattered: set[int] = set()

    def scatter_all(fail: bool) -> None:
        for future in asked:
            if future.done() and not future.cancelled():
                head = future.result(0)
                if isinstance(head, Head) and head.token not in scattered:
                    scattered.add(head.token)
                    gatherer.scatter(head, None if fail else tuple(part(r.id) for r in head.requests))

    for what, n in steps:
        if what == "ask":
            asked.append(ask(gatherer, str(len(asked)), n))
        elif what == "wait":
            clock.advance(n / 100)
        elif what == "leave" and asked:
            asked[n % len(asked)].cancel()
        else:
            scatter_all(fail=True)
    clock.advance(1)
    scatter_all(fail=False)
    all_answered(asked)
    asked.clear()
    assert not gatherer._windows and not gatherer._flying


def all_answered(asked: list[Answer]) -> None:
    for name, future in enumerate(asked):
        assert future.done()
        if not future.cancelled() and isinstance(reply := future.result(0), Reply):
            assert reply == part(str(name))
