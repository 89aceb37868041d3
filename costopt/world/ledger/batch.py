"""Records as rows: all of one transaction at once, table by table, each value that repeats stored once.

What the file knows already is asked for the whole batch, numbers are given here, and each table gets its rows in
one statement or a few: see `costopt.world.bulk` for why.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple, TypeAlias, cast

from msgspec.structs import astuple

from costopt.decide.keys import digest
from costopt.types import Json, Record, Reply, Request, Usage
from costopt.world.bulk import insert, select
from costopt.world.ledger import words
from costopt.world.ledger.intern import Interner, Origin
from costopt.world.ledger.parts import encode, pack, request_hash, split
from costopt.world.ledger.rollup import Rollup

#: Reply headers worth keeping: what they are, whose id it was, how long it took, how much is left.
KEPT = frozenset({"content-type", "x-request-id", "request-id", "openai-processing-ms", "retry-after"})
_KEPT_PREFIXES = ("x-ratelimit-", "anthropic-ratelimit-")
#: The buckets of `Usage`, in its order.
#: The last, images in the output, is read from `raw_usage`.
_USAGE = Usage.__struct_fields__[:-1]
_FACT = (
    "INSERT INTO facts(n, id, started, ended, first, origin, tagset, outcome, tier, status, finish, stream,"
    f" control, trimmed, waited, {', '.join(_USAGE)}, raw_usage, cost, unpriced, error, headers, attempts, cache_key,"
    " request_hash, shape, refs, reply_body, reply_events)"
)
_SAVING = "INSERT INTO savings(call, seq, lever, nano, basis, baseline)"
_DECISION = "INSERT INTO decisions(call, seq, layer, what)"

#: A request by what it says; equal cache keys mean equal bodies but for streaming.
Name: TypeAlias = tuple[str, str]


class _Apart(NamedTuple):
    """A request body in parts: its hash, the hashes of its shape and of the parts under each key."""

    hash: bytes
    shape: bytes
    groups: list[list[bytes]]


class _Answer(NamedTuple):
    """The hashes of an answer's parts."""

    body: bytes | None
    events: bytes | None


class Batch:
    """What one transaction writes. The caller begins and ends it, and calls `Interner.begin` first."""

    def __init__(self, db: sqlite3.Connection, interner: Interner, *, private: bool) -> None:
        self._db = db
        self._intern = interner
        self._private = private
        self._apart: dict[Name, _Apart] = {}

    def write(self, records: Sequence[Record]) -> None:
        """Write those that are not recorded yet."""
        fresh = self._fresh(records)
        answers = [self._taken_apart(record) for record in fresh]
        self._intern.settle()
        first = self._intern.last_call + 1
        calls = range(first, first + len(fresh))
        tagsets = [self._intern.tagset(record.request.tags) for record in fresh]
        insert(self._db, _FACT, list(map(self._row, calls, fresh, tagsets, answers)))
        insert(self._db, _SAVING, list(chain.from_iterable(map(_savings, calls, fresh))))
        insert(self._db, _DECISION, list(chain.from_iterable(map(_decisions, calls, fresh))))
        rollup = Rollup()
        for record, tagset in zip(fresh, tagsets, strict=True):
            rollup.add(record, tagset)
        rollup.save(self._db)

    def _fresh(self, records: Sequence[Record]) -> list[Record]:
        by_id: dict[str, Record] = {}
        for record in records:
            by_id.setdefault(record.request.id, record)
        for (known,) in select(self._db, "SELECT id FROM facts WHERE id IN", list(by_id)):
            del by_id[known]
        return list(by_id.values())

    def _taken_apart(self, record: Record) -> _Answer:
        """See that all parts of a call will have a number."""
        name = _name(record.request)
        if name not in self._intern.requests and name not in self._apart:
            self._apart[name] = self._request_parts(record.request.body)
        reply = record.reply
        return _Answer(self._part(reply.body), self._part(reply.events)) if reply else _Answer(None, None)

    def _request_parts(self, body: Json) -> _Apart:
        shape, groups = split(body, private=self._private)
        shape_key = digest(shape)
        self._intern.want(shape_key, shape, public=True)
        keys = [[self._wanted(data) for data in group] for group in groups]
        return _Apart(request_hash(shape_key, keys), shape_key, keys)

    def _part(self, data: bytes) -> bytes | None:
        return self._wanted(data) if data else None

    def _wanted(self, data: bytes) -> bytes:
        key = digest(data)
        self._intern.want(key, data)
        return key

    def _row(self, n: int, record: Record, tagset: int, answer: _Answer) -> tuple[Any, ...]:
        request, reply, receipt = record.request, record.reply, record.receipt
        used = words.usage(record)
        part = self._intern.parts
        return (
            n,
            request.id,
            record.started,
            record.ended,
            reply.first_ns if reply else 0,
            self._intern.origin(_origin(record)),
            tagset,
            record.outcome,
            reply.tier if reply else "",
            (reply.status or None) if reply else None,
            reply.finish if reply else "unknown",
            request.stream,
            request.control.cache,
            receipt.trimmed if receipt else 0,
            reply.waited_ns if reply else 0,
            *(astuple(used)[: len(_USAGE)] if used else (None,) * len(_USAGE)),
            self._raw_usage(reply.raw_usage if reply else None),
            receipt.cost if receipt else None,
            words.unpriced(record.outcome, receipt),
            _class_only(record.error) if self._private else record.error,
            _kept(reply),
            encode(receipt.attempts).decode() if receipt and receipt.attempts else None,
            request.key,
            *self._request_row(request),
            part[answer.body] if answer.body else None,
            part[answer.events] if answer.events else None,
        )

    def _request_row(self, request: Request) -> tuple[bytes, int, bytes]:
        """Hash, shape and packed parts of a request body."""
        name = _name(request)
        row = self._intern.requests.get(name)
        if row is None:
            apart, part = self._apart[name], self._intern.parts
            refs = pack([[part[key] for key in group] for group in apart.groups])
            row = apart.hash, part[apart.shape], refs
            if request.key:
                self._intern.requests[name] = row
        return row

    def _raw_usage(self, raw: Json | None) -> str | None:
        if raw is None:
            return None
        return encode(_numbers(raw) if self._private else raw).decode()


def _name(request: Request) -> Name:
    body = request.body
    return request.key or request.id, f"{body.get('stream')} {body.get('stream_options')}"


def _origin(record: Record) -> Origin:
    r = record.request
    revision = record.receipt.revision if record.receipt else ""
    return (
        r.api,
        r.provider,
        r.endpoint,
        record.asked_model,
        words.served(record),
        r.tenant,
        r.variant,
        revision,
    )


def _savings(n: int, record: Record) -> Iterator[tuple[Any, ...]]:
    for at, saving in enumerate(record.receipt.savings if record.receipt else ()):
        yield n, at, saving.lever, saving.nano, saving.basis, saving.baseline


def _decisions(n: int, record: Record) -> Iterator[tuple[Any, ...]]:
    for at, note in enumerate(record.request.notes):
        yield n, at, note.layer, note.what


def _kept(reply: Reply | None) -> str:
    if reply is None or not reply.headers:
        return "{}"
    named = ((name.lower(), value) for name, value in reply.headers)
    return encode({n: v for n, v in named if n in KEPT or n.startswith(_KEPT_PREFIXES)}).decode()


def _class_only(error: str) -> str:
    """An error's class or HTTP status: its message may quote the prompt."""
    found = re.match(r"HTTP \d{3}\b|[A-Z]\w*(?=:|$)", error)
    return found[0] if found else "withheld" if error else ""


def _numbers(raw: object) -> object:
    """A usage object without its texts."""
    if isinstance(raw, dict):
        return {key: _numbers(value) for key, value in cast("Json", raw).items()}
    return raw if isinstance(raw, (int, float)) else None
