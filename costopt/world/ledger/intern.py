"""Numbers for values that are stored once: parts, origins, tag sets."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import TypeAlias

import zstandard

from costopt.world.ledger.parts import encode

RAW, ZSTD, WITHHELD = 0, 1, 2
Origin: TypeAlias = tuple[str, str, str, str, str, str, str, str]

#: Numbers remembered so that a conversation's history costs no query; a few MB.
REMEMBERED = 16_384

_PART = "INSERT INTO parts(hash, size, codec, body) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_ORIGIN = (
    "INSERT INTO origins(api, provider, endpoint, asked, served, tenant, variant, revision)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_FIND_ORIGIN = (
    "SELECT id FROM origins WHERE api=? AND provider=? AND endpoint=? AND asked=? AND served=? AND tenant=?"
    " AND variant=? AND revision=?"
)


class Interner:
    """Finds or adds values inside the caller's transaction; forget everything after a rollback or an
    archiving."""

    def __init__(self, db: sqlite3.Connection, *, withhold: bool) -> None:
        self._db = db
        self._withhold = withhold
        self._zstd = zstandard.ZstdCompressor(level=3)
        self._epoch = -1
        self.forget()

    def forget(self) -> None:
        self._parts: dict[bytes, int] = {}
        self._origins: dict[Origin, int] = {}
        self._tagsets: dict[str, int] = {}
        #: Rows of whole requests by what they say, so that a repeated call is not taken apart again.
        self.requests: dict[tuple[str, str], tuple[bytes, int, bytes]] = {}

    def begin(self) -> None:
        """Call first in each transaction: numbers may have been given anew since another process archived."""
        (epoch,) = self._db.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
        full = len(self._parts) + len(self._origins) + len(self._tagsets) + len(self.requests) > REMEMBERED
        if epoch != self._epoch or full:
            self.forget()
        self._epoch = epoch

    def part(self, key: bytes, data: bytes, *, public: bool = False) -> int:
        """The number of a part with hash `key`; `public` ones hold no prompt or answer and are always
        kept."""
        if (known := self._parts.get(key)) is None:
            known = self._parts[key] = self._find_part(key, data, self._withhold and not public)
        return known

    def _find_part(self, key: bytes, data: bytes, withhold: bool) -> int:
        # most parts not remembered are new, so adding comes before looking
        codec, body = (WITHHELD, None) if withhold else self._packed(data)
        added = self._db.execute(_PART, (key, len(data), codec, body))
        if added.rowcount:
            return _number(added)
        number, kept = self._db.execute("SELECT id, codec FROM parts WHERE hash = ?", (key,)).fetchone()
        if kept == WITHHELD and codec != WITHHELD:
            self._db.execute("UPDATE parts SET codec = ?, body = ? WHERE id = ?", (codec, body, number))
        return int(number)

    def _packed(self, data: bytes) -> tuple[int, bytes]:
        if len(data) < 96:
            return RAW, data
        packed = self._zstd.compress(data)
        return (ZSTD, packed) if len(packed) < len(data) * 0.9 else (RAW, data)

    def origin(self, origin: Origin) -> int:
        if (known := self._origins.get(origin)) is None:
            row = self._db.execute(_FIND_ORIGIN, origin).fetchone()
            known = int(row[0]) if row else _number(self._db.execute(_ORIGIN, origin))
            self._origins[origin] = known
        return known

    def tagset(self, tags: Mapping[str, str]) -> int:
        named = {str(name): str(tags[name]) for name in sorted(tags)}
        key = encode(named).decode()
        if (known := self._tagsets.get(key)) is None:
            known = self._tagsets[key] = self._find_tagset(key, named)
        return known

    def _find_tagset(self, key: str, named: Mapping[str, str]) -> int:
        row = self._db.execute("SELECT id FROM tagsets WHERE json = ?", (key,)).fetchone()
        if row is not None:
            return int(row[0])
        number = _number(self._db.execute("INSERT INTO tagsets(json) VALUES (?)", (key,)))
        rows = [(name, value, number) for name, value in named.items()]
        self._db.executemany("INSERT INTO tags(name, value, tagset) VALUES (?, ?, ?)", rows)
        return number


def _number(cursor: sqlite3.Cursor) -> int:
    assert cursor.lastrowid is not None
    return cursor.lastrowid
