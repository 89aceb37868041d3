"""Where event loops run what blocks."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from costopt.world.waiting import after_fork

P = ParamSpec("P")
T = TypeVar("T")
THREADS = 8


class Workers(Executor):
    """A thread pool with no thread before the first use and new ones in a forked child. Once it is shut down, or the
    interpreter is ending, work is done at once on the thread that hands it in: what was paid for is still booked."""

    def __init__(self) -> None:
        self._shut = False
        self._start_afresh()
        after_fork(self._start_afresh)

    def _start_afresh(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        if self._shut:
            return _done(fn, *args, **kwargs)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="costopt")
        try:
            return self._pool.submit(fn, *args, **kwargs)
        except RuntimeError:  # shut down meanwhile, or no thread can be had
            return _done(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._shut = True
        if self._pool is not None:
            self._pool.shutdown(wait, cancel_futures=cancel_futures)


def _done(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
    done: Future[Any] = Future()
    try:
        done.set_result(fn(*args, **kwargs))
    except Exception as error:  # noqa: BLE001 - why: as a pool does, for whoever waits
        done.set_exception(error)
    return done
