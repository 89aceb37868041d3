"""The calls that lie in SQLite, read in chunks: what belongs to the calls of a chunk comes in one query each."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import msgspec
import zstandard

from costopt.types import Decision, Json, Receipt, Saving, Usage
from costopt.wire import tally
from costopt.world.ledger import schema
from costopt.world.ledger.intern import WITHHELD, ZSTD
from costopt.world.ledger.parts import unpack
from costopt.world.ledger.words import Fact, Selection

T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]

#: Calls read at once.
CHUNK = 256
#: Part hashes remembered from chunk to chunk, about 20 MB: conversations share most of them.
REMEMBERED = 100_000

_SELECT = """
SELECT n, origin, tagset, raw_usage, headers, attempts, shape, refs, reply_body, reply_events,
  input, cache_read, cache_write, cache_write_1h, output, reasoning, audio_input, audio_output, image_input,
  searches, service_tier, estimated,
  id, started, ended, first, outcome, tier, status, finish, stream, cost, unpriced, error, request_hash,
  cache_key, control, trimmed, waited
FROM facts
"""
_REFS, _USAGE, _PLAIN = slice(0, 10), slice(10, 22), slice(22, None)
_ORIGIN = "SELECT api, provider, endpoint, asked, served, tenant, variant, revision FROM origins WHERE id = ?"
_OF_MODEL = (
    "origin IN (SELECT id FROM origins"
    " WHERE ? IN (served, asked, provider || '/' || served, provider || '/' || asked))"
)
_TAGGED = "tagset IN (SELECT tagset FROM tags WHERE name = ? AND value = ?)"
_SAVINGS = (
    "SELECT call, lever, nano, basis, baseline FROM savings"
    " WHERE call IN (SELECT value FROM json_each(?)) ORDER BY call, seq"
)
_DECISIONS = "SELECT call, layer, what FROM decisions WHERE call IN (SELECT value FROM json_each(?)) ORDER BY call, seq"
_PARTS = "SELECT id, hash, size FROM parts WHERE id IN (SELECT value FROM json_each(?))"
#: The last character there is, and those on both sides of the code points that are none.
_LAST, _BEFORE_SURROGATES, _AFTER_SURROGATES = "\U0010ffff", 0xD7FF, 0xE000
_raw_decode = json.JSONDecoder().raw_decode
_counted: Callable[..., Usage] = Usage
_receipts = msgspec.json.Decoder(tuple[Receipt, ...])


class Live:
    """Facts and parts in the ledger file, through one connection. Raises LedgerError where it is unreadable."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self._path = path
        self._unzip = zstandard.ZstdDecompressor()
        self._hashes: dict[int, bytes] = {}
        #: Bytes of parts seen lately, for `Reader.sizes`.
        self.sizes: dict[bytes, int] = {}
        self._origin = lru_cache(4096)(self._find_origin)
        self._tags = lru_cache(4096)(self._find_tags)
        self._headers = lru_cache(256)(_json)

    def facts(self, wanted: Selection, *, decisions: bool = True) -> Iterator[Fact]:
        """Those calls, by start time, then as they were written."""
        where, values = _where(wanted)
        with self._readable():
            rows = self._run(f"{_SELECT} WHERE {where} ORDER BY started, n", *values)
            while chunk := rows.fetchmany(CHUNK):
                yield from self._chunk(chunk, decisions)

    def fact(self, call: str) -> Fact | None:
        with self._readable():
            rows = self._run(f"{_SELECT} WHERE id = ?", call).fetchall()
            return self._chunk(rows, True)[0] if rows else None

    def ids(self, prefix: str) -> list[str]:
        end = _after(prefix)
        sql = "SELECT id FROM facts WHERE id >= ?1 AND (?2 = '' OR id < ?2)"
        with self._readable():
            return [name for (name,) in self._run(sql, prefix, end)]

    def count(self, since: int, until: int) -> int:
        sql = "SELECT count(*) FROM facts WHERE started >= ? AND started < ?"
        with self._readable():
            return int(self._run(sql, since, until).fetchone()[0])

    def span(self) -> tuple[int, int] | None:
        with self._readable():
            first, last = self._run(
                "SELECT (SELECT min(started) FROM facts), (SELECT max(started) FROM facts)"
            ).fetchone()
        return None if first is None else (first, last)

    def kept(self, key: bytes) -> tuple[bool, bytes | None]:
        """Whether a part with this hash is here, and its bytes; None where they were withheld."""
        try:
            row = self._run("SELECT codec, body FROM parts WHERE hash = ?", key).fetchone()
        except sqlite3.Error as error:
            raise schema.unreadable(self._path, error) from error
        if row is None or row[0] == WITHHELD:
            return row is not None, None
        return True, self._unzip.decompress(row[1]) if row[0] == ZSTD else bytes(row[1])

    def size(self, key: bytes) -> int | None:
        """Bytes of the part with this hash, also of one withheld; None where it is not here."""
        with self._readable():
            row = self._run("SELECT size FROM parts WHERE hash = ?", key).fetchone()
        return None if row is None else int(row[0])

    def remember(self, key: bytes, size: int) -> None:
        if len(self.sizes) > REMEMBERED:
            self.sizes.clear()
        self.sizes[key] = size

    def _chunk(self, rows: list[Row], decisions: bool) -> list[Fact]:
        calls = _numbers(row[0] for row in rows)
        saved = self._by_call(_SAVINGS, calls, Saving)
        decided = self._by_call(_DECISIONS, calls, Decision) if decisions else {}
        refs = [unpack(row[7]) for row in rows]
        self._learn(rows, refs)
        return [
            self._fact(row, groups, saved.get(row[0], ()), decided.get(row[0], ()))
            for row, groups in zip(rows, refs, strict=True)
        ]

    def _fact(
        self, row: Row, groups: list[list[int]], savings: Iterable[Saving], decisions: Iterable[Decision]
    ) -> Fact:
        _, origin, tagset, raw_usage, headers, attempts, shape, _, body, events = row[_REFS]
        api, provider, endpoint, asked, served, tenant, variant, revision = self._origin(origin)
        (
            name, started, ended, first, outcome, tier, status, finish, stream, cost, unpriced, error,
            request_hash, cache_key, control, trimmed, waited,
        ) = row[_PLAIN]  # fmt: skip
        hashed = self._hashes.__getitem__
        return Fact(
            id=name,
            started=started,
            ended=ended,
            first=first,
            api=api,
            provider=provider,
            endpoint=endpoint,
            asked=asked,
            served=served,
            tenant=tenant,
            variant=variant,
            revision=revision,
            outcome=outcome,
            tier=tier,
            status=status,
            finish=finish,
            stream=bool(stream),
            usage=_usage(row[_USAGE], raw_usage),
            raw_usage=_json(raw_usage) if raw_usage else None,
            cost=cost,
            unpriced=bool(unpriced),
            error=error,
            headers=self._headers(headers),
            tags=self._tags(tagset),
            request_hash=request_hash,
            shape=hashed(shape),
            parts=tuple([tuple(map(hashed, group)) for group in groups]),
            reply_body=None if body is None else hashed(body),
            reply_events=None if events is None else hashed(events),
            cache_key=cache_key,
            attempts=_receipts.decode(attempts) if attempts else (),
            savings=tuple(savings),
            decisions=tuple(decisions),
            control=control,
            trimmed=trimmed,
            waited=waited,
        )

    def _learn(self, rows: list[Row], refs: list[list[list[int]]]) -> None:
        """Hash and size of every part that these rows name."""
        needed = {number for row in rows for number in (row[6], row[8], row[9])} - {None}
        needed.update(*(group for groups in refs for group in groups))
        if len(self._hashes) > REMEMBERED:
            self._hashes = {n: key for n in needed if (key := self._hashes.get(n))}
        for number, key, size in self._run(_PARTS, _numbers(needed - self._hashes.keys())):
            self._hashes[number] = key
            self.remember(key, size)

    def _by_call(self, sql: str, calls: str, word: Callable[..., T]) -> dict[int, list[T]]:
        found: defaultdict[int, list[T]] = defaultdict(list)
        for call, *values in self._run(sql, calls):
            found[call].append(word(*values))
        return found

    def _find_origin(self, number: int) -> Row:
        return cast("Row", self._run(_ORIGIN, number).fetchone())

    def _find_tags(self, number: int) -> dict[str, str]:
        return _json(self._run("SELECT json FROM tagsets WHERE id = ?", number).fetchone()[0])

    def _run(self, sql: str, *values: object) -> sqlite3.Cursor:
        cursor = self._db.cursor()
        cursor.row_factory = None  # plain tuples: a sqlite3.Row costs a search by name per value
        return cursor.execute(sql, values)

    @contextlib.contextmanager
    def _readable(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise schema.unreadable(self._path, error) from error


def _where(wanted: Selection) -> tuple[str, list[object]]:
    clauses, values = ["started >= ? AND started < ?"], [cast("object", wanted.since), wanted.until]
    if wanted.model:
        clauses.append(_OF_MODEL)
        values.append(wanted.model)
    for name, value in wanted.tags.items():
        clauses.append(_TAGGED)
        values += (name, value)
    return " AND ".join(clauses), values


def _after(prefix: str) -> str:
    """The first text after all that begin so; empty where there is none."""
    prefix = prefix.rstrip(_LAST)
    if not prefix:
        return ""
    last = ord(prefix[-1])
    return prefix[:-1] + chr(_AFTER_SURROGATES if last == _BEFORE_SURROGATES else last + 1)


def _numbers(numbers: Iterable[int]) -> str:
    """A list that `json_each` takes apart: one parameter, however many there are."""
    return f"[{','.join(map(str, numbers))}]"


def _usage(row: Sequence[Any], raw: str | None) -> Usage | None:
    """The columns, and the images in the output, which only the provider's own words hold."""
    if row[0] is None:
        return None
    images = tally.openai(_json(raw)).image_output if raw and '"image_tokens"' in raw else 0
    return _counted(*row[:-1], bool(row[-1]), images)


def _json(text: str) -> Json:
    # a third of the time of json.loads, which looks for white space around it
    return cast("Json", _raw_decode(text)[0])
