"""Calls under way: the first leads, the rest get its entry, nobody is lost."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import Future

from hypothesis import given
from hypothesis import strategies as st
from threads import at_once

from costopt.effects import Lead
from costopt.types import Entry, Reply
from costopt.world.flight import Flight

ENTRY = Entry(Reply(body=b"{}"), 0, 1)


def lead_of(flight: Flight, key: str = "k") -> Lead:
    lead = flight.join(key)
    assert isinstance(lead, Lead)
    return lead


def follow(flight: Flight, key: str = "k") -> Future[Entry | None]:
    future = flight.join(key)
    assert isinstance(future, Future)
    return future


def test_the_first_leads_and_the_rest_get_its_entry():
    flight = Flight()
    lead = lead_of(flight)
    followers = [follow(flight) for _ in range(3)]
    lead_of(flight, "another key")
    flight.land(lead, ENTRY)
    assert [f.result(0) for f in followers] == [ENTRY] * 3


def test_after_a_failed_leader_followers_get_none_and_one_of_them_leads():
    flight = Flight()
    lead = lead_of(flight)
    followers = [follow(flight), follow(flight)]
    flight.land(lead, None)
    assert [f.result(0) for f in followers] == [None, None]
    second = lead_of(flight)
    assert not follow(flight).done()
    flight.land(second, None)


def test_a_follower_who_left_is_skipped():
    flight = Flight()
    lead = lead_of(flight)
    gone, there = follow(flight), follow(flight)
    assert gone.cancel()
    flight.land(lead, ENTRY)
    assert there.result(0) is ENTRY


def test_a_stale_lead_is_ignored():
    flight = Flight()
    old = lead_of(flight)
    flight.land(old, None)
    new = lead_of(flight)
    follower = follow(flight)
    flight.land(old, ENTRY)
    assert not follower.done()
    flight.land(new, None)
    assert follower.result(0) is None


def test_a_lead_that_is_lost_lands_by_itself():
    flight = Flight()
    lead = lead_of(flight)
    follower = follow(flight)
    del lead
    gc.collect()
    assert follower.result(0) is None
    lead_of(flight)


def test_close_sends_followers_off_alone():
    flight = Flight()
    lead = lead_of(flight)
    follower = follow(flight)
    flight.close()
    flight.close()
    assert follower.result(0) is None
    flight.land(lead, ENTRY)


def test_threads_and_loops_share_one_flight():
    flight = Flight()
    lead = lead_of(flight)
    seen: list[Entry | None] = []
    joined = threading.Semaphore(0)

    def join() -> Future[Entry | None]:
        future = follow(flight)
        joined.release()
        return future

    async def wait() -> None:
        seen.extend(await asyncio.gather(*(asyncio.wrap_future(join()) for _ in range(20))))

    tasks, plain = lambda: asyncio.run(wait()), lambda: seen.append(join().result(10))
    with at_once(*[tasks] * 3, *[plain] * 20):
        for _ in range(80):
            assert joined.acquire(timeout=10)
        flight.land(lead, ENTRY)
    assert seen == [ENTRY] * 80


@given(st.lists(st.sampled_from(["join", "cancel", "land", "fail", "drop"]), max_size=60))
def test_at_most_one_leads_and_nobody_is_lost(steps):
    flight = Flight()
    lead: Lead | None = None
    followers: list[Future[Entry | None]] = []
    for step in steps:
        if step == "join":
            answer = flight.join("k")
            assert isinstance(answer, Lead) == (lead is None)
            lead = answer if isinstance(answer, Lead) else lead
            followers += [answer] if isinstance(answer, Future) else []
        elif step == "cancel" and followers:
            followers[len(followers) // 2].cancel()
        elif lead is not None and step != "cancel":
            if step != "drop":
                flight.land(lead, ENTRY if step == "land" else None)
            lead = answer = None
            assert all(f.done() for f in followers)
            followers.clear()
