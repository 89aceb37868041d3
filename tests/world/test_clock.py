"""Timers, on real time and on virtual time."""

from __future__ import annotations

import os
import threading
from concurrent.futures import CancelledError, Future
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costopt.errors import Closed
from costopt.world.clock import SECOND, Clock, VirtualClock


def test_timers_run_in_order_of_time_then_of_setting():
    clock, seen = VirtualClock(), []
    start = clock.mono()
    for name, at in (("c", 3), ("a", 1), ("b", 1)):
        clock.call_at(start + at * SECOND, partial(seen.append, name))
    clock.advance(2)
    assert seen == ["a", "b"]
    clock.advance(1)
    assert seen == ["a", "b", "c"]


@given(st.lists(st.integers(0, 1000), max_size=20), st.lists(st.integers(0, 100), max_size=10))
def test_every_timer_runs_once_at_its_own_time(delays, steps):
    clock, seen = VirtualClock(), []
    start = clock.mono()
    for delay in delays:
        clock.call_at(start + delay, lambda: seen.append(clock.mono() - start))
    for step in (*steps, 1000):
        clock.advance(step / SECOND)
    assert seen == sorted(delays)


def test_virtual_after_moves_time_and_is_done():
    clock = VirtualClock(start=5 * SECOND)
    assert clock.after(1.5).done()
    assert clock.now() == clock.mono() == int(6.5 * SECOND)


def test_virtual_wait_moves_to_the_timer_that_answers():
    clock: VirtualClock = VirtualClock()
    answer: Future[int] = Future()
    start = clock.mono()
    clock.call_at(start + 7 * SECOND, partial(answer.set_result, 42))
    assert clock.wait(answer) == 42
    assert clock.mono() - start == 7 * SECOND
    with pytest.raises(TimeoutError):
        clock.wait(Future())


def test_a_cancelled_timer_does_not_run_and_a_timer_may_set_another():
    clock, seen = VirtualClock(), []
    start = clock.mono()
    gone = clock.call_at(start + 1, partial(seen.append, "gone"))
    gone.cancel()
    gone.cancel()
    clock.call_at(start + 2, lambda: clock.call_at(start + 3, partial(seen.append, "second")))
    clock.advance(1)
    assert seen == ["second"]


def test_cancelled_timers_do_not_pile_up():
    clock = VirtualClock()
    for _ in range(10_000):
        clock.call_at(clock.mono() + SECOND, lambda: None).cancel()
    assert len(clock._timers._heap) < 200


def test_after_is_answered_on_a_real_clock_and_one_thread_serves_all():
    clock = Clock()
    futures = [clock.after(0.001 * n) for n in range(50)]
    for future in futures:
        future.result(timeout=10)
    assert sum(t.name == "costopt-clock" for t in threading.enumerate()) <= 1
    clock.close()


def test_an_earlier_timer_overtakes_a_later_one_that_is_waited_for():
    clock = Clock()
    later = clock.after(3600)
    clock.after(0.001).result(timeout=10)
    assert not later.done()
    clock.close()


def test_a_failing_callback_stops_nobody(caplog):
    clock = Clock()
    clock.call_at(clock.mono(), lambda: 1 // 0)
    clock.after(0.001).result(timeout=10)
    assert "timer callback failed" in caplog.text
    clock.close()


def test_close_cancels_sleepers_and_ends_the_thread():
    clock = Clock()
    sleeper = clock.after(3600)
    thread = clock._thread
    clock.close()
    clock.close()
    assert thread is not None and not thread.is_alive()
    with pytest.raises(CancelledError):
        sleeper.result(timeout=0)
    with pytest.raises(Closed):
        clock.after(1)


def test_a_retired_clock_ends_its_thread_after_the_last_timer():
    clock = Clock()
    sleep = clock.after(0.01)
    thread = clock._thread
    clock.retire()
    assert sleep.result(20) is None
    thread.join(4)  # idle threads end after five seconds
    assert not thread.is_alive()
    assert clock.after(0.0).result(20) is None


def test_a_cancelled_sleeper_is_forgotten():
    clock = Clock()
    clock.after(3600).cancel()
    assert not clock._sleeping
    clock.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_a_working_clock():
    clock = Clock()
    clock.after(3600)
    child = os.fork()
    if child == 0:
        done = False
        try:
            clock.after(0.001).result(timeout=10)
            done = not clock._sleeping
        finally:
            os._exit(0 if done else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    clock.close()
