"""Micro-batching: requests that arrive within a short window are answered by one call, made by one of them.

Serves threads and event loops alike. Every waiter is answered: as head, with its part, or None (go alone). Who leaves
while the call is under way is paid for all the same: his part goes back to the head.
"""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from itertools import count
from typing import TypeAlias

from costopt.effects import Head
from costopt.types import Reply, Request
from costopt.world.clock import SECOND, Clock, Timer
from costopt.world.waiting import after_fork, claim, give

Answer: TypeAlias = "Future[Head | Reply | None]"
_Lift: TypeAlias = tuple[Answer, Head]


class _Window:
    """Requests gathered so far for one bucket. `timer` closes it."""

    __slots__ = ("size", "timer", "waiting")

    def __init__(self) -> None:
        self.waiting: list[tuple[Request, Answer]] = []
        self.size = 0
        self.timer: Timer | None = None


class Gatherer:
    """Who waits to be batched, and who waits for a part of a batch under way."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tokens = count(1)
        self._reset()
        after_fork(self._reset)

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._windows: dict[str, _Window] = {}
        self._flying: dict[int, tuple[weakref.ref[Head], list[Answer]]] = {}

    def gather(self, bucket: str, request: Request, size: int, max_size: int, max_wait_s: float) -> Answer:
        """Wait for company: at most `max_wait_s` seconds, less when `max_size` is reached.

        Sizes add up. A request that would make the window too large closes it and opens the next.
        """
        future: Answer = Future()
        with self._lock:
            ready = self._add(bucket, request, future, size, max_size, max_wait_s)
        for lift in ready:
            _announce(lift)
        return future

    def scatter(self, head: Head, parts: tuple[Reply, ...] | None) -> tuple[Reply, ...]:
        """Give each follower its part (`parts` is ordered as `head.requests`, the head's own first) or None.

        Returns the parts that nobody took: their callers had left, or had been sent off alone. Called again (a Ctrl-C
        in the middle), it goes on where it was. Raises ValueError when there are not as many parts as requests; then
        everybody goes alone.
        """
        wrong = parts is not None and len(parts) != len(head.requests)
        followers = self._answer(head.token, None if wrong else parts)
        if wrong:
            raise ValueError(f"{len(parts or ())} parts for {len(head.requests)} requests")
        if parts is None:
            return ()
        if followers is None:  # a forked child has none
            return parts[1:]
        return tuple([part for part, each in zip(parts[1:], followers, strict=True) if not _took(each, part)])

    def close(self) -> None:
        """Send everybody off alone. May be called again."""
        with self._lock:
            windows, self._windows = self._windows, {}
            for window in windows.values():
                if window.timer is not None:
                    window.timer.cancel()
        for window in windows.values():
            for _, future in window.waiting:
                give(future, None)
        for token in list(self._flying):
            self._answer(token, None)

    def _add(
        self, bucket: str, request: Request, future: Answer, size: int, max_size: int, max_wait_s: float
    ) -> list[_Lift | None]:
        ready: list[_Lift | None] = []
        window = self._windows.get(bucket)
        if window is not None and window.size + size > max_size:
            ready.append(self._shut(bucket, window))
            window = None
        if window is None:
            window = self._open(bucket, max_wait_s)
        window.waiting.append((request, future))
        window.size += size
        if window.size >= max_size:
            ready.append(self._shut(bucket, window))
        return ready

    def _open(self, bucket: str, max_wait_s: float) -> _Window:
        window = _Window()
        due = self._clock.mono() + int(max_wait_s * SECOND)
        window.timer = self._clock.call_at(due, lambda: self._expire(bucket, window))
        self._windows[bucket] = window
        return window

    def _expire(self, bucket: str, window: _Window) -> None:
        with self._lock:
            lift = self._shut(bucket, window) if self._windows.get(bucket) is window else None
        _announce(lift)

    def _shut(self, bucket: str, window: _Window) -> _Lift | None:
        """Close the window; the first who is still there becomes the head of all who are still there."""
        del self._windows[bucket]
        if window.timer is not None:
            window.timer.cancel()
        there = [(request, future) for request, future in window.waiting if not future.cancelled()]
        while there and not claim(there[0][1]):
            del there[0]
        if not there:
            return None
        token = next(self._tokens)
        head = Head(token, tuple(request for request, _ in there))
        lost = weakref.ref(head, lambda _: self._lose(token))
        self._flying[token] = (lost, [future for _, future in there[1:]])
        return there[0][1], head

    def _answer(self, token: int, parts: tuple[Reply, ...] | None) -> list[Answer] | None:
        """The followers, whoever has not been answered yet answered now; they are known while their head lives."""
        if token not in self._flying:
            return None
        _, followers = self._flying[token]
        for index, future in enumerate(followers, start=1):
            with suppress(InvalidStateError):  # who has left, or was answered before
                future.set_result(parts[index] if parts is not None else None)
        return followers

    def _lose(self, token: int) -> None:
        self._answer(token, None)
        self._flying.pop(token, None)


def _took(future: Answer, part: Reply) -> bool:
    return not future.cancelled() and future.result() is part


def _announce(lift: _Lift | None) -> None:
    """Tell the head, outside the lock, since the answer runs its waiter's callbacks."""
    if lift is not None:
        future, head = lift
        future.set_result(head)
