"""Ledgers of an older version: brought up to date by who writes them, read as one of today by who only reads.

Version 3 counts refused calls, and unused attempts under the model that was paid for them. Both are made good for
days before it from the calls, archived ones too; where a segment was deleted or cannot be read, its days stay as
they were.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from costopt.errors import LedgerError
from costopt.world.ledger import schema
from costopt.world.ledger.live import Live
from costopt.world.ledger.parts import encode
from costopt.world.ledger.rollup import COLUMNS, DAY_NS, Rollup, counts, shares
from costopt.world.ledger.segment import Segment
from costopt.world.ledger.words import Fact

_COLUMN = "ALTER TABLE rollup ADD COLUMN refused INTEGER NOT NULL DEFAULT 0"
_STAND_IN = (
    "CREATE TEMP TABLE rollup AS SELECT *, 0 AS refused FROM main.rollup",
    "CREATE UNIQUE INDEX temp.rollup_key ON rollup(day, model, tagset)",
    schema.DAILY.replace("CREATE VIEW", "CREATE TEMP VIEW"),
)
_REFUSED = (
    "SELECT f.started / ?, o.served, f.tagset, count(*) FROM facts f JOIN origins o ON o.id = f.origin"
    " WHERE f.outcome = 'refused' GROUP BY 1, 2, 3"
)
_WITH_ATTEMPTS = "SELECT id FROM facts WHERE attempts IS NOT NULL"


def upgrade(db: sqlite3.Connection, folder: Path) -> None:
    """Bring the file up to date, inside the caller's transaction; nothing where another process just did."""
    if schema.version_of(db) >= schema.VERSION:
        return
    for statement in (_COLUMN, "DROP VIEW daily", schema.DAILY):
        db.execute(statement)
    _make_good(db, folder)
    db.execute(f"PRAGMA user_version = {schema.VERSION}")


def stand_in(db: sqlite3.Connection, folder: Path) -> None:
    """Put tables of today before those of the file, for this connection and in memory."""
    for statement in _STAND_IN:
        db.execute(statement)
    _make_good(db, folder)


def _make_good(db: sqlite3.Connection, folder: Path) -> None:
    rollup = Rollup()
    for day, model, tagset, calls in db.execute(_REFUSED, (DAY_NS,)).fetchall():
        rollup.count((day, model, tagset), _refused(calls))
    tagsets = {text: number for number, text in db.execute("SELECT id, json FROM tagsets")}
    for fact in (*_attempted(db, folder), *_archived(db, folder)):
        _correct(rollup, fact, tagsets[encode(dict(sorted(fact.tags.items()))).decode()])
    rollup.save(db)


def _correct(rollup: Rollup, fact: Fact, tagset: int) -> None:
    """Count what version 2 did not, and take back what it had under the model that served."""
    day = fact.started // DAY_NS
    if fact.outcome == "refused":
        rollup.count((day, fact.served, tagset), _refused(1))
        return
    whole = counts(fact.outcome, fact.unpriced, fact.cost, fact.usage)
    *unused, _ = shares(fact.served, whole, fact.attempts)
    for model, share in unused:
        rollup.count((day, model, tagset), share)
        taken = zip(COLUMNS, share, strict=True)
        rollup.count((day, fact.served, tagset), tuple(0 if name == "priced" else -n for name, n in taken))


def _refused(calls: int) -> tuple[int, ...]:
    return tuple(calls if name == "refused" else 0 for name in COLUMNS)


def _attempted(db: sqlite3.Connection, folder: Path) -> Iterator[Fact]:
    live = Live(db, folder / schema.NAME)
    for (call,) in db.execute(_WITH_ATTEMPTS).fetchall():
        if fact := live.fact(call):
            yield fact


def _archived(db: sqlite3.Connection, folder: Path) -> Iterator[Fact]:
    for (name,) in db.execute("SELECT name FROM segments").fetchall():
        with suppress(LedgerError), closing(Segment(folder / "segments" / name)) as segment:
            for frame in segment.frames(segment.first, segment.last + 1):
                yield from segment.page(frame, lambda fact: fact.outcome == "refused" or bool(fact.attempts))
