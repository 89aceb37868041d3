"""Numbers for values that are stored once: parts, origins, tag sets."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import zstandard

from costopt.decide.keys import digest
from costopt.world.bulk import insert, select
from costopt.world.ledger.parts import encode

RAW, ZSTD, WITHHELD = 0, 1, 2
#: Bytes from which a part is compressed: shorter ones gain next to nothing.
PACKED_FROM = 96
#: api, provider, endpoint, asked and served model, tenant, variant, price revision.
Origin: TypeAlias = tuple[str, str, str, str, str, str, str, str]

#: Numbers remembered so that a conversation's history costs no query; a few MB.
REMEMBERED = 16_384

_USER = re.compile(r"//[^/@]*@")
_BEGIN = (
    "SELECT (SELECT value FROM meta WHERE key = 'epoch'), (SELECT coalesce(max(id), 0) FROM parts),"
    " (SELECT coalesce(max(n), 0) FROM facts)"
)
_PART = "INSERT INTO parts(id, hash, size, codec, body)"
_ORIGIN = (
    "INSERT INTO origins(api, provider, endpoint, asked, served, tenant, variant, revision)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_FIND_ORIGIN = (
    "SELECT id FROM origins WHERE api=? AND provider=? AND endpoint=? AND asked=? AND served=? AND tenant=?"
    " AND variant=? AND revision=?"
)


class _Wanted(NamedTuple):
    data: bytes
    withhold: bool


class Interner:
    """Finds or adds values inside the caller's transaction; forget everything after a rollback or an
    archiving."""

    def __init__(self, db: sqlite3.Connection, *, withhold: bool) -> None:
        self._db = db
        self._withhold = withhold
        self._zstd = zstandard.ZstdCompressor(level=3)
        self._epoch = -1
        self._last_part = 0
        #: Number of the newest call in the file, as of `begin`.
        self.last_call = 0
        self.forget()

    def forget(self) -> None:
        #: Numbers of parts by hash.
        self.parts: dict[bytes, int] = {}
        #: Rows of whole requests by what they say, so that a repeated call is not taken apart again.
        self.requests: dict[tuple[str, str], tuple[bytes, int, bytes]] = {}
        self._wanted: dict[bytes, _Wanted] = {}
        self._origins: dict[Origin, int] = {}
        self._tagsets: dict[str, int] = {}

    def begin(self) -> None:
        """Call first in each transaction: numbers may have been given anew since another process archived."""
        epoch, self._last_part, self.last_call = self._db.execute(_BEGIN).fetchone()
        full = len(self.parts) + len(self._origins) + len(self._tagsets) + len(self.requests) > REMEMBERED
        if epoch != self._epoch or full:
            self.forget()
        self._epoch = epoch

    def want(self, key: bytes, data: bytes, *, public: bool = False) -> None:
        """See that the part with hash `key` is in `parts` after `settle`; `public` ones hold no prompt or answer
        and are always kept."""
        if key not in self.parts and key not in self._wanted:
            self._wanted[key] = _Wanted(data, self._withhold and not public)

    def settle(self) -> None:
        """Find or add all wanted parts."""
        new, self._wanted = self._wanted, {}
        for number, key, codec in select(
            self._db, "SELECT id, hash, codec FROM parts WHERE hash IN", list(new)
        ):
            self.parts[key] = number
            wanted = new.pop(key)
            if codec == WITHHELD and not wanted.withhold:
                row = (number, *self._kept([wanted])[0])
                self._db.execute("UPDATE parts SET codec = ?2, body = ?3 WHERE id = ?1", row)
        if new:
            self._add(new)

    def _add(self, new: Mapping[bytes, _Wanted]) -> None:
        first = self._last_part + 1
        self._last_part += len(new)
        numbers = range(first, first + len(new))
        kept = self._kept(list(new.values()))
        rows = [
            (number, key, len(wanted.data), codec, body)
            for number, (key, wanted), (codec, body) in zip(numbers, new.items(), kept, strict=True)
        ]
        insert(self._db, _PART, rows)
        self.parts.update(zip(new, numbers, strict=True))

    def _kept(self, parts: Sequence[_Wanted]) -> list[tuple[int, bytes | None]]:
        """Codec and body of each part."""
        long = [part.data for part in parts if not part.withhold and len(part.data) >= PACKED_FROM]
        packed = dict(zip(long, self._compressed(long), strict=True))
        return [(WITHHELD, None) if part.withhold else _shorter(part.data, packed) for part in parts]

    def _compressed(self, parts: list[Any]) -> list[bytes]:
        """All in one go, for compressing lets go of the GIL each time; only zstandard's C backend can."""
        if not parts or zstandard.backend != "cext":
            return list(map(self._zstd.compress, parts))
        packed = self._zstd.multi_compress_to_buffer(parts)
        return [packed[at].tobytes() for at in range(len(packed))]

    def origin(self, origin: Origin) -> int:
        if (known := self._origins.get(origin)) is None:
            kept = _without_secrets(origin)
            row = self._db.execute(_FIND_ORIGIN, kept).fetchone()
            known = int(row[0]) if row else _number(self._db.execute(_ORIGIN, kept))
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


def _shorter(data: bytes, packed: Mapping[bytes, bytes]) -> tuple[int, bytes]:
    short = packed.get(data, data)
    return (ZSTD, short) if len(short) < len(data) * 0.9 else (RAW, data)


def _without_secrets(origin: Origin) -> Origin:
    """A URL's user goes; of a variant, which may hold any header a caller sends (a proxy's key), stays a hash."""
    api, provider, endpoint, asked, served, tenant, variant, revision = origin
    endpoint = _USER.sub("//", endpoint, count=1)
    variant = digest(variant.encode(errors="replace")).hex()[:16] if variant else ""
    return api, provider, endpoint, asked, served, tenant, variant, revision
