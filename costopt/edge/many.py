"""Many calls at once, in input order: behind `Optimizer.map` and `amap`.

A mapping among `requests` is the keyword arguments of one call, anything else its one argument. Requests are
drawn only as calls can begin. A call that fails leaves its exception in its place; what is no `Exception`
(Ctrl-C, a cancelled task) stops all.

Only what a call returns shows for certain whether it is async: SDKs wrap their `async def` methods in plain ones, and
a lambda tells nothing. So `amap` takes a plain result for the result, since it may have been paid for, and `map`
refuses an awaitable, which nobody has awaited and so nobody has paid for.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import partial
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")
#: As many as a provider's lowest tier bears.
CONCURRENCY = 8


class _IsAsync(TypeError):
    """What `map` says of a call that returns an awaitable."""

    def __init__(self) -> None:
        super().__init__("map is for synchronous calls: await amap instead")


def map_calls(
    call: Callable[..., T], requests: Iterable[Any], concurrency: int = CONCURRENCY
) -> list[T | Exception]:
    """`call` for each of `requests` on up to `concurrency` threads; each sees the caller's `costopt.tags`.

    Raises TypeError for an async `call`, at the latest when its first results are awaitables; ValueError for a
    `concurrency` below 1; and whatever drawing `requests` raises. An awaitable among plain results is a TypeError in
    its place. After Ctrl-C no call begins any more; those under way end on their own.
    """
    _check(concurrency)
    if _is_async(call):
        raise _IsAsync
    results: list[Future[T | Exception]] = []
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="costopt-map")
    try:
        _submit_all(pool, call, requests, results, concurrency)
        found = [future.result() for future in results]
        _refuse_async(results)
    except BaseException as error:
        pool.shutdown(wait=isinstance(error, Exception), cancel_futures=True)
        raise
    pool.shutdown()
    return found


def _submit_all(
    pool: ThreadPoolExecutor,
    call: Callable[..., T],
    requests: Iterable[Any],
    results: list[Future[T | Exception]],
    concurrency: int,
) -> None:
    running: set[Future[T | Exception]] = set()
    for request in requests:
        future = pool.submit(copy_context().run, _attempt, call, request)
        results.append(future)
        running.add(future)
        if len(running) >= concurrency:
            running = wait(running, return_when=FIRST_COMPLETED).not_done
            _refuse_async(results)


def _refuse_async(results: list[Future[T | Exception]]) -> None:
    """Raises TypeError where `results` has ended ones and all of them were awaitables."""
    if results and all(isinstance(each.result(), _IsAsync) for each in results if each.done()):
        raise _IsAsync


def _is_async(call: Callable[..., Any]) -> bool:
    """Whether `call` is an `async def`, also as a method, as an object or with some arguments given."""
    inner: Any = call.func if isinstance(call, partial) else call
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(inner.__call__)


def _attempt(call: Callable[..., T], request: Any) -> T | Exception:
    result = _made(call, request)
    if not inspect.isawaitable(result):
        return result
    if inspect.iscoroutine(result):
        result.close()  # why: or Python warns that it was never awaited
    return _IsAsync()


def _made(call: Callable[..., T], request: Any) -> T | Exception:
    try:
        return _apply(call, request)
    except Exception as error:  # noqa: BLE001 - why: a failure is that call's result
        return error


def _apply(call: Callable[..., T], request: Any) -> T:
    if isinstance(request, Mapping):
        return call(**cast("Mapping[str, Any]", request))
    return call(request)


async def amap_calls(
    call: Callable[..., Awaitable[T]],
    requests: Iterable[Any] | AsyncIterable[Any],
    concurrency: int = CONCURRENCY,
) -> list[T | Exception]:
    """`map_calls` on the running event loop, for an async `call`; `requests` may be drawn asynchronously.

    When the caller is cancelled, calls under way are cancelled too and settled before this returns. A synchronous
    `call` is better off in `map`: here its first call holds up the event loop, and the others go to the loop's
    default executor, where no cancellation reaches them.
    """
    _check(concurrency)
    attempt = _Attempt(call)
    tasks: list[asyncio.Task[T | Exception]] = []
    try:
        await _start_all(attempt, requests, tasks, concurrency)
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def _start_all(
    attempt: _Attempt[T],
    requests: Iterable[Any] | AsyncIterable[Any],
    tasks: list[asyncio.Task[T | Exception]],
    concurrency: int,
) -> None:
    running: set[asyncio.Task[T | Exception]] = set()
    async for request in _drawn(requests):
        task = asyncio.ensure_future(attempt.on(request))
        tasks.append(task)
        running.add(task)
        if len(running) >= concurrency:
            _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)


async def _drawn(requests: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
        return
    for request in requests:
        yield request


class _Attempt(Generic[T]):
    """An async `call`; one that has returned something plain goes to threads from then on."""

    def __init__(self, call: Callable[..., Awaitable[T]]) -> None:
        self._call: Callable[..., Awaitable[T] | T] = call
        self._plain = False

    async def on(self, request: Any) -> T | Exception:
        if self._plain:
            made = await asyncio.to_thread(_made, self._call, request)
        else:
            made = _made(self._call, request)
        if not inspect.isawaitable(made):
            self._plain = self._plain or not isinstance(made, Exception)
            return made
        try:
            return cast("T", await made)
        except Exception as error:  # noqa: BLE001 - why: a failure is that call's result
            return error


def _check(concurrency: int) -> None:
    if concurrency < 1:
        raise ValueError(f"concurrency must be at least 1, not {concurrency}")
