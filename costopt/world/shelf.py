"""diskcache as we use it: bytes under string keys, one connection per shelf, and no pickle anywhere.

Imported only when a disk cache opens. diskcache unpickles whatever a row says is pickled, on get and on
iteration (CVE-2025-69872), and keeps files at paths a row names; `Plain` refuses both. diskcache keeps a
connection for every thread, which nobody closes; `Shelf` keeps one and leaves the locking to its owner.
"""
# diskcache ships no types, so what pyright infers from its source is partial and narrower than its contract:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportMissingTypeStubs=false, reportIncompatibleMethodOverride=false

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diskcache  # type: ignore[import-untyped]
import zstandard
from diskcache.core import DBNAME, MODE_RAW, UNKNOWN  # type: ignore[import-untyped]

from costopt.world.bulk import insert
from costopt.world.clock import SECOND
from costopt.world.keyring import Keyring, enter, open_ring

#: zstd level of stored answers. A 3.7 KB answer: level 1 packs it in 13 µs, 3 in 18, 9 in 76, all to 37% of its size
#: (9: 36%); longer ones gain more from 3.
LEVEL = 3
#: Bytes below which an answer is stored as it is: packing 1.2 KB takes 9 µs, and a hit unpacks it for another 10.
PACKED_FROM = 2048
#: No stored answer unpacks to more than this; a larger size in a frame's header is a lie or damage.
LARGEST_ANSWER = 1 << 30
#: Expired rows are deleted at most this often, seconds; a full cache deletes them at once.
SWEEP_S = 600.0

_FIND = "SELECT mode, filename, value FROM Cache WHERE key = ? AND raw = 1"
_STORE = (
    "INSERT INTO Cache(key, raw, store_time, expire_time, access_time, access_count,"
    " tag, size, mode, filename, value)"
)
#: The same columns as a `set` of diskcache's changes, key for key.
_AGAIN = (
    "ON CONFLICT(key, raw) DO UPDATE SET store_time = excluded.store_time, expire_time = excluded.expire_time,"
    " access_time = excluded.access_time, access_count = 0, tag = NULL, size = 0, mode = excluded.mode,"
    " filename = NULL, value = excluded.value"
)

log = logging.getLogger("costopt")


class UnsafeRow(ValueError):
    """A row that this cache can never have written: pickled, or pointing at a file."""


class Plain(diskcache.Disk):  # type: ignore[misc]
    """String keys as they are, bytes inside the database, long ones as zstd frames. Everything else is refused."""

    def __init__(self, directory: str, **settings: Any) -> None:
        super().__init__(directory)  # `settings` come from the file; none of them is for us
        self._pack = zstandard.ZstdCompressor(level=LEVEL)
        self._unpack = zstandard.ZstdDecompressor()

    def put(self, key: object) -> tuple[str, bool]:
        if type(key) is not str:
            raise UnsafeRow(f"a key must be str, not {type(key).__name__}")
        return key, True

    def get(self, key: object, raw: object) -> str:
        if not raw or type(key) is not str:
            raise UnsafeRow("a key that is not plain text")
        return key

    def store(
        self, value: object, read: object, key: object = UNKNOWN
    ) -> tuple[int, int, None, sqlite3.Binary]:
        if read or type(value) is not bytes:
            raise UnsafeRow(f"a value must be bytes, not {type(value).__name__}")
        return 0, MODE_RAW, None, sqlite3.Binary(self.packed(value))

    def packed(self, value: bytes) -> bytes:
        """`value` as it lies in a row. What begins like a frame is put into one, so that it comes out the same."""
        plain = len(value) < PACKED_FROM and not value.startswith(zstandard.FRAME_HEADER)
        return value if plain else self._pack.compress(value)

    def fetch(self, mode: object, filename: object, value: object, read: object) -> bytes:
        if mode != MODE_RAW or filename is not None or read or type(value) is not bytes:
            raise UnsafeRow("a value that is not plain bytes")
        if not value.startswith(zstandard.FRAME_HEADER):
            return value
        try:
            if not 0 <= zstandard.frame_content_size(value) <= LARGEST_ANSWER:
                raise UnsafeRow("a value of impossible size")
            return self._unpack.decompress(value)
        except zstandard.ZstdError as error:
            raise UnsafeRow("a value that is not a zstd frame") from error

    def remove(self, file_path: object) -> None:
        """Nothing: no row of ours has a file, and a planted name must not make us delete one."""


class Shelf(diskcache.Cache):  # type: ignore[misc]
    """A cache with one connection for all threads; its owner lets one thread in at a time."""

    _disk: Plain
    _only: sqlite3.Connection | None = None
    ring: Keyring | None = None

    def __init__(self, folder: Path, max_bytes: int, timeout_s: int) -> None:
        self._max_bytes = max_bytes
        self._swept = 0.0
        self._wait_s = timeout_s
        try:
            self._begin(folder)
            self.ring = open_ring(self._con, folder)
        except BaseException:  # why: a connection that was opened before the trouble must not stay open
            self.close()
            raise

    def _begin(self, folder: Path) -> None:
        super().__init__(
            str(folder),
            disk=Plain,
            eviction_policy="least-recently-stored",
            size_limit=self._max_bytes,
            cull_limit=0,  # `cull` runs once per batch instead of at each `set`
            statistics=0,
            sqlite_journal_mode="wal",
            sqlite_synchronous=1,
        )

    @property
    def _con(self) -> sqlite3.Connection:
        con = self._only
        if con is None:
            path = Path(self._directory) / DBNAME
            con = self._only = sqlite3.connect(
                path, timeout=self._wait_s, isolation_level=None, check_same_thread=False
            )
            if self._has_settings(con):
                self._set_pragmas(con)
        return con

    @property
    def _sql_retry(self) -> Any:
        """diskcache tries for 60 s behind a lock; the connection's own timeout is wait enough."""
        return self._con.execute

    def take(self, key: str) -> bytes | None:
        """The bytes under `key`, live or not; None where there are none, or a row that cannot be ours.

        diskcache's own `get` takes twice as long: 90 µs in the midst of a call, this 40.
        """
        row = self._con.execute(_FIND, (key,)).fetchone()
        if row is None:
            return None
        mode, filename, value = row
        try:
            return self._disk.fetch(mode, filename, value, read=False)
        except UnsafeRow as error:
            log.warning("costopt: refused a cache row: %s", error)
            return None

    def holds(self, key: str) -> bool:
        """Whether there is a row under `key`, live or not: one look into the index."""
        return bool(self._con.execute("SELECT 1 FROM Cache WHERE key = ? AND raw = 1", (key,)).fetchone())

    def put_all(self, rows: Sequence[tuple[str, bytes, int]]) -> None:
        """Store (key, value, expiry in ns since the epoch) in one transaction, then make room."""
        now = time.time()
        pack = self._disk.packed
        stored = [
            (key, 1, now, expires / SECOND, now, 0, None, 0, MODE_RAW, None, pack(data))
            for key, data, expires in rows
        ]
        try:
            with self.transact():
                insert(self._con, _STORE, stored, _AGAIN)
                whole = enter(self.ring, self._con, (key.encode() for key, _, _ in rows))
            if whole and self.ring:
                self.ring.trust()
            if self.volume() > self._max_bytes:
                self.cull()
            elif now - self._swept > SWEEP_S:
                self._swept = now
                self.expire(now)
        except diskcache.Timeout as error:
            raise TimeoutError("locked by another process, or read-only") from error

    def close(self) -> None:
        self.ring = None
        con, self._only = self._only, None
        if con is not None:
            con.close()

    def _has_settings(self, con: sqlite3.Connection) -> bool:
        return bool(con.execute("SELECT 1 FROM sqlite_master WHERE name = 'Settings'").fetchone())

    def _set_pragmas(self, con: sqlite3.Connection) -> None:
        """Pragmas hold per connection. Only those we set: names from the file would go into SQL text."""
        con.execute("PRAGMA synchronous = NORMAL")
        con.execute("PRAGMA cache_size = 8192")
        con.execute(f"PRAGMA mmap_size = {1 << 26}")
