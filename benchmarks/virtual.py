"""Virtual time for a live Optimizer: an event loop on which hours pass at once, and a network that takes such time.

Everything else is real: the SDK, the transport, the pipeline, HTTP to a server on loopback, the ledger on disk. What is
not: time moves only when the loop has nothing left to do, to the next thing that is due (as in a replay); the request
to the server is made in one go, the latency is slept in virtual time afterwards; work that would go to threads
(budgets, disk) runs inline, since a thread cannot be waited for by a clock.
"""

from __future__ import annotations

import asyncio
import re
import selectors
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from benchmarks.material import LIBRARY
from costopt.world.recorded import EventClock

#: Seconds until the first byte of an answer, and for each of its characters from there on.
FIRST_S, PER_CHARACTER_S = 0.4, 0.002
_EVENT = re.compile(rb"(?<=\n\n)")


class _Eager(selectors.DefaultSelector):
    """Asked to wait, moves the clock on to what is due next instead."""

    def __init__(self, clock: EventClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0 or self._clock.step(None):
            return ready
        return super().select(timeout)


def run(clock: EventClock, main: Coroutine[Any, Any, None]) -> None:
    def loop() -> asyncio.AbstractEventLoop:
        made = asyncio.SelectorEventLoop(_Eager(clock))
        made.set_default_executor(Inline())
        return made

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main)


async def until(clock: EventClock, at: int) -> None:
    """Sleep until `at` (ns) unless that has passed."""
    await asyncio.wrap_future(clock.after(max(0, at - clock.now()) / 1e9))


class Inline(ThreadPoolExecutor):
    """Runs what it is given at once, on the caller's thread."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - why: whoever waits for the future gets it
            done.set_exception(error)
        return done


class Network(LIBRARY.AsyncBaseTransport):  # type: ignore[misc]
    """HTTP to a server on loopback whose answers take virtual time."""

    def __init__(self, clock: EventClock) -> None:
        self._clock = clock
        self._inner = LIBRARY.HTTPTransport()

    async def handle_async_request(self, request: Any) -> Any:
        response = self._inner.handle_request(request)
        content = response.read()
        response.close()
        streamed = "event-stream" in response.headers.get("content-type", "")
        await _sleep(self._clock, FIRST_S + (0 if streamed else len(content) * PER_CHARACTER_S))
        parts = [part for part in _EVENT.split(content) if part] if streamed else [content]
        stream = _Stream(partial(_spoken, self._clock, parts, streamed))
        return LIBRARY.Response(response.status_code, headers=response.headers.raw, stream=stream)

    async def aclose(self) -> None:
        self._inner.close()


class _Stream(LIBRARY.AsyncByteStream):  # type: ignore[misc]
    def __init__(self, parts: Any) -> None:
        self._parts = parts

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._parts()


async def _spoken(clock: EventClock, parts: list[bytes], streamed: bool) -> AsyncIterator[bytes]:
    for number, part in enumerate(parts):
        if streamed and number:
            await _sleep(clock, len(part) * PER_CHARACTER_S)
        yield part


async def _sleep(clock: EventClock, seconds: float) -> None:
    await asyncio.wrap_future(clock.after(seconds))
