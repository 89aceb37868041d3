"""The engine: one policy, one world and the pipeline between them. What every edge drives."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakSet

from costopt.errors import Closed, LedgerError
from costopt.flow import Handler, compose
from costopt.plan import Plan
from costopt.policy import Policy
from costopt.policyfile import Watcher, load
from costopt.world.clock import Clock
from costopt.world.files import expanded
from costopt.world.live import World
from costopt.world.pricemap import load as load_prices
from costopt.world.tokenizers import counter
from costopt.world.waiting import after_fork

if TYPE_CHECKING:
    from costopt.drive import Live
    from costopt.effects import Flow
    from costopt.types import Reply, Request

_log = logging.getLogger("costopt")
#: A preset's name, a path to a YAML file, a mapping of the same shape, a Policy, or None for `balanced`.
PolicyLike: TypeAlias = str | Path | Policy | Mapping[str, Any] | None


class Engine:
    """Makes flows for requests and holds the world that performs them. Raises PolicyError, LedgerError."""

    def __init__(
        self, policy: PolicyLike, ledger: str | Path | None, reload: bool, clock: Clock | None
    ) -> None:
        self._prices = load_prices()
        self.policy = load(policy, known=self._prices.knows, names=self._prices.names)
        self._watcher = self._watch() if reload and self.policy.source else None
        self._ledger = ledger
        self.world = World(self.policy, _folder(self.policy, ledger), clock)
        if self._watcher is not None:
            self.world.make_stores()
        if self.policy.strict:
            self.world.open()
        self._counter = counter()
        self._handler = self._compose(self.policy)
        self._closed = False
        self._calls = count()
        self._streams: WeakSet[Live] = WeakSet()
        self._mark_process()
        after_fork(self._mark_process)

    def flow(self, request: Request) -> Flow[Reply]:
        """The pipeline for one request, ready to be driven. Raises StoreFailed."""
        if self.policy.strict:
            self.world.check()
        if self._watcher is not None:
            self._reload(self._watcher)
        return self._handler(request)

    def watch(self, live: Live) -> None:
        """Remember a stream under way, to settle it should it still be open at `close`."""
        self._streams.add(live)

    def check_open(self) -> None:
        """Raises Closed."""
        if self._closed:
            raise Closed("this Optimizer was closed; make a new one and wrap the client again")

    def new_id(self, at: int) -> str:
        """The id of a call that came in `at` a time (ns). Ids sort by time: clock, process and engine, counter. Asking
        the system for randomness at each call would cost 40 µs where it is slow."""
        return f"{at:016x}{self._process}{next(self._calls) & 0xFFFFFFFF:08x}"

    @property
    def shares_tenants(self) -> bool:
        return self.policy.cache is not None and self.policy.cache.scope == "shared"

    def flush(self) -> None:
        """Wait until everything recorded so far is in the ledger."""
        self.world.writer.flush()

    def close(self) -> None:
        """Settle open streams, write what waits and release everything. Calls through wrapped clients raise Closed
        from here on; a stream may be read on, but counts as left."""
        if not self._closed:
            self._closed = True
            for live in list(self._streams):
                live.leave()
            self.world.close()

    def _mark_process(self) -> None:
        """In a forked child: ids of its own, and its parent's streams are its parent's to settle."""
        self._process = os.urandom(4).hex()
        self._reloading = Lock()
        for live in list(self._streams):
            live.forget()
        self._streams.clear()

    def _compose(self, policy: Policy) -> Handler:
        book = load_prices(policy.prices) if policy.prices else self._prices
        return compose(Plan(policy, book, self._counter))

    def _watch(self) -> Watcher:
        watcher = Watcher(self.policy.source, known=self._prices.knows)
        self.policy = watcher.policy
        after_fork(watcher.renew_lock)
        return watcher

    def _reload(self, watcher: Watcher) -> None:
        now = self.world.clock.now()
        if watcher.current(now) is self.policy:
            return
        with self._reloading:
            policy = watcher.current(now)
            if policy is self.policy:  # another thread has taken it up
                return
            self._handler = self._compose(policy)
            self.world.take_up(policy, _folder(policy, self._ledger))
            self.policy = policy


def _folder(policy: Policy, ledger: str | Path | None) -> Path | None:
    """None where nothing is to be written, or nothing can be: a container may have no home folder. Raises
    LedgerError in the second case if the policy is strict."""
    if ledger is None:
        ledger = policy.ledger.path if policy.ledger and policy.ledger.path else None
    try:
        return None if ledger is None else expanded(ledger)
    except LedgerError as trouble:
        if policy.strict:
            raise
        _log.warning("costopt: no ledger and no disk cache, budgets are of this process alone: %s", trouble)
        return None
