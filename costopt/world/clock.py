"""Time. `Clock` is the machine's, `VirtualClock` stands still until it is told to move (tests, replay).

`now` is the wall clock for facts (it may jump), `mono` is the steady clock that waits are measured on.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from itertools import count
from typing import TypeVar

from costopt.errors import Closed
from costopt.world.waiting import after_fork, give

T = TypeVar("T")
SECOND = 1_000_000_000
#: A timer thread with nothing to wait for ends after this long (seconds); the next timer starts a new one.
IDLE_S = 5.0
#: Cancelled timers are swept out when they are more than this many and more than half of all.
SWEEP = 64

log = logging.getLogger("costopt")


class Timer:
    """One thing to do at `due` (ns on the steady clock). `cancel` may be called at any time and again."""

    __slots__ = ("_timers", "due", "run")

    def __init__(self, timers: Timers, due: int, run: Callable[[], object]) -> None:
        self.due = due
        self.run: Callable[[], object] | None = run
        self._timers = timers

    def cancel(self) -> None:
        if self.run is not None:
            self.run = None
            self._timers.dropped()


class Timers:
    """Timers by due time, first set first among equals. Not locked: the clock does that."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Timer]] = []
        self._order = count()
        self._dropped = 0

    def add(self, due: int, run: Callable[[], object]) -> Timer:
        if self._dropped > SWEEP and self._dropped * 2 > len(self._heap):
            self._sweep()
        timer = Timer(self, due, run)
        heapq.heappush(self._heap, (due, next(self._order), timer))
        return timer

    def dropped(self) -> None:
        self._dropped += 1

    def next_due(self) -> int | None:
        """When the earliest live timer is due, or None where nothing waits."""
        while self._heap and self._heap[0][2].run is None:
            heapq.heappop(self._heap)
            self._dropped = max(0, self._dropped - 1)
        return self._heap[0][0] if self._heap else None

    def pop(self, now: int) -> Callable[[], object] | None:
        """The earliest thing to do that is due at `now`, or None."""
        due = self.next_due()
        if due is None or due > now:
            return None
        timer = heapq.heappop(self._heap)[2]
        run, timer.run = timer.run, None
        return run

    def _sweep(self) -> None:
        self._heap = [item for item in self._heap if item[2].run is not None]
        heapq.heapify(self._heap)
        self._dropped = 0


class Clock:
    """The machine's time. One daemon thread serves all timers; started by the first, it ends when idle."""

    def __init__(self) -> None:
        self._closed = False
        self._retired = False
        self._reset()
        after_fork(self._reset)

    def _reset(self) -> None:
        self._wake = threading.Condition(threading.RLock())
        self._timers = Timers()
        self._sleeping: set[Future[None]] = set()
        self._thread: threading.Thread | None = None

    now: Callable[[], int] = staticmethod(time.time_ns)
    """Wall clock, nanoseconds since the epoch."""

    mono: Callable[[], int] = staticmethod(time.monotonic_ns)
    """Steady clock in nanoseconds; only differences mean something."""

    def after(self, seconds: float) -> Future[None]:
        """A future that is done after `seconds`. Cancel it to stop waiting. Raises Closed."""
        future: Future[None] = Future()
        with self._wake:
            timer = self.call_at(self.mono() + int(seconds * SECOND), partial(give, future, None))
            self._sleeping.add(future)
        future.add_done_callback(partial(self._woken, timer))
        return future

    def call_at(self, due: int, run: Callable[[], object]) -> Timer:
        """Call `run` at `due` (ns of `mono`), on the timer thread, so `run` must be quick. Raises Closed."""
        with self._wake:
            if self._closed:
                raise Closed("this Optimizer was closed while the call waited; nothing was sent")
            timer = self._timers.add(due, run)
            self._start()
            if self._timers.next_due() == due:
                self._wake.notify()
        return timer

    def close(self) -> None:
        """Cancel every sleeper, forget every timer and end the thread. May be called again."""
        with self._wake:
            self._closed = True
            thread, self._timers = self._thread, Timers()
            self._wake.notify()
        for future in list(self._sleeping):
            future.cancel()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def retire(self) -> None:
        """Nobody holds this clock any more: end its thread after the last timer. The garbage collector may call this
        anywhere."""
        with self._wake:
            self._retired = True
            self._wake.notify()

    def _woken(self, timer: Timer, future: Future[None]) -> None:
        timer.cancel()
        self._sleeping.discard(future)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="costopt-clock", daemon=True)
            self._thread.start()

    def _serve(self) -> None:
        while self._serve_one():
            pass

    def _serve_one(self) -> bool:
        """Its own frame: what a sleeping thread has in its variables stays alive."""
        run = self._next()
        if run is not None:
            call_quietly(run)
        return run is not None

    def _next(self) -> Callable[[], object] | None:
        """Wait for the next thing that is due; None when closed or idle for long."""
        with self._wake:
            while not self._closed:
                run = self._timers.pop(self.mono())
                if run is not None:
                    return run
                due = self._timers.next_due()
                if due is None and self._retired:
                    break
                wait_s = IDLE_S if due is None else (due - self.mono()) / SECOND
                notified = self._wake.wait(max(0.0, wait_s))
                if due is None and not notified and self._timers.next_due() is None:
                    break
            self._thread = None
            return None


class VirtualClock(Clock):
    """Time that moves only by `after` and `advance`, so a run with it is the same every time.

    For one thread. `start` is both clocks' first reading, nanoseconds.
    """

    def __init__(self, start: int = 1_700_000_000 * SECOND) -> None:
        self._time = start
        self._timers = Timers()

    def now(self) -> int:
        return self._time

    def mono(self) -> int:
        return self._time

    def after(self, seconds: float) -> Future[None]:
        """Move time on by `seconds` and return a future that is done."""
        self.advance(seconds)
        future: Future[None] = Future()
        future.set_result(None)
        return future

    def call_at(self, due: int, run: Callable[[], object]) -> Timer:
        return self._timers.add(due, run)

    def advance(self, seconds: float) -> None:
        """Move time on by `seconds`, doing what falls due on the way, each at its own time."""
        end = self._time + int(seconds * SECOND)
        while self._step(end):
            pass
        self._time = max(self._time, end)

    def wait(self, future: Future[T]) -> T:
        """The future's result, moving time on from timer to timer until it is there.

        Raises TimeoutError where no timer is left and so nothing could ever answer it.
        """
        while not future.done():
            if not self._step(None):
                raise TimeoutError("nothing is due that could answer this wait")
        return future.result()

    def close(self) -> None:
        self._timers = Timers()

    def _step(self, end: int | None) -> bool:
        """Do the next thing due until `end` (None: whenever it is); False where there is none."""
        due = self._timers.next_due()
        if due is None or (end is not None and due > end):
            return False
        self._time = max(self._time, due)
        run = self._timers.pop(due)
        if run is not None:
            run()
        return True


def call_quietly(run: Callable[[], object]) -> None:
    try:
        run()
    except Exception:  # why: one failing callback must not stop everybody else's timers
        log.exception("costopt: a timer callback failed")
