"""The second cache tier: answers on disk, shared by processes, in a diskcache database.

Everything here blocks; callers run it where blocking is allowed. Trouble with the disk is raised as
StoreUnavailable. A corrupt database is moved aside and a new one begun: it is only a cache.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from costopt.world.files import StoreUnavailable, private_file, private_folder
from costopt.world.stored import Stored, unpack
from costopt.world.waiting import after_fork

if TYPE_CHECKING:
    from costopt.world.shelf import Shelf

T = TypeVar("T")
NAME = "cache.db"
#: No entry may take more than this share of the cache, so that one answer cannot push out all others.
LARGEST = 8
#: A read gives up after this long behind another process's lock, seconds; a write may wait longer.
READ_TIMEOUT_S = 5
WRITE_TIMEOUT_S = 30

log = logging.getLogger("costopt")


class DiskCache:
    """At most `max_bytes` of answers in `folder` (0700, files 0600), least recently stored out first; 2 MB more
    for the keyring.

    Opens on first use. Reads and writes have a connection each, so a read never waits for a write.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._inherited: list[Shelf] = []
        self._reader: Shelf | None = None
        self._writer: Shelf | None = None
        self._age = 0
        self._reset()
        after_fork(self._reset)

    def _reset(self) -> None:
        # SQLite forbids using or closing a connection in a forked child, so the child only keeps it.
        self._inherited += [shelf for shelf in (self._reader, self._writer) if shelf is not None]
        self._reader = self._writer = None
        self._reading = threading.RLock()
        self._writing = threading.RLock()

    def get(self, key: str, now: int) -> Stored | None:
        """What is under `key` if there is something not expired at `now` (ns).

        A row that is damaged or that we cannot have written counts as absent. Raises StoreUnavailable.
        """
        data = self._guarded(lambda: self._get(key))
        entry = unpack(data) if data else None
        return Stored(entry, data) if data and entry and entry.expires > now else None

    def never_had(self, key: str) -> bool:
        """Whether the keyring knows that there is nothing under `key`. Waits for nobody and calls no SQLite: 2 µs."""
        reader = self._reader
        ring = None if reader is None else reader.ring
        return ring is not None and ring.lacks(key)

    def lacks(self, key: str) -> bool:
        """Whether there surely is nothing under `key`. Looks into the index only and waits for no other thread, so
        an event loop may ask: 10 µs, where handing the question to a thread took over 1 ms."""
        if not self._reading.acquire(blocking=False):
            return False
        try:
            reader = self._reader
            return reader is not None and not reader.holds(key)
        except sqlite3.Error:
            return False  # `get` says what is wrong
        finally:
            self._reading.release()

    def put_many(self, entries: Sequence[tuple[str, Stored]]) -> None:
        """Store all in one transaction, then make room. Entries above max_bytes/8 are left out.

        Raises StoreUnavailable.
        """
        most = self.max_bytes // LARGEST
        rows = [(key, kept.data, kept.entry.expires) for key, kept in entries if len(kept.data) <= most]
        if rows:
            self._guarded(lambda: self._put(rows))

    def close(self) -> None:
        """Close both connections. May be called again; the next use opens them anew."""
        with self._writing, self._reading:
            for shelf in (self._reader, self._writer):
                if shelf is not None:
                    shelf.close()
            self._reader = self._writer = None

    def _get(self, key: str) -> bytes | None:
        with self._reading:
            if self._reader is None:
                self._reader = self._open(READ_TIMEOUT_S)
            return self._reader.take(key)

    def _put(self, rows: Sequence[tuple[str, bytes, int]]) -> None:
        with self._writing:
            if self._writer is None:
                self._writer = self._open(WRITE_TIMEOUT_S)
            try:
                self._writer.put_all(rows)
            except (
                BaseException
            ):  # why: a commit that failed leaves its transaction open; a new connection has none
                self._writer.close()
                self._writer = None
                raise

    def _open(self, timeout_s: int) -> Shelf:
        from costopt.world.shelf import (
            Shelf,
        )  # diskcache and zstandard load with the first use of a disk cache

        private_folder(self.folder)
        private_file(self.folder / NAME)
        return Shelf(self.folder, self.max_bytes, timeout_s)

    def _guarded(self, act: Callable[[], T]) -> T:
        """`act`, once more on a new database when the old one turns out to be corrupt."""
        age = self._age
        try:
            return act()
        except (sqlite3.Error, OSError) as error:
            if not _corrupt(error):
                raise self._unavailable(error) from error
            corruption = error
        try:
            self._set_aside(age, corruption)
            return act()
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from error

    def _set_aside(self, age: int, error: Exception) -> None:
        """Begin a new database, unless another thread has done so since `age`."""
        with self._writing, self._reading:
            if self._age != age:
                return
            self._age += 1
            self.close()
            path = self.folder / NAME
            aside = path.with_name(NAME + ".corrupt")
            path.replace(aside)
            for suffix in ("-wal", "-shm"):
                path.with_name(NAME + suffix).unlink(missing_ok=True)
        log.warning(
            "costopt: the cache %s is corrupt (%s); moved to %s, starting anew", path, error, aside.name
        )

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(f"cache {self.folder}: {error}")


def _corrupt(error: Exception) -> bool:
    """Whether the database itself is at fault, not the disk or a lock. SQLITE_ERROR: not a schema of ours."""
    while isinstance(error.__context__, sqlite3.Error):  # the first one tells; later ones come of cleaning up
        error = error.__context__
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_ERROR,
    )
