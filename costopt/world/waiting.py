"""What all parts that let callers wait share: answering a future once, starting afresh after a fork."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from itertools import count
from types import MethodType
from typing import Any, Protocol, TypeAlias, TypeVar, cast

T = TypeVar("T")
#: An owner and what to call with it, by place in the order.
_Hook: TypeAlias = tuple[Callable[[], object | None], Callable[[Any], object]]
_Hooks: TypeAlias = dict[int, _Hook]
_NOBODY: _Hook = (lambda: None, id)

_log = logging.getLogger("costopt")


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


class Forkable(Protocol):
    """Something that must be still while the process forks, and starts afresh in the child."""

    def before_fork(self) -> None: ...
    def after_fork_in_parent(self) -> None: ...
    def after_fork_in_child(self) -> None: ...


def follow_forks(owner: Forkable) -> None:
    """Call `owner`'s methods around every fork for as long as it lives."""
    _forks.follow(owner.after_fork_in_child, owner.before_fork, owner.after_fork_in_parent)


def after_fork(method: Callable[[], None]) -> None:
    """Call the bound `method` in every forked child, for as long as its owner lives."""
    _forks.follow(method)


class _Forks:
    """Whoever follows forks, held weakly. The interpreter never forgets a hook it was given, so it gets ours alone: a
    hook for each owner took 700 bytes and 1 µs of every later fork, for ever.

    Owners are called in the order in which they came; before a fork in the opposite one.
    """

    def __init__(self) -> None:
        self._places = count()
        self._child: _Hooks = {}
        self._before: _Hooks = {}
        self._parent: _Hooks = {}
        #: Who is still, by the thread that forks: they alone are let go, whoever comes meanwhile.
        self._still: dict[int, list[int]] = {}

    def follow(self, child: Callable[[], None], *around: Callable[[], None]) -> None:
        place = next(self._places)
        for hooks, method in zip((self._child, self._before, self._parent), (child, *around), strict=False):
            bound = cast("MethodType", method)
            hooks[place] = weakref.ref(bound.__self__, partial(_forget, hooks, place)), bound.__func__

    def before(self) -> None:
        places = list(self._before.copy())  # a dict is copied in one step, whatever other threads do
        self._still[threading.get_ident()] = places
        _call(self._before, reversed(places))

    def in_parent(self) -> None:
        _call(self._parent, self._still.pop(threading.get_ident(), ()))

    def in_child(self) -> None:
        self._still.clear()
        _call(self._child, list(self._child.copy()))


def _call(hooks: _Hooks, places: Iterable[int]) -> None:
    for place in places:
        owner, act = hooks.get(place, _NOBODY)
        if (alive := owner()) is not None:
            try:
                act(alive)
            except Exception:  # noqa: BLE001 - why: the others must be stilled and let go all the same
                _log.exception("costopt: a hook around a fork failed")


def _forget(hooks: _Hooks, place: int, _: object) -> None:
    hooks.pop(place, None)


_forks = _Forks()
if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(
        before=_forks.before, after_in_parent=_forks.in_parent, after_in_child=_forks.in_child
    )
