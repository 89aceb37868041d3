"""A clock for a program with one caller: nobody sits out a wait, time goes on ahead by it instead."""

from __future__ import annotations

import time
from collections.abc import Callable

from costopt.world.clock import Clock, Timer


class Ahead(Clock):
    """The machine's time, and what was waited for until now on top of it.

    All that anybody sees of the waits is true: when calls begin, how long they were held back, which budget's day it
    is. Only with one caller: others would lose time by the waits of the first.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ahead = 0

    def now(self) -> int:
        return time.time_ns() + self._ahead

    def mono(self) -> int:
        return time.monotonic_ns() + self._ahead

    def call_at(self, due: int, run: Callable[[], object]) -> Timer:
        with self._wake:
            self._ahead += max(0, due - self.mono())
            return super().call_at(due, run)
