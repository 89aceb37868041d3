"""In-process single-flight: of many callers that want the same answer at once, one asks and the rest wait.

Works across threads and event loops. A follower waits on a `concurrent.futures.Future` and may cancel it. Nobody
follows a leader who cannot move on before the follower does: one on another event loop of the same thread.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from concurrent.futures import Future
from itertools import count

from msgspec import Struct

from costopt.effects import Lead
from costopt.types import Entry
from costopt.world.waiting import after_fork, give


class _Place(Struct, frozen=True):
    """Where a call runs: on a thread, and on which event loop of it."""

    thread: int
    loop: asyncio.AbstractEventLoop | None

    def stuck_for(self, follower: _Place) -> bool:
        """Whether a leader here would never come on while `follower` waits."""
        if self.loop is not None and self.loop.is_closed():
            return True
        return self.thread == follower.thread and self.loop is not follower.loop


class _Air(Struct):
    """One key in flight: who leads (held weakly, to notice when the lead is lost), where, and who waits."""

    token: int
    lead: weakref.ref[Lead]
    place: _Place
    waiting: list[Future[Entry | None]] = []


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
        """`Lead` for the first; for the rest a future of the leader's entry, None if the leader failed or cannot
        be waited for."""
        place = _Place(threading.get_ident(), asyncio._get_running_loop())
        with self._lock:
            air = self._air.get(key)
            if air is None:
                return self._take_off(key, place)
            future: Future[Entry | None] = Future()
            if air.place.stuck_for(place):
                future.set_result(None)
            else:
                air.waiting.append(future)
            return future

    def land(self, lead: Lead, entry: Entry | None) -> None:
        """Answer everybody who waits behind `lead`. A lead that has landed before is ignored."""
        self._land(lead.key, lead.token, entry)

    def close(self) -> None:
        """Send every follower off alone. May be called again."""
        for key, air in list(self._air.items()):
            self._land(key, air.token, None)

    def _take_off(self, key: str, place: _Place) -> Lead:
        token = next(self._tokens)
        lead = Lead(key, token)
        self._air[key] = _Air(token, weakref.ref(lead, lambda _: self._land(key, token, None)), place)
        return lead

    def _land(self, key: str, token: int, entry: Entry | None) -> None:
        with self._lock:
            air = self._air.get(key)
            if air is None or air.token != token:
                return
            del self._air[key]
        for future in air.waiting:
            give(future, entry)
