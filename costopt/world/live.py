"""The live world: performs every effect but `Call`, which belongs to the client that made the request.

Cache, ledger and budgets are opened on first use. Trouble with the cache or the ledger (a full disk, a corrupt
file) is warned about once and the call goes on without it, unless the policy is strict.
"""

from __future__ import annotations

import logging
import random
import sqlite3
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from costopt import effects as ask
from costopt.effects import Effect, Perform, Work
from costopt.errors import Closed, LedgerError, StoreFailed
from costopt.policy import Cache, Policy
from costopt.types import Entry, Record, Reply, Request
from costopt.world.clock import Clock
from costopt.world.disk import DiskCache
from costopt.world.files import StoreUnavailable
from costopt.world.flight import Flight
from costopt.world.gather import Gatherer
from costopt.world.ledger import Ledger
from costopt.world.limiter import Limiter
from costopt.world.memory import MemoryCache
from costopt.world.stored import pack
from costopt.world.till import Till
from costopt.world.upstream import complete
from costopt.world.waiting import give, on_event_loop
from costopt.world.wallet import Wallet
from costopt.world.workers import Workers
from costopt.world.writer import Partial, Writer

_log = logging.getLogger("costopt")
#: How long a disk cache in trouble is left alone, so that no call waits for it again and again.
DISK_REST_NS = 30 * 10**9
STAYS = (
    "costopt: ledger.path: a reload cannot move ledger, disk cache and budgets. They stay as they were (%s) until the "
    "next Optimizer is made"
)


class World:
    """One world per Optimizer; threads and event loops share it."""

    def __init__(self, policy: Policy, folder: Path | None, clock: Clock | None = None) -> None:
        self.policy = policy
        self.folder = folder
        self._writes = folder is not None
        self.clock = clock or Clock()
        self.writer = Writer()
        self._forgotten = weakref.finalize(self, _retire, self.writer, None if clock else self.clock)
        self._forgotten.atexit = False  # then the writer leaves by itself
        self.flight = Flight()
        self.executor = Workers()
        self._closed = False
        self._warned: set[str] = set()
        self._disk_rests_until = 0
        self._do: dict[type[Effect[Any]], Callable[[Any], Any]] = {
            ask.Now: lambda _: self.clock.now(),
            ask.Random: lambda _: random.random(),
            ask.Sleep: lambda e: self.clock.after(e.seconds),
            ask.Lookup: self._lookup,
            ask.Store: self._store,
            ask.Join: self._join,
            ask.Land: lambda e: self.flight.land(e.lead, e.entry),
            ask.Gather: lambda e: self.gatherer.gather(e.bucket, e.request, e.size, e.max_size, e.max_wait_s),
            ask.Scatter: lambda e: self.gatherer.scatter(e.head, e.parts),
            ask.Admit: lambda e: self.limiter.admit(e.quotas, e.tokens),
            ask.Correct: lambda e: self.limiter.correct(e.ticket, e.tokens),
            ask.Cool: lambda e: self.limiter.cool(e.groups, e.seconds),
            ask.Reserve: lambda e: Work(
                partial(self.till.reserve, e.call, e.claims, e.nano, self.clock.now())
            ),
            ask.Settle: lambda e: Work(partial(self.till.settle, e.hold, e.nano)),
            ask.Write: self._write,
        }

    def performing(self, call: Callable[[Request], Any]) -> Perform:
        """What performs the effects of one call: it answers each with the value, or with a `Work` or future that will
        hold it. `call` asks the provider."""
        do = self._do

        def perform(effect: Effect[Any]) -> Any:
            return call(effect.request) if type(effect) is ask.Call else do[type(effect)](effect)

        return perform

    def complete(self, request: Request) -> Work[Reply]:
        """A call to another provider than the client's own, through litellm."""
        return Work(partial(complete, request))

    def open(self) -> None:
        """Open the ledger now rather than at the first call. Raises LedgerError."""
        if self.ledger is not None:
            self.ledger.open()

    def make_stores(self) -> None:
        """Make what `take_up` replaces, before the first call: else one that meets a reload at its first use of a store
        would put back what the reload has just taken away. Opens no file."""
        self.disk, self.ledger = self._disk(), self._ledger()

    def take_up(self, policy: Policy, folder: Path | None) -> None:
        """Go by `policy` from now on, also for calls under way. `folder` is where its files would lie: None ends the
        ledger and the disk cache, any other than now is warned about, because the place stays as it was."""
        if folder not in (None, self.folder):
            _log.warning(STAYS, self.folder or "off, and budgets are of this process alone")
        self.policy, self._writes = policy, folder is not None
        if policy.cache is not None:
            self.memory.max_bytes = policy.cache.memory
        disk, ledger = self.disk, self.ledger
        if (disk.max_bytes if disk else 0) != (policy.disk if self._files else 0):
            self.disk = self._disk()
            self._close_later(disk)
        if ledger is None or policy.ledger is None:
            self.ledger = self._ledger()
            self._close_later(ledger)
        else:
            ledger.content = policy.ledger.content

    def _close_later(self, store: DiskCache | Ledger | None) -> None:
        """After everything that was put for it."""
        if store is not None:
            with suppress(Closed):
                self.writer.put(_close_all, store)

    @property
    def _files(self) -> Path | None:
        """The folder of ledger and disk cache; budgets stay in theirs when a reload ends these two."""
        return self.folder if self._writes else None

    @cached_property
    def memory(self) -> MemoryCache:
        # a call under way may need it after a reload has taken the cache off
        return MemoryCache((self.policy.cache or Cache()).memory)

    @cached_property
    def disk(self) -> DiskCache | None:
        return self._disk()

    def _disk(self) -> DiskCache | None:
        folder = self._files
        if not self.policy.disk or folder is None or self._closed:
            return None
        _make_private(folder)
        return DiskCache(folder / "cache", self.policy.disk)

    @cached_property
    def limiter(self) -> Limiter:
        return Limiter(self.clock)

    @cached_property
    def gatherer(self) -> Gatherer:
        return Gatherer(self.clock)

    @cached_property
    def till(self) -> Till:
        if self.folder is not None:
            _make_private(self.folder)
        return Till(Wallet(self.folder and self.folder / "budgets.sqlite3"), closed=self._closed)

    @cached_property
    def ledger(self) -> Ledger | None:
        return self._ledger()

    def _ledger(self) -> Ledger | None:
        rules, folder = self.policy.ledger, self._files
        return Ledger(folder, rules.content) if rules and folder else None

    def close(self) -> None:
        """Write what waits, then leave no thread and no file descriptor behind. A call still under way elsewhere comes
        through; its money and its record are booked then, each in a file opened for it."""
        self._forgotten.detach()
        self.executor.shutdown()
        self.writer.close()
        self._closed = True
        self.flight.close()
        for name in ("gatherer", "limiter", "disk", "till", "ledger", "memory"):
            part: Any = self.__dict__.get(name)
            if part is not None:
                part.close()
        self.clock.close()

    def _join(self, effect: ask.Join) -> ask.Lead | Entry | Future[Entry | None]:
        place = self.flight.join(effect.key)
        if isinstance(place, ask.Lead):
            return self._stored_meanwhile(place) or place
        if effect.patience_s is not None:
            due = self.clock.mono() + int(effect.patience_s * 1e9)
            timer = self.clock.call_at(due, partial(give, place, None))
            place.add_done_callback(lambda _: timer.cancel())
        return place

    def _stored_meanwhile(self, lead: ask.Lead) -> Entry | None:
        """What another leader stored between the look of `lead`'s caller and his turn to lead; then he need not."""
        entry = self.memory.get(lead.key, self.clock.now())
        if entry is not None:
            self.flight.land(lead, entry)
        return entry

    def _lookup(self, effect: ask.Lookup) -> Entry | Work[Entry | None] | None:
        now = self.clock.now()
        entry = self.memory.get(effect.key, now)
        if entry is not None:
            return entry
        if self.disk is None or now < self._disk_rests_until:
            return None
        if self.disk.never_had(effect.key) or (on_event_loop() and self.disk.lacks(effect.key)):
            return None
        return Work(partial(self._from_disk, self.disk, effect.key, now))

    def _from_disk(self, disk: DiskCache, key: str, now: int) -> Entry | None:
        try:
            stored = disk.get(key, now)
        except StoreUnavailable as trouble:
            if self.policy.strict:
                raise StoreFailed(
                    f"the policy is strict and the disk cache cannot be read: {trouble}"
                ) from trouble
            self._disk_rests_until = now + DISK_REST_NS
            self._off("disk cache", trouble)
            return None
        if stored is None:
            return None
        self.memory.put(key, stored)
        return replace(stored.entry, reply=replace(stored.entry.reply, tier="disk"))

    def _store(self, effect: ask.Store) -> None:
        stored = pack(effect.entry)
        self.memory.put(effect.key, stored)
        if stored is not None and self.disk is not None:
            try:  # `suppress` would take 1 µs
                self.writer.put(self.disk.put_many, (effect.key, stored))
            except Closed:  # the call outlived its Optimizer
                return

    def check(self) -> None:
        """Before a call is paid for, if the policy is strict: whether it still lets one be made. Raises
        StoreFailed."""
        if self.writer.lost:
            raise StoreFailed(
                f"the policy is strict and not everything could be written ({dict(self.writer.lost)}): mend the "
                "ledger's folder and make a new Optimizer, or take `strict` out of the policy"
            )

    def _write(self, effect: ask.Write) -> None:
        ledger = self.ledger
        if ledger is None:
            return
        try:
            self.writer.put(ledger.write, effect.record)
        except Closed:  # the call outlived its Optimizer
            self._write_late(ledger, effect.record)

    def _write_late(self, ledger: Ledger, record: Record) -> None:
        try:
            ledger.write([record])
        except (LedgerError, sqlite3.Error, Partial) as trouble:
            self._off("the ledger of a call that outlived its Optimizer", trouble)
        finally:
            ledger.close()

    def _off(self, what: str, trouble: Exception) -> None:
        if what not in self._warned:
            self._warned.add(what)
            _log.warning("costopt: %s is off for now: %s", what, trouble)


def _retire(writer: Writer, clock: Clock | None) -> None:
    """What is left to do for a world that was collected and never closed: its threads end, and with them its files
    close, once all is written."""
    writer.retire()
    if clock is not None:
        clock.retire()


def _close_all(stores: list[DiskCache | Ledger]) -> None:
    for store in stores:
        store.close()


def _make_private(folder: Path) -> None:
    """Make `folder` readable to its owner only; where that fails, the store in it says so when it is used."""
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
