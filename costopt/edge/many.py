"""Many calls at once, in input order: behind `Optimizer.map` and `amap`.

A mapping among `requests` is the keyword arguments of one call, anything else its one argument. Requests are
drawn only as calls can begin. A call that fails leaves its exception in its place; what is no `Exception`
(Ctrl-C, a cancelled task) stops all.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import Any, TypeVar, cast

T = TypeVar("T")
#: As many as a provider's lowest tier bears.
CONCURRENCY = 8


def map_calls(
    call: Callable[..., T], requests: Iterable[Any], concurrency: int = CONCURRENCY
) -> list[T | Exception]:
    """`call` for each of `requests` on up to `concurrency` threads; each sees the caller's `costopt.tags`.

    Raises TypeError for an async `call`, ValueError for a `concurrency` below 1, and whatever drawing
    `requests` raises. After Ctrl-C no call begins any more; those under way end on their own.
    """
    _check(concurrency)
    if inspect.iscoroutinefunction(call):
        raise TypeError("map is for synchronous calls: await amap instead")
    results: list[Future[T | Exception]] = []
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="costopt-map")
    try:
        _submit_all(pool, call, requests, results, concurrency)
        found = [future.result() for future in results]
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


def _attempt(call: Callable[..., T], request: Any) -> T | Exception:
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

    When the caller is cancelled, calls under way are cancelled too and settled before this returns.
    """
    _check(concurrency)
    tasks: list[asyncio.Task[T | Exception]] = []
    try:
        await _start_all(call, requests, tasks, concurrency)
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def _start_all(
    call: Callable[..., Awaitable[T]],
    requests: Iterable[Any] | AsyncIterable[Any],
    tasks: list[asyncio.Task[T | Exception]],
    concurrency: int,
) -> None:
    running: set[asyncio.Task[T | Exception]] = set()
    async for request in _drawn(requests):
        task = asyncio.ensure_future(_aattempt(call, request))
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


async def _aattempt(call: Callable[..., Awaitable[T]], request: Any) -> T | Exception:
    try:
        return await _apply(call, request)
    except Exception as error:  # noqa: BLE001 - why: a failure is that call's result
        return error


def _check(concurrency: int) -> None:
    if concurrency < 1:
        raise ValueError(f"concurrency must be at least 1, not {concurrency}")
