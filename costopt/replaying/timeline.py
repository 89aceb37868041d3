"""The driver of a replay: many flows side by side in virtual time, each moving when what it waits for is there."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias, cast

from costopt.drive import Ride, depart
from costopt.effects import Effect, Flow
from costopt.types import Reply
from costopt.world.recorded import EventClock

#: What one flow asked and what it got, in order: (time of the answer in ns, call id, effect, answer or error).
Watch: TypeAlias = Callable[[int, str, Effect[Any], Any], None]
#: Told of a call that comes in and how it begins.
Turn: TypeAlias = Callable[[str, Callable[[], None]], None]
_Start: TypeAlias = tuple[int, str, Callable[[], Flow[Reply]]]


def at_once(_call: str, begin: Callable[[], None]) -> None:
    begin()


class Timeline:
    """Runs flows from their start times on. For one thread; `clock` moves only here."""

    def __init__(
        self,
        clock: EventClock,
        perform: Callable[[Effect[Any]], Any],
        watch: Watch | None = None,
        turn: Turn = at_once,
    ) -> None:
        self._turn = turn
        self._clock = clock
        self._perform = perform
        self._watch = watch
        self._awake: deque[tuple[str, Ride[Reply], Future[Any]]] = deque()
        self._over: deque[str] = deque()
        self._rides: dict[str, Ride[Reply]] = {}
        self.under_way = 0

    def run(self, starts: Iterable[_Start]) -> Iterator[str]:
        """Ids of calls as they end. `starts` are (time in ns, call id, flow), by time; `turn` may let one begin
        later than that."""
        try:
            yield from self._run(starts)
        finally:
            self._leave()

    def _run(self, starts: Iterable[_Start]) -> Iterator[str]:
        for at, call, flow in starts:
            yield from self._until(at)
            self._clock.move_to(at)
            self.under_way += 1
            self._turn(call, partial(self._begin, call, flow))
            yield from self._settle()
        yield from self._until(None)
        assert not self.under_way, f"{self.under_way} calls wait for something that never comes"

    def _until(self, end: int | None) -> Iterator[str]:
        while self._clock.step(end):
            yield from self._settle()

    def _settle(self) -> Iterator[str]:
        """Move every flow whose answer is there, until none is; who hears of an end may let others begin."""
        while self._awake or self._over:
            while self._awake:
                call, ride, future = self._awake.popleft()
                self._tell(call, ride, future.exception() or future.result())
                self._go(call, ride)
            if self._over:
                yield self._over.popleft()

    def _leave(self) -> None:
        """Nobody wants to know the end (Ctrl-C): a flow is never just forgotten."""
        for ride in self._rides.values():
            with suppress(Exception):  # why: nobody is there to hear how a call that was left failed
                if not ride.done:
                    depart(ride, self._perform)

    def _begin(self, call: str, flow: Callable[[], Flow[Reply]]) -> None:
        try:
            self._rides[call] = ride = Ride(flow())
        except Exception:  # noqa: BLE001 - why: how a call failed stands in its record
            return self._end(call)
        return self._go(call, ride)

    def _go(self, call: str, ride: Ride[Reply]) -> None:
        """Answer whatever can be answered now; where that takes time, wake up when it is there."""
        while not ride.done:
            answer = self._ask(ride.effect)
            if isinstance(answer, Future):
                return cast("Future[Any]", answer).add_done_callback(
                    lambda done: self._awake.append((call, ride, done))
                )
            self._tell(call, ride, answer)
        return self._end(call)

    def _ask(self, effect: Effect[Any]) -> Any:
        try:
            return self._perform(effect)
        except Exception as failure:  # noqa: BLE001 - why: the flow decides what a failure means
            return failure

    def _tell(self, call: str, ride: Ride[Reply], answer: Any) -> None:
        if self._watch is not None:
            self._watch(self._clock.now(), call, ride.effect, answer)
        try:
            ride.tell(answer)
        except Exception:  # noqa: BLE001 - why: how a call failed stands in its record
            return

    def _end(self, call: str) -> None:
        self.under_way -= 1
        self._rides.pop(call, None)
        self._over.append(call)
