"""Limits: nobody passes too early, nobody is overtaken, nobody waits for ever."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threads import together

from costopt.effects import Quota, Ticket
from costopt.errors import Closed, LimitExceeded
from costopt.world.clock import SECOND, Clock, VirtualClock
from costopt.world.limiter import Limiter

Admission = Ticket | Future[Ticket]


def quota(
    requests: int | None = None, tokens: int | None = None, group: str = "g", window_s: float = 10
) -> Quota:
    return Quota(group, requests, tokens, window_s)


def passed(admission: Admission) -> bool:
    return isinstance(admission, Ticket) or (admission.done() and not admission.cancelled())


def waiter(admission: Admission) -> Future[Ticket]:
    assert isinstance(admission, Future) and not admission.done()
    return admission


def waited(admission: Admission) -> Future[Ticket]:
    assert isinstance(admission, Future)
    return admission


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def limiter(clock: VirtualClock) -> Limiter:
    return Limiter(clock)


def test_who_fits_passes_at_once_and_the_rest_wait_their_turn(clock, limiter):
    assert passed(limiter.admit((quota(2),), 0))
    clock.advance(4)
    assert passed(limiter.admit((quota(2),), 0))
    third, fourth = waiter(limiter.admit((quota(2),), 0)), waiter(limiter.admit((quota(2),), 0))
    clock.advance(6)
    assert not third.done()
    clock.advance(0.001)
    assert third.done() and not fourth.done()
    clock.advance(4)
    assert fourth.done()


def test_no_quotas_is_no_limit():
    assert passed(Limiter(VirtualClock()).admit((), 10**9))


def test_what_can_never_fit_is_refused_at_once(limiter):
    with pytest.raises(LimitExceeded, match="11 tokens can never fit 10 tokens per 10 s"):
        limiter.admit((quota(tokens=10),), 11)
    with pytest.raises(LimitExceeded):
        limiter.admit((quota(0),), 1)
    assert passed(limiter.admit((quota(tokens=10),), 10))


def test_a_large_request_is_not_overtaken_by_small_ones(clock, limiter):
    limit = (quota(tokens=10),)
    limiter.admit(limit, 5)
    large = waiter(limiter.admit(limit, 10))
    small = waiter(limiter.admit(limit, 1))
    clock.advance(10.001)
    assert large.done() and not small.done()


def test_all_quotas_must_fit_and_other_groups_are_not_held_up(clock, limiter):
    a, b = quota(1, group="a"), quota(1, group="b")
    assert passed(limiter.admit((a,), 0))
    both = waiter(limiter.admit((a, b), 0))
    behind = waiter(limiter.admit((b,), 0))
    assert passed(limiter.admit((quota(1, group="c"),), 0))
    both.cancel()
    assert passed(behind)


def test_a_request_of_two_groups_overtakes_nobody_in_either(clock, limiter):
    a, b = quota(tokens=10, group="a"), quota(tokens=10, group="b")
    assert passed(limiter.admit((b,), 5))
    large = waiter(limiter.admit((b,), 10))
    both = waiter(limiter.admit((a, b), 1))
    clock.advance(5)
    assert not large.done() and not both.done()
    clock.advance(5.001)
    assert large.done() and not both.done()


def test_one_group_may_have_two_windows(clock, limiter):
    limits = (quota(2, window_s=1), quota(3, window_s=100))
    assert [passed(limiter.admit(limits, 0)) for _ in range(3)] == [True, True, False]
    clock.advance(1.001)
    last = waiter(limiter.admit(limits, 0))
    clock.advance(98)
    assert not last.done()
    clock.advance(2)
    assert last.done()


def test_correct_frees_and_takes(clock, limiter):
    limit = (quota(tokens=10),)
    first = limiter.admit(limit, 10)
    assert isinstance(first, Ticket)
    second = waiter(limiter.admit(limit, 6))
    limiter.correct(first, 4)
    assert second.done()
    limiter.correct(second.result(), 20)
    third = waiter(limiter.admit(limit, 1))
    clock.advance(9)
    assert not third.done()
    clock.advance(1.001)
    assert third.done()
    limiter.correct(first, 10)


def test_cool_closes_the_gate_for_its_group_only(clock, limiter):
    limiter.cool(("g",), 5)
    limiter.cool(("g",), 1)
    held = waiter(limiter.admit((quota(),), 1))
    assert passed(limiter.admit((quota(group="h"),), 1))
    clock.advance(4.9)
    assert not held.done()
    clock.advance(0.2)
    assert held.done()


def test_cool_holds_those_who_wait_already(clock, limiter):
    limiter.admit((quota(1),), 1)
    held = waiter(limiter.admit((quota(1),), 1))
    limiter.cool(("g",), 30)
    clock.advance(29)
    assert not held.done()
    clock.advance(1)
    assert held.done()


def test_whoever_leaves_frees_the_way_and_takes_nothing(clock, limiter):
    limit = (quota(tokens=10),)
    limiter.admit(limit, 5)
    large, small = waiter(limiter.admit(limit, 10)), waiter(limiter.admit(limit, 5))
    assert large.cancel()
    assert small.done()
    middle, last = waiter(limiter.admit(limit, 9)), waiter(limiter.admit(limit, 9))
    last.cancel()
    assert all(len(line.queue) == 1 for line in limiter._lines.values())
    clock.advance(10.001)
    assert middle.done()
    assert sum(line.window.tokens for line in limiter._lines.values()) == 9


async def test_a_cancelled_task_leaves_the_queue(clock, limiter):
    limit = (quota(1),)
    limiter.admit(limit, 0)
    gone, there = waiter(limiter.admit(limit, 0)), waiter(limiter.admit(limit, 0))
    task = asyncio.ensure_future(asyncio.wrap_future(gone))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)  # the loop passes a cancellation on with its next step
    assert gone.cancelled()
    clock.advance(10.001)
    assert there.done()


def test_close_tells_everybody(clock, limiter):
    limiter.admit((quota(1),), 1)
    held = waiter(limiter.admit((quota(1),), 1))
    limiter.close()
    limiter.close()
    with pytest.raises(Closed):
        held.result(0)
    with pytest.raises(Closed):
        limiter.admit((quota(1),), 1)
    assert clock._timers.next_due() is None


def test_a_large_quota_is_paced_and_a_small_one_is_not(clock, limiter):
    assert all(passed(limiter.admit((quota(10, group="small"),), 0)) for _ in range(10))
    limit = (quota(100, group="large"),)
    answers = [limiter.admit(limit, 0) for _ in range(100)]
    through = [sum(map(passed, answers))]
    for _ in range(10):
        clock.advance(1)
        through.append(sum(map(passed, answers)))
    assert through[0] == 10 and through[-1] == 100
    assert all(9 <= after - before <= 11 for before, after in pairwise(through[:-1]))


async def test_a_pace_works_from_within_a_running_loop_and_leaves_it_alone(clock, limiter):
    answers = [limiter.admit((quota(100),), 0) for _ in range(11)]
    assert asyncio.get_running_loop().is_running()
    clock.advance(0.2)
    assert isinstance(await asyncio.wrap_future(waited(answers[-1])), Ticket)
    await asyncio.sleep(0)


def test_two_quotas_of_one_line_count_a_request_once(clock, limiter):
    limits = (quota(100), quota(50, 20), quota(50, 30))
    assert [passed(limiter.admit(limits, 10)) for _ in range(3)] == [True, True, False]
    clock.advance(30)
    assert sum(line.window.tokens for line in limiter._lines.values()) == 10


def test_threads_and_loops_share_one_limit():
    clock = Clock()
    limiter = Limiter(clock)
    limit = (quota(20, window_s=0.05),)
    through: list[int] = []

    def thread() -> None:
        for _ in range(10):
            if isinstance(admission := limiter.admit(limit, 1), Future):
                admission.result(10)
            through.append(1)

    async def task() -> None:
        if isinstance(admission := limiter.admit(limit, 1), Future):
            await asyncio.wrap_future(admission)
        through.append(1)

    async def tasks() -> None:
        await asyncio.gather(*(task() for _ in range(20)))

    together(*[thread] * 4, *[lambda: asyncio.run(tasks())] * 2)
    limiter.close()
    clock.close()
    assert len(through) == 80


class Gate:
    """Random arrivals at one limiter on virtual time, and what it let through when."""

    def __init__(self, limits: tuple[Quota, ...]) -> None:
        self.clock = VirtualClock()
        self.limiter = Limiter(self.clock)
        self.limits = limits
        self.order: list[int] = []
        self.log: list[tuple[int, int]] = []
        self.waiting: dict[int, Future[Ticket]] = {}
        self.arrived = 0

    def arrive(self, tokens: int) -> None:
        name, self.arrived = self.arrived, self.arrived + 1
        answer = self.limiter.admit(self.limits, tokens)
        if isinstance(answer, Ticket):
            self.let_through(name, tokens)
        else:
            self.waiting[name] = answer
            answer.add_done_callback(lambda f: f.cancelled() or self.let_through(name, tokens))

    def let_through(self, name: int, tokens: int) -> None:
        self.order.append(name)
        self.log.append((self.clock.mono(), tokens))
        self.waiting.pop(name, None)

    def leave(self, n: int) -> None:
        if self.waiting:
            self.waiting.pop(list(self.waiting)[n % len(self.waiting)]).cancel()

    def worst(self, window_s: float) -> tuple[int, int]:
        """The most requests and tokens in any closed window; those that begin with a request are enough."""
        span = int(window_s * SECOND)
        windows = [
            [tokens for at, tokens in self.log if begin <= at <= begin + span] for begin, _ in self.log
        ]
        return max(map(len, windows), default=0), max(map(sum, windows), default=0)


ARRIVALS = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.integers(0, 10)),
        st.tuples(st.just("wait"), st.integers(0, 120)),
        st.tuples(st.just("leave"), st.integers(0, 20)),
        st.tuples(st.just("cool"), st.integers(0, 30)),
    ),
    max_size=60,
)


@given(ARRIVALS, st.integers(11, 40))
def test_a_paced_quota_holds_its_window_and_its_order(steps, requests):
    gate = Gate((quota(requests, window_s=4),))
    for what, n in steps:
        if what == "arrive":
            for _ in range(n):
                gate.arrive(1)
        elif what == "wait":
            gate.clock.advance(n / 10)
        elif what == "leave":
            gate.leave(n)
    gate.clock.advance(4 * 70)
    assert not gate.waiting and gate.order == sorted(gate.order)
    assert gate.worst(4)[0] <= requests
    assert gate.worst(1)[0] <= 10 + requests / 4 + 1


@settings(max_examples=200)
@given(ARRIVALS, st.integers(1, 4), st.integers(10, 25))
def test_never_over_in_any_window_first_come_first_served_and_nobody_starves(steps, requests, tokens):
    gate = Gate((quota(requests, tokens, window_s=7), quota(requests * 3, None, window_s=40)))
    for what, n in steps:
        if what == "arrive":
            gate.arrive(n)
        elif what == "wait":
            gate.clock.advance(n / 10)
        elif what == "leave":
            gate.leave(n)
        else:
            gate.limiter.cool(("g",), n / 10)
    gate.clock.advance(40 * 70)
    assert not gate.waiting
    assert gate.order == sorted(gate.order)
    assert gate.worst(7)[0] <= requests and gate.worst(7)[1] <= tokens
    assert gate.worst(40)[0] <= requests * 3
    assert gate.clock._timers.next_due() is None


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, 10), st.integers(0, 30)), max_size=40))
def test_estimates_that_are_corrected_count_as_what_they_were(calls):
    """Each call's truth replaces its estimate before the next call; what is granted fits the truth so far."""
    clock = VirtualClock()
    limiter = Limiter(clock)
    limit = (quota(tokens=10, window_s=3),)
    truth: list[tuple[int, int]] = []
    for estimate, real, wait in calls:
        answer = limiter.admit(limit, estimate)
        ticket = answer if isinstance(answer, Ticket) else clock.wait(answer)
        now = clock.mono()
        recent = sum(tokens for at, tokens in truth if at + 3 * SECOND >= now)
        assert recent + estimate <= 10 or not recent
        truth.append((now, real))
        limiter.correct(ticket, real)
        clock.advance(wait / 10)
