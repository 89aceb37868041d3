"""Spreading the requests of a large quota: providers also enforce "60,000 a minute" as about 1,000 a second.

The arithmetic is aiolimiter's leaky bucket. `AsyncLimiter` belongs to one event loop, while we serve threads and
many loops; so it gets a loop of ours that does nothing but tell the time, is asked only whether there is room,
and never waits. Who waits, and in which order, is the limiter's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from aiolimiter import AsyncLimiter

from costopt.world.clock import SECOND

#: What may pass at once is what the quota grants in this many seconds,
PERIOD_S = 0.1
#: but at least this many requests: nobody's dozen of parallel calls is worth spreading.
BURST = 10


class _Time:
    """As much of an event loop as a bucket that never waits needs: it tells the time."""

    def __init__(self, mono: Callable[[], int]) -> None:
        self._mono = mono

    def time(self) -> float:
        return self._mono() / SECOND

    def is_closed(self) -> bool:
        return False


class Pace:
    """At most `burst` requests at once and `requests / window_s` a second after that. Not locked."""

    def __init__(self, requests: int, window_s: float, mono: Callable[[], int]) -> None:
        rate = requests / window_s
        burst = max(BURST, rate * PERIOD_S)
        self.requests = requests
        self._gap = int(SECOND / rate * 1.001) + 1000
        self._bucket = AsyncLimiter(burst, burst / rate)
        self._bind(_Time(mono))

    def ready_at(self, now: int) -> int:
        """The earliest time one more request may pass: `now`, or when the bucket has room for sure."""
        return now if self._bucket.has_capacity() else now + self._gap

    def take(self) -> None:
        """One request passes. Only when `ready_at` says now: then `acquire` ends without waiting."""
        try:
            self._bucket.acquire().send(None)
        except StopIteration:
            return
        raise AssertionError("the bucket had no room")

    def _bind(self, time: _Time) -> None:
        """The bucket keeps the loop that runs when it is first asked; let that be `time`, for this one question."""
        running = asyncio._get_running_loop()
        asyncio._set_running_loop(cast(asyncio.AbstractEventLoop, time))
        try:
            self._bucket.has_capacity()
        finally:
            asyncio._set_running_loop(running)


def pace(requests: int | None, window_s: float, mono: Callable[[], int]) -> Pace | None:
    """A pace for this quota, or None where the whole of it may pass at once anyway."""
    if requests is None or requests <= max(BURST, requests / window_s * PERIOD_S):
        return None
    return Pace(requests, window_s, mono)
