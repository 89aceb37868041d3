"""Reading the ledger: facts, bodies and answers, live and archived. Never writes; safe while others write."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import zstandard

from costopt.errors import LedgerError
from costopt.types import Decision, Finish, Json, Receipt, Reply, Saving, Tier, Usage
from costopt.world.ledger import schema
from costopt.world.ledger.intern import WITHHELD, ZSTD
from costopt.world.ledger.parts import decode, join, unpack
from costopt.world.ledger.segment import Segment
from costopt.world.ledger.words import Fact

_SELECT = """
SELECT f.n, f.id, f.started, f.ended, f.first, o.api, o.provider, o.endpoint, o.asked, o.served, o.tenant,
o.variant,
  o.revision, f.outcome, f.tier, f.status, f.finish, f.stream, f.control, f.trimmed,
  f.input, f.cache_read, f.cache_write, f.cache_write_1h, f.output, f.reasoning, f.audio_input, f.audio_output, f.image_input, f.searches,
  f.service_tier, f.estimated, f.raw_usage, f.cost, f.unpriced, f.error, f.headers, f.attempts,
  f.cache_key, t.json AS tags, f.request_hash, f.shape, f.refs, f.reply_body, f.reply_events
FROM facts f JOIN origins o ON o.id = f.origin JOIN tagsets t ON t.id = f.tagset
"""
_TEXTS = (
    "id",
    "api",
    "provider",
    "endpoint",
    "asked",
    "served",
    "tenant",
    "variant",
    "revision",
    "outcome",
    "tier",
    "control",
    "cache_key",
)
_USAGE = (
    "input",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "output",
    "reasoning",
    "audio_input",
    "audio_output",
    "image_input",
    "searches",
    "service_tier",
)


class Reader:
    """One consistent view of a ledger, from the moment it was opened. Close it, or use it in a `with`.

    Raises LedgerError from the constructor where there is no readable ledger.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._db = schema.connect_to_read(folder)
        self._db.row_factory = sqlite3.Row
        self._unzip = zstandard.ZstdDecompressor()
        self._segments: dict[str, Segment] = {}
        self._hashes: dict[int, bytes] = {}
        self._db.execute("BEGIN")
        self._db.execute("SELECT count(*) FROM meta").fetchone()  # the snapshot begins with the first read

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        for segment in self._segments.values():
            segment.close()
        self._db.close()

    def query(self, sql: str, *args: Any) -> list[sqlite3.Row]:
        """Rows of a read-only statement on the public tables and views. Raises LedgerError."""
        try:
            return self._db.execute(sql, args).fetchall()
        except sqlite3.Error as error:
            raise schema.unreadable(self.folder / schema.NAME, error) from error

    def facts(self, since: int = 0, until: int = 2**63 - 1) -> Iterator[Fact]:
        """Calls started in [since, until), nanoseconds: archived ones first, each part by start time."""
        for segment in self.segments():
            if segment.last >= since and segment.first < until:
                yield from (fact for fact in segment.facts() if since <= fact.started < until)
        yield from self.live(since, until)

    def live(self, since: int = 0, until: int = 2**63 - 1) -> Iterator[Fact]:
        """Those of them that are not archived."""
        where = "WHERE f.started >= ? AND f.started < ? ORDER BY f.started, f.n"
        with self._readable():
            for row in self._db.execute(_SELECT + where, (since, until)):
                yield self._fact(row)

    def fact(self, call: str) -> Fact:
        """The call with this id, or the only one whose id begins so. Raises LedgerError."""
        if not call:
            raise LedgerError("which call? give its id or the beginning of it")
        found = self._ids(call)
        if call in found:
            found = {call: found[call]}
        if len(found) > 1:
            some = ", ".join(sorted(found)[:5])
            raise LedgerError(
                f"{call}: {len(found)} calls begin so ({some}{', ...' if len(found) > 5 else ''})"
            )
        for name, segment in found.items():
            return (
                segment.fact(name) if segment else self._fact(self.query(_SELECT + "WHERE f.id = ?", name)[0])
            )
        raise LedgerError(f"{call}: no such call in {self.folder}")

    def _ids(self, prefix: str) -> dict[str, Segment | None]:
        """Ids that begin with `prefix` and where each is; None is live."""
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        live = self.query("SELECT id FROM facts WHERE id >= ? AND id < ?", prefix, end)
        found: dict[str, Segment | None] = {name: s for s in self.segments() for name in s.ids(prefix)}
        return found | {row["id"]: None for row in live}

    def body(self, fact: Fact) -> Json:
        """The request body as it was sent. Raises LedgerError where content was withheld."""
        parts = [[self.part(key) for key in group] for group in fact.parts]
        return join(self.part(fact.shape), parts)

    def answer(self, fact: Fact) -> Reply | None:
        """The reply as it was recorded, without its receipt; None where the call got none. Raises LedgerError."""
        if fact.status is None:
            return None
        return Reply(
            status=fact.status,
            headers=tuple(fact.headers.items()),
            body=self.part(fact.reply_body) if fact.reply_body else b"",
            events=self.part(fact.reply_events) if fact.reply_events else b"",
            model=fact.served,
            usage=fact.usage,
            raw_usage=fact.raw_usage,
            finish=cast("Finish", fact.finish),
            tier=cast("Tier", fact.tier),
            first_ns=fact.first,
        )

    def part(self, key: bytes) -> bytes:
        """The bytes with this sha256. Raises LedgerError where they were withheld."""
        data = self.kept(key)
        if data is None:
            raise LedgerError(f"{self.folder}: this text was not kept (ledger content: hashed)")
        return data

    def kept(self, key: bytes) -> bytes | None:
        """The same, None where it was withheld. Raises LedgerError where nothing has this hash."""
        for row in self.query("SELECT codec, body FROM parts WHERE hash = ?", key):
            if row["codec"] == WITHHELD:
                return None
            return self._unzip.decompress(row["body"]) if row["codec"] == ZSTD else bytes(row["body"])
        for segment in self.segments():
            if segment.holds(key):
                return segment.kept(key)
        raise LedgerError(f"{self.folder}: part {key.hex()[:12]} is missing")

    def segments(self) -> list[Segment]:
        """The archive's files, oldest first."""
        rows = self.query("SELECT name FROM segments ORDER BY first_started, name")
        for (name,) in rows:
            if name not in self._segments:
                self._segments[name] = Segment(self.folder / "segments" / name)
        return [self._segments[name] for (name,) in rows]

    def _hash(self, part: int | None) -> bytes | None:
        if part is None:
            return None
        if part not in self._hashes:
            if len(self._hashes) > 100_000:
                self._hashes.clear()
            self._hashes[part] = bytes(self.query("SELECT hash FROM parts WHERE id = ?", part)[0][0])
        return self._hashes[part]

    def _fact(self, row: sqlite3.Row) -> Fact:
        shape = self._hash(row["shape"])
        assert shape is not None
        groups = tuple(tuple(self._hash(part) or b"" for part in group) for group in unpack(row["refs"]))
        return Fact(
            **{
                name: row[name]
                for name in (
                    *_TEXTS,
                    "started",
                    "ended",
                    "first",
                    "status",
                    "finish",
                    "trimmed",
                    "cost",
                    "error",
                )
            },
            stream=bool(row["stream"]),
            unpriced=bool(row["unpriced"]),
            usage=_usage(row),
            raw_usage=decode(row["raw_usage"]) if row["raw_usage"] else None,
            headers=json.loads(row["headers"]),
            tags=json.loads(row["tags"]),
            request_hash=bytes(row["request_hash"]),
            shape=shape,
            parts=groups,
            reply_body=self._hash(row["reply_body"]),
            reply_events=self._hash(row["reply_events"]),
            attempts=msgspec.json.decode(row["attempts"], type=tuple[Receipt, ...])
            if row["attempts"]
            else (),
            savings=self._savings(row["n"]),
            decisions=self._decisions(row["n"]),
        )

    def _savings(self, call: int) -> tuple[Saving, ...]:
        sql = "SELECT lever, nano, basis, baseline FROM savings WHERE call = ? ORDER BY seq"
        return tuple(Saving(*row) for row in self.query(sql, call))

    def _decisions(self, call: int) -> tuple[Decision, ...]:
        sql = "SELECT layer, what FROM decisions WHERE call = ? ORDER BY seq"
        return tuple(Decision(*row) for row in self.query(sql, call))

    @contextlib.contextmanager
    def _readable(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise schema.unreadable(self.folder / schema.NAME, error) from error


def _usage(row: sqlite3.Row) -> Usage | None:
    if row["input"] is None:
        return None
    return Usage(**{name: row[name] for name in _USAGE}, estimated=bool(row["estimated"]))
