"""Drivers: the only code that differs between sync, async, stream and lockstep.

Two rules. A failed effect is thrown into the flow, so the flow alone decides what a failure means. A caller who
leaves (close, cancel, Ctrl-C) reaches the flow as `Interrupted`, so money is always settled and the call recorded;
effects asked for after that must not wait. `perform` answers with a value, a `Work`, a future or (async) an awaitable.
A `Call` answered with `Opened` is a live stream: the driver hands back a `Live`, whose reader finishes the flow.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Sequence
from concurrent import futures
from concurrent.futures import Executor, Future
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar, cast
from weakref import finalize

from msgspec import Struct

from costopt.effects import Call, Effect, Flow, Gather, Join, Perform, Work
from costopt.errors import Interrupted, UpstreamError
from costopt.types import Reply, Request
from costopt.world.waiting import on_event_loop

T = TypeVar("T")
_log = logging.getLogger("costopt")
#: Answers that are not there yet.
_LATER = (Work, Future)


class Ride(Generic[T]):
    """A flow under way: `effect` is what it asks for now, `result` what it came to once `done`."""

    __slots__ = ("_flow", "done", "effect", "result")

    def __init__(self, flow: Flow[T]) -> None:
        self._flow = flow
        self.effect: Effect[Any]
        self.result: T
        self.done = False
        self.tell(None)

    def tell(self, answer: Any) -> None:
        """Answer `effect`; an exception is thrown into the flow. Raises what the flow raises."""
        go = self._flow.throw if isinstance(answer, Exception) else self._flow.send
        try:
            self.effect = go(answer)
        except StopIteration as end:
            self.result = end.value
            self.done = True
        except BaseException:
            self.done = True
            raise


class Opened(Struct, frozen=True):
    """A live answer: `chunks` yields bytes (sync or async), `read` turns all bytes so far into (reply, complete)."""

    status: int
    headers: tuple[tuple[str, str], ...]
    chunks: Any
    read: Callable[[bytes, int], tuple[Reply, bool]]
    now: Callable[[], int]


class Live:
    """A stream the caller is reading. Feed it with `take`; end it once with `finish` or `leave`."""

    def __init__(self, ride: Ride[Reply], perform: Perform, opened: Opened) -> None:
        self.opened = opened
        self.ride = ride
        self.perform = perform
        self.ended = False
        self._process = os.getpid()
        self._parts: list[bytes] = []
        self._first_ns = 0

    def take(self, chunk: bytes) -> bytes:
        if not self._first_ns:
            self._first_ns = self.opened.now()
        self._parts.append(chunk)
        return chunk

    def finish(self, failure: Exception | None = None) -> bool:
        """Tell the flow how the stream ended; the caller drives what it asks next. False if it has heard already."""
        if self.ended:
            return False
        self.ended = True
        reply, complete = self._read()
        heard = failure is None and complete
        self.ride.tell(reply if heard else UpstreamError(None, failure, partial=reply))
        return True

    def leave(self, executor: Executor | None = None) -> None:
        """The caller stopped reading: a complete answer is finished, any other one interrupted. What blocks is done
        on `executor`, if given one."""
        if self.ended or self._process != os.getpid():
            return
        self.ended = True
        reply, complete = self._read()
        _close_out(self.ride, self.perform, reply if complete else Interrupted(reply), executor)

    def forget(self) -> None:
        """In a forked child: the flow ends here and asks the world for nothing; its parent tells how it went."""
        self.ended = True
        while not self.ride.done:
            with suppress(Exception):
                self.ride.tell(Interrupted(None))

    def follow(self, reader: object) -> None:
        """Leave when `reader` is forgotten, or the program ends. A `__del__` may come too late: the collector can
        end the flow first."""
        finalize(reader, self.leave)

    def _read(self) -> tuple[Reply, bool]:
        return self.opened.read(b"".join(self._parts), self._first_ns)


def run(flow: Flow[T], perform: Perform) -> T | Live:
    """Drive `flow` on this thread, to its result or to a live stream."""
    return resume(Ride(flow), perform)


def resume(ride: Ride[T], perform: Perform) -> T | Live:
    while not ride.done:
        try:
            answer = perform(ride.effect)
            if isinstance(answer, _LATER):
                answer = _settled(ride.effect, answer)
        except Exception as failure:  # noqa: BLE001 - why: the flow decides what a failure means
            answer = failure
        except BaseException:
            depart(ride, perform)
            raise
        if type(answer) is Opened:
            return Live(ride, perform, answer)  # type: ignore[arg-type]
        ride.tell(answer)
    return ride.result


async def arun(flow: Flow[T], perform: Perform, executor: Executor) -> T | Live:
    """Drive `flow` on this event loop; blocking `Work` runs on `executor`."""
    return await aresume(Ride(flow), perform, executor)


async def aresume(ride: Ride[T], perform: Perform, executor: Executor) -> T | Live:
    while not ride.done:
        pending: Any = None
        try:
            pending = perform(ride.effect)
            if type(pending) is Work:
                pending = executor.submit(cast("Work[Any]", pending).run)
            answer = await _awaited(pending)
        except Exception as failure:  # noqa: BLE001 - why: the flow decides what a failure means
            answer = failure
        except BaseException:
            depart(ride, perform, pending, executor)
            raise
        if type(answer) is Opened:
            return Live(ride, perform, answer)  # type: ignore[arg-type]
        ride.tell(answer)
    return ride.result


def lockstep(
    flows: Sequence[Flow[Reply]],
    perform: Perform,
    call_many: Callable[[list[Request]], Iterable[Reply | Exception]],
) -> list[Reply | Exception]:
    """Drive many flows at once; each wave of `Call`s is one batch. Results in the order of `flows`.

    A flow that waits for another one (single-flight, a micro-batch, a limit) is parked until that one moves on.
    """
    march = _March(flows, perform)
    while march.calling or march.parked:
        if march.calling:
            march.answer(call_many([_called(ride) for ride in march.calling.values()]))
        else:
            futures.wait(list(march.parked.values()), return_when=futures.FIRST_COMPLETED)
        march.wake()
    return march.results


class _March:
    """Many flows in step: each is at a `Call`, parked on a future, or has its result."""

    def __init__(self, flows: Sequence[Flow[Reply]], perform: Perform) -> None:
        self.perform = perform
        self.results: list[Reply | Exception] = [Interrupted(None)] * len(flows)
        self.calling: dict[int, Ride[Reply]] = {}
        self.parked: dict[int, Future[Any]] = {}
        self._rides: dict[int, Ride[Reply]] = {}
        for index, flow in enumerate(flows):
            self._move(index, partial(self._begin, index, flow))
        self.wake()

    def answer(self, answers: Iterable[Reply | Exception]) -> None:
        wave, self.calling = self.calling, {}
        for (index, ride), answer in zip(wave.items(), answers, strict=True):
            self._move(index, partial(ride.tell, answer))

    def wake(self) -> None:
        """Move every parked flow whose future is done, until none is left that can."""
        while done := [index for index, future in self.parked.items() if future.done()]:
            for index in done:
                self._move(index, partial(self._rides[index].tell, _outcome(self.parked.pop(index))))

    def _begin(self, index: int, flow: Flow[Reply]) -> None:
        self._rides[index] = Ride(flow)

    def _move(self, index: int, step: Callable[[], None]) -> None:
        try:
            step()
            ride = self._rides[index]
            while not ride.done and type(ride.effect) is not Call:
                answer = _attempt(self.perform, ride.effect)
                if isinstance(answer, Future):
                    self.parked[index] = cast("Future[Any]", answer)
                    return
                ride.tell(_waited(answer))
        except Exception as error:  # noqa: BLE001 - why: one flow's failure is that flow's result
            self.results[index] = error
            return
        if ride.done:
            self.results[index] = ride.result
        else:
            self.calling[index] = ride


def _attempt(perform: Perform, effect: Effect[Any]) -> Any:
    """The answer to `effect`, which may be a `Work` or a future yet, or the exception it came to."""
    try:
        return perform(effect)
    except Exception as failure:  # noqa: BLE001 - why: the flow decides what a failure means
        return failure


def _called(ride: Ride[Any]) -> Request:
    assert isinstance(ride.effect, Call)
    return ride.effect.request


def _settled(effect: Effect[Any], answer: Any) -> Any:
    """`answer`, waited for. A blocking call inside of async code goes alone (None): whoever it would wait for may
    run on the very event loop that it holds up."""
    if type(effect) in (Join, Gather) and isinstance(answer, Future) and on_event_loop() and answer.cancel():
        return None
    return _wait(answer)


def _wait(answer: Any) -> Any:
    if type(answer) is Work:
        return cast("Work[Any]", answer).run()
    if not isinstance(answer, Future):
        return answer
    waiting = cast("Future[Any]", answer)
    try:
        return waiting.result()
    except BaseException:
        waiting.cancel()
        raise


def _waited(answer: Any) -> Any:
    try:
        return _wait(answer)
    except Exception as failure:  # noqa: BLE001 - why: the flow decides what a failure means
        return failure


async def _awaited(answer: Any) -> Any:
    if isinstance(answer, Future):
        return await _arrived(cast("Future[Any]", answer))
    return await answer if inspect.isawaitable(answer) else answer


async def _arrived(answer: Future[Any]) -> Any:
    if on_event_loop():
        return await asyncio.wrap_future(answer)
    from anyio import to_thread  # trio, which the SDKs run on by way of it; asyncio's own way is quicker

    return await to_thread.run_sync(answer.result, abandon_on_cancel=True)


def depart(ride: Ride[Any], perform: Perform, pending: Any = None, executor: Executor | None = None) -> None:
    """The caller left during an effect. What `pending` comes to all the same is handed over, when it does; an effect
    that does not wait (a settlement, a record) is still performed; then the flow is interrupted. What blocks is done
    on `executor`: who leaves an event loop must not hold it up."""
    asked = cast("Future[Any]", pending) if isinstance(pending, Future) else None
    if asked is not None and not asked.cancel():
        asked.add_done_callback(lambda done: _close_out(ride, perform, _outcome(done), executor))
    else:
        _close_out(ride, perform, _last_answer(ride.effect, perform), executor)


def _outcome(done: Future[Any]) -> Any:
    error = done.exception()
    return error if isinstance(error, Exception) else done.result()


def _close_out(ride: Ride[Any], perform: Perform, answer: Any, executor: Executor | None = None) -> None:
    """Take the last steps of a flow whose caller has left; effects that wait are answered by leaving again."""
    try:
        while not ride.done:
            if executor is not None and type(answer) is Work:
                executor.submit(_close_out, ride, perform, cast("Work[Any]", answer))
                return
            ride.tell(_waited(answer))
            if not ride.done:
                answer = _last_answer(ride.effect, perform)
    except (Interrupted, UpstreamError):
        return
    except Exception as error:  # noqa: BLE001 - why: the caller is leaving with what made him leave
        _log.warning("costopt: a call could not be closed: %s", type(error).__name__)


def _last_answer(effect: Effect[Any], perform: Perform) -> Any:
    return Interrupted(None) if effect.waits else _attempt(perform, effect)


def stream(live: Live) -> Generator[bytes]:
    """Pass a live stream on, chunk by chunk, and finish its flow."""
    failure: Exception | None = None
    try:
        for chunk in live.opened.chunks:
            yield live.take(chunk)
    except Exception as error:  # noqa: BLE001 - why: the flow decides what a failure means
        failure = error
    except BaseException:
        live.leave()
        raise
    try:
        if live.finish(failure):
            resume(live.ride, live.perform)
    except UpstreamError:
        if failure is not None:
            raise failure from None


async def astream(live: Live, executor: Executor) -> AsyncGenerator[bytes]:
    """`stream` on an event loop."""
    failure: Exception | None = None
    try:
        async for chunk in live.opened.chunks:
            yield live.take(chunk)
    except Exception as error:  # noqa: BLE001 - why: the flow decides what a failure means
        failure = error
    except BaseException:
        live.leave(executor)
        raise
    try:
        if live.finish(failure):
            await aresume(live.ride, live.perform, executor)
    except UpstreamError:
        if failure is not None:
            raise failure from None
