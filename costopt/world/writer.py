"""One background thread that writes what others hand over: facts to the ledger, answers to the disk cache.

`put` costs the caller about a microsecond and never raises because of a disk. What a sink could not write is
counted in `Writer.lost`, warned about once, and gone; later items are tried again.
"""

from __future__ import annotations

import atexit
import logging
import sqlite3
import sys
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, TypeAlias

from costopt.errors import Closed, CostoptError
from costopt.world.waiting import follow_forks

Sink: TypeAlias = Callable[[list[Any]], None]

_log = logging.getLogger("costopt")


class Partial(Exception):
    """A sink wrote all but `lost` of its items; `cause` says why those could not be written."""

    def __init__(self, lost: int, cause: Exception) -> None:
        super().__init__(f"{lost} items: {type(cause).__name__}")
        self.lost = lost
        self.cause = cause


class Writer:
    """A queue with one daemon thread behind it, started by the first `put`, gone after `idle_s` without work.

    Items wait `window_s` (100 ms) before they are written, so one transaction takes many of them and callers seldom
    meet this thread at the GIL: at 20 ms, 1,000 misses a second took each caller 100 µs more.
    Once `backlog` items wait, `put` blocks until there is room. A caller that computes without a pause can keep the
    GIL from this thread for seconds; so when items have waited `late_s` (0.5 s), `put` stands aside for up to
    `aside_s` (50 ms) until they are written: no more than a tenth of the time, even where a disk hangs. What waits
    when the process or a worker of multiprocessing ends is written then; only a kill loses it. A forked child starts
    with an empty queue: its parent writes what was waiting. While it waits for work the thread keeps no sink alive, so
    no file either; who owns a writer and is forgotten without `close` has it `retire`.
    """

    def __init__(
        self,
        *,
        window_s: float = 0.1,
        backlog: int = 100_000,
        batch: int = 2048,
        idle_s: float = 60.0,
        late_s: float = 0.5,
        aside_s: float = 0.05,
    ):
        self.lost: Counter[str] = Counter()
        self._window_s = window_s
        self._backlog = backlog
        self._batch = batch
        self._idle_s = idle_s
        self._late_s = late_s
        self._aside_s = aside_s
        self._closed = False
        self._leaving = False
        self._warned: set[str] = set()
        self._at_exit = _Leaving(self)
        self._fresh()
        follow_forks(self)

    def _fresh(self) -> None:
        # RLock: a signal handler or a __del__ may record a call while this thread is inside `put`
        self._lock = threading.RLock()
        self._work = threading.Condition(self._lock)
        self._done = threading.Condition(self._lock)
        self._items: deque[tuple[Sink, Any]] = deque()
        self._thread: threading.Thread | None = None
        self._asleep = False
        self._urgent = 0
        self._since = 0.0
        self._accepted = 0
        self._written = 0

    def put(self, sink: Sink, item: Any) -> None:
        """Hand `item` to `sink`, later, on the writer's thread. Raises Closed."""
        with self._lock:
            if self._closed:
                raise Closed("the writer was closed")
            if len(self._items) >= self._backlog:
                self._wait_for_room()
            now = time.monotonic()
            if not self._items:
                self._since = now
            self._items.append((sink, item))
            self._accepted += 1
            if self._asleep:
                self._asleep = False
                self._work.notify()
            elif self._thread is None:
                self._start()
            if now - self._since >= self._late_s:
                self._stand_aside()
        if self._leaving:
            self.flush()

    def flush(self) -> None:
        """Return once everything put so far is written (or counted as lost)."""
        with self._lock:
            if self._thread is threading.current_thread():
                return
            caught_up, alone = self._caught_up(), self._thread is None
        if alone:
            self._run()  # without the lock: a sink has locks of its own, and a fork takes them all
        with self._lock:
            self._hurry(caught_up)

    def close(self) -> None:
        """Write what waits and end the thread; `put` raises Closed from now on. Closing twice is fine."""
        with self._lock:
            self._closed = True
            thread = self._thread
            self._work.notify()
            self._done.notify_all()
        if thread is None:
            self._run()
        elif thread is not threading.current_thread():
            thread.join()

    def retire(self) -> None:
        """Nobody holds this writer any more: end its thread as soon as what waits is written.

        What is put all the same, by a stream that is collected with the owner, is written too. The garbage collector
        may call this anywhere.
        """
        with self._lock:
            self._idle_s = 0.0
            self._work.notify()
            if self._items and self._thread is None:
                self._start()
            alone = self._thread is None
        if alone:  # out of threads
            self._run()

    def leave(self) -> None:
        """The process is ending: write what waits, and from now on each item before `put` returns."""
        self._leaving = True
        self.flush()

    def _wait_for_room(self) -> None:
        if self._thread is threading.current_thread():
            return
        self._hurry(lambda: len(self._items) < self._backlog or self._closed)
        if self._closed:
            raise Closed("the writer was closed")

    def _stand_aside(self) -> None:
        if self._thread not in (None, threading.current_thread()):
            self._hurry(self._caught_up(), self._aside_s)
            self._since = time.monotonic()

    def _caught_up(self) -> Callable[[], bool]:
        target = self._accepted
        return lambda: self._written >= target

    def _hurry(self, until: Callable[[], bool], at_most_s: float | None = None) -> None:
        self._urgent += 1
        self._work.notify()
        try:
            self._done.wait_for(until, at_most_s)
        finally:
            self._urgent -= 1

    def _start(self) -> None:
        if not threading.main_thread().is_alive():  # the first item comes while the interpreter ends
            self._leaving = True
            return
        self._at_exit.expect()
        thread = threading.Thread(target=self._run, name="costopt-writer", daemon=True)
        try:
            thread.start()
        except (
            RuntimeError
        ) as error:  # why: out of threads is no reason to fail a call; flush and close write inline
            self._warn("writer", f"{error}; facts wait in memory")
            return
        self._thread = thread

    def _run(self) -> None:
        while self._write():
            pass

    def _write(self) -> bool:
        """Wait for work and do it; False when this thread's life is over. Its own frame, because what a sleeping
        thread has in its variables stays alive: two SQLite stores with eight open files, for `idle_s`."""
        batch = self._take()
        for sink, items in _by_sink(batch).items():
            self._deliver(sink, items)
        with self._lock:
            self._written += len(batch)
            self._done.notify_all()
        return bool(batch)

    def _take(self) -> list[tuple[Sink, Any]]:
        """The next items in order; empty means this thread's life is over."""
        with self._lock:
            if self._thread is threading.current_thread():
                self._wait()
            count = min(len(self._items), self._batch)
            if not count and self._thread in (None, threading.current_thread()):
                self._thread = None
                self._at_exit.forget()
            return [self._items.popleft() for _ in range(count)]

    def _wait(self) -> None:
        """For work, then for more of it."""
        if not self._items:
            self._asleep = True
            self._work.wait_for(lambda: self._items or self._ends(), self._idle_s)
            self._asleep = False
        if 0 < len(self._items) < self._batch:
            self._work.wait_for(lambda: self._urgent or self._ends(), self._window_s)

    def _ends(self) -> bool:
        return self._closed or not self._idle_s

    def _deliver(self, sink: Sink, items: list[Any]) -> None:
        try:
            sink(items)
        except Partial as error:
            self._lose(sink, error.lost, error.cause)
        except Exception as error:  # noqa: BLE001  # why: no disk may end this thread
            self._lose(sink, len(items), error)

    def _lose(self, sink: Sink, count: int, error: Exception) -> None:
        name = getattr(sink, "__qualname__", type(sink).__name__)
        self.lost[name] += count
        self._warn(name, f"lost {count} items, calls go on without it: {_reason(error)}")

    def _warn(self, name: str, what: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            _log.warning("%s: %s", name, what)

    def before_fork(self) -> None:
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        self._at_exit.forget()
        self._fresh()


class _Leaving:
    """Writes what waits when the interpreter or a multiprocessing worker ends, without keeping a writer alive."""

    def __init__(self, writer: Writer) -> None:
        self._writer = weakref.ref(writer)
        self._expected = False
        self._worker_end: Any = None

    def __call__(self) -> None:
        if (writer := self._writer()) is not None:
            writer.leave()

    def expect(self) -> None:
        if self._expected:
            return
        self._expected = True
        atexit.register(self)
        # a worker of multiprocessing ends without atexit; its own finalizers do run
        if (util := sys.modules.get("multiprocessing.util")) is not None:
            self._worker_end = util.Finalize(None, self, exitpriority=0)

    def forget(self) -> None:
        self._expected = False
        atexit.unregister(self)
        if self._worker_end is not None:
            self._worker_end.cancel()
            self._worker_end = None


def _by_sink(batch: list[tuple[Sink, Any]]) -> dict[Sink, list[Any]]:
    """The items of each sink in their order; a call's fact and its answer come in turn, and belong in two batches."""
    sinks: dict[Sink, list[Any]] = {}
    for sink, item in batch:
        sinks.setdefault(sink, []).append(item)
    return sinks


def _reason(error: Exception) -> str:
    """The message only where it cannot hold a prompt."""
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, (OSError, sqlite3.Error, CostoptError)) else name
