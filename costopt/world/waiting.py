"""What all parts that let callers wait share: answering a future once, starting afresh after a fork."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def give(future: Future[T], value: T) -> bool:
    """Answer `future`; False when its waiter has left, so that the caller can answer the next one."""
    if not claim(future):
        return False
    future.set_result(value)
    return True


def claim(future: Future[T]) -> bool:
    """Make sure `future` can no longer be cancelled; then it must be answered. False: its waiter has left.

    Runs no callback, so it may be called under a lock where `set_result` may not.
    """
    return not future.done() and future.set_running_or_notify_cancel()


def on_event_loop() -> bool:
    """Whether this code runs on an event loop, which must not block."""
    return asyncio._get_running_loop() is not None  # `get_running_loop` would raise, at 1 µs a call


def after_fork(method: Callable[[], None]) -> None:
    """Call the bound `method` in every forked child, for as long as its owner lives."""
    if not hasattr(os, "register_at_fork"):  # Windows does not fork
        return
    owner = weakref.WeakMethod(method)

    def run() -> None:
        alive = owner()
        if alive is not None:
            alive()

    os.register_at_fork(after_in_child=run)
