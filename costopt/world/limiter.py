"""Rate limits: requests and tokens per exactly sliding window, first come first served.

In no window of `window_s` seconds, wherever it starts, are more requests or tokens let through than the quota
says. Works across threads and event loops: whoever must wait gets a `concurrent.futures.Future`. A waiter who
cancels leaves the queue, and those behind move up.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, TypeAlias

from costopt.effects import Quota, Ticket
from costopt.errors import Closed, LimitExceeded
from costopt.world.clock import SECOND, Clock, Timer
from costopt.world.waiting import after_fork, claim
from costopt.world.window import Window

if TYPE_CHECKING:
    from costopt.world.pace import Pace

_Key: TypeAlias = tuple[str, float]


class _Waiter:
    """One request in the queue of every line it must pass."""

    __slots__ = ("future", "lines", "quotas", "since", "tokens")

    def __init__(self, quotas: tuple[Quota, ...], tokens: int, lines: list[_Line], since: int) -> None:
        self.quotas = quotas
        self.tokens = tokens
        self.lines = lines
        self.since = since
        self.future: Future[Ticket] = Future()

    def first_anywhere(self) -> bool:
        return any(line.head() is self for line in self.lines)

    def first_everywhere(self) -> bool:
        return all(line.head() is self for line in self.lines)

    def leave(self) -> None:
        for line in self.lines:
            line.queue.pop(self, None)


class _Line:
    """One quota group and window length: what was let through, who waits, and the pace beneath the window."""

    __slots__ = ("_mono", "_paces", "queue", "window")

    def __init__(self, window_s: float, mono: Callable[[], int]) -> None:
        self.window = Window(int(window_s * SECOND))
        self.queue: OrderedDict[_Waiter, None] = OrderedDict()
        self._mono = mono
        self._paces: dict[int, Pace | None] = {}

    def head(self) -> _Waiter | None:
        return next(iter(self.queue), None)

    def ready_at(self, quota: Quota, tokens: int, now: int) -> int:
        at = self.window.ready_at(quota, tokens, now)
        pace = self.pace(quota)
        return at if pace is None else max(at, pace.ready_at(now))

    def pace(self, quota: Quota) -> Pace | None:
        """The pace of this quota, None where it has none. A policy that changes a quota begins a new pace."""
        requests = quota.requests
        if requests is None:
            return None
        if requests not in self._paces:
            from costopt.world.pace import pace  # aiolimiter and asyncio load with the first quota

            self._paces[requests] = pace(requests, quota.window_s, self._mono)
        return self._paces[requests]


class Limiter:
    """Lines by quota group and window length. One timer wakes whoever can go next."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ids = count(1)
        self._reset()
        after_fork(self._reset)

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._lines: dict[_Key, _Line] = {}
        self._gates: dict[str, int] = {}
        self._timer: Timer | None = None
        self._closed = False

    def admit(self, quotas: tuple[Quota, ...], tokens: int) -> Ticket | Future[Ticket]:
        """A ticket for one request of `tokens` if it fits all quotas now, else a future of one.

        Raises LimitExceeded when it is larger than a whole window, Closed after `close`.
        """
        _refuse_oversize(quotas, tokens)
        with self._lock:
            if self._closed:
                raise Closed("this Optimizer was closed while the call waited; nothing was sent")
            lines = [self._line(quota) for quota in quotas]
            now = self._clock.mono()
            if (
                all(line.head() is None for line in lines)
                and self._ready_at(quotas, lines, tokens, now) <= now
            ):
                return self._grant(quotas, lines, tokens, now, now)
            waiter = _Waiter(quotas, tokens, lines, now)
            for line in lines:
                line.queue[waiter] = None
            first = waiter.first_anywhere()
        waiter.future.add_done_callback(partial(self._left, waiter))
        if first:
            self._pump(lines)
        return waiter.future

    def correct(self, ticket: Ticket, tokens: int) -> None:
        """Count `tokens` for this ticket instead of its estimate, as of when it was let through."""
        with self._lock:
            lines = [self._line(quota) for quota in ticket.quotas]
            for line in lines:
                line.window.correct(ticket.id, tokens)
            waited_for = any(line.queue for line in lines)
        if waited_for:
            self._pump(lines)

    def cool(self, groups: tuple[str, ...], seconds: float) -> None:
        """Let nobody of `groups` through for `seconds`; a longer pause that is already on stays."""
        until = self._clock.mono() + int(seconds * SECOND)
        with self._lock:
            for group in groups:
                self._gates[group] = max(until, self._gates.get(group, 0))
        self._pump(self._lines.values())

    def close(self) -> None:
        """Everybody who waits gets Closed. May be called again."""
        with self._lock:
            self._closed = True
            waiting = {waiter for line in self._lines.values() for waiter in line.queue}
            self._lines.clear()
            self._set_timer(None)
        for waiter in waiting:
            if claim(waiter.future):
                waiter.future.set_exception(
                    Closed("this Optimizer was closed while the call waited; nothing was sent")
                )

    def _line(self, quota: Quota) -> _Line:
        key = (quota.group, quota.window_s)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line(quota.window_s, self._clock.mono)
        return line

    def _ready_at(self, quotas: Sequence[Quota], lines: Sequence[_Line], tokens: int, now: int) -> int:
        """When one request of `tokens` fits every window and every gate is open; `now` means at once."""
        at = now
        for quota, line in zip(quotas, lines, strict=True):
            gate = self._gates.get(quota.group, 0)
            at = max(at, gate, line.ready_at(quota, tokens, now))
        return at

    def _grant(
        self, quotas: tuple[Quota, ...], lines: Sequence[_Line], tokens: int, since: int, now: int
    ) -> Ticket:
        ticket = Ticket(next(self._ids), quotas, tokens, now - since, self._clock.now())
        for line in dict.fromkeys(lines):  # two quotas may share a line; the request counts once
            line.window.add(ticket.id, tokens, now)
        paces = [line.pace(quota) for quota, line in zip(quotas, lines, strict=True)]
        for pace in dict.fromkeys(paces):
            if pace is not None:
                pace.take()
        return ticket

    def _left(self, waiter: _Waiter, future: Future[Ticket]) -> None:
        if not future.cancelled():
            return
        with self._lock:
            first = waiter.first_anywhere()
            waiter.leave()
        if first:
            self._pump(waiter.lines)

    def _pump(self, lines: Iterable[_Line]) -> None:
        """Let through whoever can go, then set the timer for whoever is next."""
        granted: list[tuple[Future[Ticket], Ticket]] = []
        with self._lock:
            moved = list(lines)
            while moved:
                moved.extend(self._advance(moved.pop(), granted))
            self._set_timer(self._next_at())
        for future, ticket in granted:
            future.set_result(ticket)

    def _advance(self, line: _Line, granted: list[tuple[Future[Ticket], Ticket]]) -> list[_Line]:
        """Let the head of `line` through if it is first everywhere and fits; the lines that moved by it."""
        waiter, now = line.head(), self._clock.mono()
        if waiter is None or not waiter.first_everywhere():
            return []
        if self._ready_at(waiter.quotas, waiter.lines, waiter.tokens, now) > now:
            return []
        waiter.leave()
        if claim(waiter.future):
            ticket = self._grant(waiter.quotas, waiter.lines, waiter.tokens, waiter.since, now)
            granted.append((waiter.future, ticket))
        return waiter.lines

    def _next_at(self) -> int | None:
        now = self._clock.mono()
        heads = {head for line in self._lines.values() if (head := line.head()) and head.first_everywhere()}
        times = (self._ready_at(head.quotas, head.lines, head.tokens, now) for head in heads)
        return min(times, default=None)

    def _set_timer(self, at: int | None) -> None:
        if self._timer is not None:
            if self._timer.due == at and self._timer.run is not None:
                return
            self._timer.cancel()
        self._timer = None if at is None else self._clock.call_at(at, self._tick)

    def _tick(self) -> None:
        self._pump(self._lines.values())


def _refuse_oversize(quotas: Iterable[Quota], tokens: int) -> None:
    for quota in quotas:
        if quota.tokens is not None and tokens > quota.tokens:
            limit = f"{quota.tokens} tokens per {quota.window_s:g} s"
            raise LimitExceeded(f"limit {quota.group!r}: {tokens} tokens can never fit {limit}")
        if quota.requests is not None and quota.requests < 1:
            raise LimitExceeded(f"limit {quota.group!r} lets no request through")
