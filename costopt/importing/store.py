"""Writes imported calls into a ledger, each of them once however often it is met."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from costopt.importing.recording import TIME_DIGITS
from costopt.types import Record
from costopt.world.ledger import Ledger, schema
from costopt.world.ledger.segment import Segment
from costopt.world.writer import Partial

#: `hashed` keeps hashes and counts, and no text of prompts and answers.
Content: TypeAlias = Literal["full", "hashed"]
#: Calls in one transaction.
BATCH = 1000
_SEEN = """
CREATE TEMP TABLE seen(tail TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TEMP TABLE named(name TEXT PRIMARY KEY) WITHOUT ROWID;
"""


class Store:
    """A ledger that takes each call once: one that is in it already, live or archived, is not added.

    Raises LedgerError where the ledger cannot be used.
    """

    def __init__(self, folder: Path, content: Content = "full") -> None:
        self._ledger = Ledger(folder, content)
        self._ledger.open()
        self._db = schema.connect_to_read(folder)
        self._db.executescript(_SEEN)
        self._remember_live()
        self._remember_archived(folder)

    def is_new(self, call: str) -> bool:
        """Whether the call with this id was never met before, whatever time it had; it has been, from now on."""
        return self._db.execute("INSERT OR IGNORE INTO seen VALUES (?)", (call[TIME_DIGITS:],)).rowcount > 0

    def is_shared(self, name: str) -> bool:
        """Whether a call of this import had the name `name` before."""
        given = name.encode(errors="replace")
        return self._db.execute("INSERT OR IGNORE INTO named VALUES (?)", (given,)).rowcount == 0

    def forget(self, call: str) -> None:
        """Take back what `is_new` remembered, for a call that turned out to be none."""
        self._db.execute("DELETE FROM seen WHERE tail = ?", (call[TIME_DIGITS:],))

    def write(self, records: Sequence[Record]) -> list[Record]:
        """Adds calls and gives back those that could not be stored. Raises LedgerError."""
        try:
            self._ledger.write(records)
        except Partial:
            return [record for record in records if not self._has(record.request.id)]
        except sqlite3.Error as error:
            raise schema.unreadable(self._ledger.path / schema.NAME, error) from error
        return []

    def close(self) -> None:
        self._db.close()
        self._ledger.close()

    def _remember_live(self) -> None:
        self._db.execute(
            f"INSERT OR IGNORE INTO seen SELECT substr(id, {TIME_DIGITS + 1}) FROM main.facts"  # noqa: S608
        )

    def _remember_archived(self, folder: Path) -> None:
        for (name,) in self._db.execute("SELECT name FROM segments").fetchall():
            segment = Segment(folder / "segments" / name)
            try:
                tails = [(call[TIME_DIGITS:],) for call in segment.ids()]
            finally:
                segment.close()
            self._db.executemany("INSERT OR IGNORE INTO seen VALUES (?)", tails)

    def _has(self, call: str) -> bool:
        return self._db.execute("SELECT 1 FROM main.facts WHERE id = ?", (call,)).fetchone() is not None
