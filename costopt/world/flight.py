"""In-process single-flight: of many callers that want the same answer at once, one asks and the rest wait.

Works across threads and event loops. A follower waits on a `concurrent.futures.Future` and may cancel it.
"""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import Future
from itertools import count

from costopt.effects import Lead
from costopt.types import Entry
from costopt.world.waiting import after_fork, give


class _Air:
    """One key in flight: who leads (held weakly, to notice when the lead is lost) and who waits."""

    __slots__ = ("lead", "token", "waiting")

    def __init__(self, token: int, lead: weakref.ref[Lead]) -> None:
        self.token = token
        self.lead = lead
        self.waiting: list[Future[Entry | None]] = []


class Flight:
    """Who is asking for what right now."""

    def __init__(self) -> None:
        self._tokens = count(1)
        self._reset()
        after_fork(self._reset)

    def _reset(self) -> None:
        # An RLock, because a garbage-collected lead lands from wherever the collector happens to run.
        self._lock = threading.RLock()
        self._air: dict[str, _Air] = {}

    def join(self, key: str) -> Lead | Future[Entry | None]:
        """`Lead` for the first; for the rest a future of the leader's entry, None if the leader failed."""
        with self._lock:
            air = self._air.get(key)
            if air is None:
                return self._take_off(key)
            future: Future[Entry | None] = Future()
            air.waiting.append(future)
            return future

    def land(self, lead: Lead, entry: Entry | None) -> None:
        """Answer everybody who waits behind `lead`. A lead that has landed before is ignored."""
        self._land(lead.key, lead.token, entry)

    def close(self) -> None:
        """Send every follower off alone. May be called again."""
        for key, air in list(self._air.items()):
            self._land(key, air.token, None)

    def _take_off(self, key: str) -> Lead:
        token = next(self._tokens)
        lead = Lead(key, token)
        self._air[key] = _Air(token, weakref.ref(lead, lambda _: self._land(key, token, None)))
        return lead

    def _land(self, key: str, token: int, entry: Entry | None) -> None:
        with self._lock:
            air = self._air.get(key)
            if air is None or air.token != token:
                return
            del self._air[key]
        for future in air.waiting:
            give(future, entry)
