"""Which keys may be on disk, answered from memory: most look-ups end here, without a call of SQLite.

A `Keyring` is 2 MB of bits, two for each key, in a file `cache.db-keys-NUMBER` that every process with this database
maps. A key that lacks a bit is not in the database, because

- bits are only ever set, and only by who holds SQLite's write lock, so none gets lost;
- they are set before the COMMIT that makes a row visible, so each row has its bits whatever happens to its writer;
- what was there before the ring is marked by and by; until all of it is, nothing counts as lacking;
- the file is emptied only while nobody else has it (`flock`), and by whoever opens it first: after a power cut, bits
  that were lost are not missed;
- NUMBER stands in the database itself, so that a database which takes another's place has another ring;
- who cannot map the ring of a database that has one does not write to it.

Deleted rows leave their bits: with a million keys one look-up in a hundred asks SQLite in vain, after ten million every
second. Rows that others than this version write into the database may stay unseen, as may new ones when
the file is deleted beneath a running process: a miss each.
"""

from __future__ import annotations

import mmap
import os
import secrets
import sqlite3
import sys
from collections.abc import Iterable
from pathlib import Path
from zlib import crc32

if sys.platform != "win32":
    import fcntl

#: Bytes of bits. One more says whether all keys are marked.
SIZE = 1 << 21
#: Keys from before the ring that are marked at a time: 3 ms of the writer's thread.
SLICE = 4096

_FULL = SIZE
_PLACES = SIZE * 8 - 1
_NAME = "cache.db-keys-{:08x}"  # diskcache's `check` takes files of other names for waste
#: One row for all, since SQLite lets go of the GIL for each row; read from the index alone. Bytes: nobody's odd text
#: must fail to decode.
_KEYS = (
    "SELECT CAST(group_concat(key, char(10)) AS BLOB), CAST(max(key) AS BLOB), count(*)"
    " FROM (SELECT key FROM Cache WHERE key > CAST(? AS TEXT) AND typeof(key) = 'text' ORDER BY key LIMIT ?)"
)


class Keyring:
    """The ring in the file at `path` (0600, made if need be), for one connection.

    Open it under SQLite's write lock. Raises OSError where it cannot be had. It lives as long as somebody holds it: to
    close it would pull it away from a thread that is looking.
    """

    def __init__(self, path: Path) -> None:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _join(file)
            self._bits = mmap.mmap(file, SIZE + 1)  # has its own copy of the descriptor, and with it the lock
        finally:
            os.close(file)
        self._marked_to = b""

    def lacks(self, key: str) -> bool:
        """Whether there surely is nothing under `key`. 1 µs, no lock, no call of the system."""
        bits = self._bits
        if not bits[_FULL]:
            return False
        one, other = _places(key.encode())
        return not (bits[one >> 3] >> (one & 7) & bits[other >> 3] >> (other & 7) & 1)

    def mark(self, keys: Iterable[bytes]) -> None:
        """Set the bits of `keys`, under SQLite's write lock."""
        bits = self._bits
        for key in keys:
            for place in _places(key):
                bits[place >> 3] |= 1 << (place & 7)

    def mark_older(self, db: sqlite3.Connection) -> bool:
        """Mark some more of the keys in `db`, under its write lock; True if those were the last.

        They come in their order, so that rows which others add and delete in between make none be skipped.
        """
        if self._bits[_FULL]:
            return False
        keys, last, count = db.execute(_KEYS, (self._marked_to, SLICE)).fetchone()
        if count:
            self.mark(keys.split(b"\n"))
            self._marked_to = last
        return bool(count < SLICE)

    def trust(self) -> None:
        """From now on a key without its bits counts as lacking. Call it after `mark_older` was True, committed."""
        self._bits[_FULL] = 1


def open_ring(db: sqlite3.Connection, folder: Path) -> Keyring | None:
    """The ring of the database in `folder` behind `db`; None where none can be had. Raises sqlite3.Error."""
    with db:
        db.execute("BEGIN IMMEDIATE")
        known = number_of(db)
        number = known or secrets.randbelow((1 << 31) - 1) + 1
        path = folder / _NAME.format(number)
        try:
            ring = Keyring(path)
        except OSError:
            if not known:
                path.unlink(missing_ok=True)
            return None
        if not known:
            db.execute(f"PRAGMA user_version = {number}")
        return ring


def enter(ring: Keyring | None, db: sqlite3.Connection, keys: Iterable[bytes]) -> bool:
    """Mark the `keys` of a transaction before its COMMIT, and some older ones; True if those were the last.

    Raises OSError where others go by a ring that we cannot open.
    """
    if ring is not None:
        ring.mark(keys)
        return ring.mark_older(db)
    if number_of(db):
        raise OSError("its keyring cannot be opened")
    return False


def number_of(db: sqlite3.Connection) -> int:
    """The number of the database's ring, 0 if it has none."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _join(file: int) -> None:
    """Share `file` with whoever has it; who is alone begins anew. Raises OSError.

    SQLite's write lock keeps all others from coming in between, also while one kind of lock becomes the other.
    """
    if sys.platform == "win32":
        raise OSError("no flock on Windows")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pass
    else:
        # zeros, not a hole: a full disk must show here, not when a bit is set
        os.write(file, bytes(SIZE + 1))
    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    if os.fstat(file).st_size != SIZE + 1:
        raise OSError("no room for it, or no file of ours")


def _places(key: bytes) -> tuple[int, int]:
    """Two of the bits, from the 32 of a checksum: keys differ, nobody has to be kept from choosing them."""
    check = crc32(key)
    return check & _PLACES, check >> 8
