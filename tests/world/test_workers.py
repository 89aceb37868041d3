"""Threads for work that blocks."""

from __future__ import annotations

import threading
from concurrent.futures import Future

from costopt.world.workers import Workers


def _here(before: threading.Thread, done: Future[threading.Thread]) -> bool:
    return done.result() is before


def test_work_goes_to_threads_and_once_shut_to_whoever_brings_it() -> None:
    workers = Workers()
    me = threading.current_thread()
    assert not _here(me, workers.submit(threading.current_thread))
    workers.shutdown()
    assert _here(me, workers.submit(threading.current_thread))
    assert isinstance(workers.submit(int, "x").exception(), ValueError)


def test_without_work_there_is_no_thread() -> None:
    before = threading.active_count()
    Workers().shutdown()
    assert threading.active_count() == before
