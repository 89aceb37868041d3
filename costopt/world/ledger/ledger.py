"""The ledger: what was called, what it cost, what each lever saved. Written by one thread, read by anyone.

Several processes may write one ledger. A killed process leaves a valid file and loses at most what the
writer had not taken yet. Nothing here keeps request
headers (of a variant only its hash) or the user of a URL; of reply headers only `KEPT` are.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast

from costopt.types import Json, Record, Reply, Request
from costopt.world.ledger import schema, words
from costopt.world.ledger.intern import Interner
from costopt.world.ledger.parts import digest, encode, pack, request_hash, split
from costopt.world.ledger.rollup import Rollup
from costopt.world.ledger.schema import transaction
from costopt.world.writer import Partial, follow_forks

#: Reply headers worth keeping: what they are, whose id it was, how long it took, how much is left.
KEPT = frozenset({"content-type", "x-request-id", "request-id", "openai-processing-ms", "retry-after"})
_KEPT_PREFIXES = ("x-ratelimit-", "anthropic-ratelimit-")
_COLUMNS = (
    "id, started, ended, first, origin, tagset, outcome, tier, status, finish, stream, control, trimmed, input, "
    "cache_read, cache_write, cache_write_1h, output, reasoning, audio_input, audio_output, "
    "image_input, searches, service_tier, estimated, raw_usage, cost, unpriced, error, headers, "
    "attempts, cache_key, request_hash, shape, refs, reply_body, reply_events"
)
_FACT = f"INSERT INTO facts({_COLUMNS}) VALUES ({', '.join('?' * 37)})"  # noqa: S608
_USER = re.compile(r"//[^/@]*@")
#: What a value raises that no row can hold: too large an integer, broken text, a foreign type.
_UNSTORABLE = (ValueError, TypeError, OverflowError, sqlite3.ProgrammingError, sqlite3.InterfaceError)
_SAVING = "INSERT INTO savings(call, seq, lever, nano, basis, baseline) VALUES (?,?,?,?,?,?)"
_DECISION = "INSERT INTO decisions(call, seq, layer, what) VALUES (?,?,?,?)"


class Ledger:
    """The ledger in the folder `path`. `content="hashed"` keeps hashes and counts, and no prompt or answer
    text.

    A hash is no secret keeper: who guesses a whole message can confirm the guess.
    """

    def __init__(self, path: Path, content: Literal["full", "hashed"] = "full") -> None:
        self.path = path
        self._private = content == "hashed"
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        self._interner: Interner | None = None
        self._inode = 0
        follow_forks(self)

    def open(self) -> None:
        """Open or create the file now and see that it can be written; `write` does so by itself.

        Raises LedgerError.
        """
        with self._lock:
            try:
                with transaction(self._opened()):
                    pass
            except sqlite3.Error as error:
                self._drop()
                raise schema.unreadable(self.path / schema.NAME, error) from error

    def write(self, records: Sequence[Record]) -> None:
        """Append facts in one transaction; a call id that is already there is left as it is.

        Raises LedgerError when the file cannot be used, sqlite3.Error when it is full or locked (nothing is
        written then), and Partial when single records cannot be stored (all others are).
        """
        with self._lock:
            try:
                self._write(records)
            except _UNSTORABLE as error:
                if len(records) == 1:
                    raise
                self._write_each(records, error)

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _write(self, records: Sequence[Record]) -> None:
        db = self._opened()
        assert self._interner is not None
        try:
            with transaction(db):
                self._interner.begin()
                _Batch(db, self._interner, private=self._private).write(records)
        except BaseException:
            self._drop()  # and with it every number remembered from the rolled back transaction
            raise

    def _write_each(self, records: Sequence[Record], cause: Exception) -> None:
        lost = 0
        for record in records:
            try:
                self._write([record])
            except _UNSTORABLE as error:
                lost, cause = lost + 1, error
        if lost:
            raise Partial(lost, cause)

    def _opened(self) -> sqlite3.Connection:
        """The connection; a new one where the file was moved away or replaced under us."""
        if self._db is not None and self._inode == _inode(self.path):
            return self._db
        self._drop()
        self._db = schema.connect(self.path)
        self._interner = Interner(self._db, withhold=self._private)
        self._inode = _inode(self.path)
        return self._db

    def _drop(self) -> None:
        if self._db is not None:
            self._db.close()
        self._db = self._interner = None

    def before_fork(self) -> None:
        # an SQLite connection that exists in two processes corrupts the file when one of them uses it
        self._lock.acquire()
        self._drop()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        self._lock = threading.RLock()


class _Batch:
    """The rows of one transaction."""

    def __init__(self, db: sqlite3.Connection, interner: Interner, *, private: bool) -> None:
        self._db = db
        self._intern = interner
        self._private = private
        self._rollup = Rollup()
        self._savings: list[tuple[Any, ...]] = []
        self._decisions: list[tuple[Any, ...]] = []

    def write(self, records: Sequence[Record]) -> None:
        for record in records:
            self._add(record)
        self._db.executemany(_SAVING, self._savings)
        self._db.executemany(_DECISION, self._decisions)
        self._rollup.save(self._db)

    def _add(self, record: Record) -> None:
        tagset = self._intern.tagset(record.request.tags)
        added = self._db.execute(_FACT, self._row(record, tagset))
        if not added.rowcount:  # recorded before
            return
        call, notes = added.lastrowid, record.request.notes
        savings = record.receipt.savings if record.receipt else ()
        self._savings += [(call, i, s.lever, s.nano, s.basis, s.baseline) for i, s in enumerate(savings)]
        self._decisions += [(call, i, note.layer, note.what) for i, note in enumerate(notes)]
        self._rollup.add(record, tagset)

    def _row(self, record: Record, tagset: int) -> tuple[Any, ...]:
        request, reply, receipt = record.request, record.reply, record.receipt
        return (
            request.id,
            record.started,
            record.ended,
            reply.first_ns if reply else 0,
            self._origin(record),
            tagset,
            record.outcome,
            reply.tier if reply else "",
            reply.status if reply else None,
            reply.finish if reply else "unknown",
            request.stream,
            request.control.cache,
            receipt.trimmed if receipt else 0,
            *_usage_row(record),
            self._raw_usage(reply.raw_usage if reply else None),
            receipt.cost if receipt else None,
            words.unpriced(record.outcome, receipt),
            _class_only(record.error) if self._private else record.error,
            _kept(reply),
            encode(receipt.attempts).decode() if receipt and receipt.attempts else None,
            request.key,
            *self._request_row(request),
            self._answer(reply.body if reply else b""),
            self._answer(reply.events if reply else b""),
        )

    def _origin(self, record: Record) -> int:
        r = record.request
        revision = record.receipt.revision if record.receipt else ""
        # a variant may hold any header a caller sends, keys of proxies among them
        variant = digest(r.variant.encode(errors="replace")).hex()[:16] if r.variant else ""
        endpoint = _USER.sub("//", r.endpoint, count=1)
        return self._intern.origin(
            (
                r.api,
                r.provider,
                endpoint,
                record.asked_model,
                words.served(record),
                r.tenant,
                variant,
                revision,
            )
        )

    def _request_row(self, request: Request) -> tuple[bytes, int, bytes]:
        """Hash, shape and packed parts of a request body. Equal cache keys mean equal bodies but for streaming."""
        streaming = f"{request.body.get('stream')} {request.body.get('stream_options')}"
        known = self._intern.requests.get((request.key, streaming)) if request.key else None
        if known is None:
            known = self._intern.requests[request.key, streaming] = self._taken_apart(request.body)
        return known

    def _taken_apart(self, body: Json) -> tuple[bytes, int, bytes]:
        shape, groups = split(body, private=self._private)
        shape_key, keys = digest(shape), [[digest(data) for data in group] for group in groups]
        part = self._intern.part
        ids = [list(map(part, *pair)) for pair in zip(keys, groups, strict=True)]
        return request_hash(shape_key, keys), part(shape_key, shape, public=True), pack(ids)

    def _answer(self, data: bytes) -> int | None:
        return self._intern.part(digest(data), data) if data else None

    def _raw_usage(self, raw: Json | None) -> str | None:
        if raw is None:
            return None
        return encode(_numbers(raw) if self._private else raw).decode()


def _usage_row(record: Record) -> tuple[int | str | None, ...]:
    u = words.usage(record)
    if u is None:
        return (None,) * 12
    return (
        u.input,
        u.cache_read,
        u.cache_write,
        u.cache_write_1h,
        u.output,
        u.reasoning,
        u.audio_input,
        u.audio_output,
        u.image_input,
        u.searches,
        u.service_tier,
        u.estimated,
    )


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


def _inode(folder: Path) -> int:
    try:
        return (folder / schema.NAME).stat().st_ino
    except OSError:
        return 0
