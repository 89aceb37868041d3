"""Totals per UTC day, model and tag set, kept in the same transaction as the facts they sum."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from typing import TypeAlias

from costopt.types import Nano, Record, Usage
from costopt.world.ledger import words

DAY_NS = 86_400 * 10**9
Key: TypeAlias = tuple[int, str, int]

#: What is counted: `unpriced` calls spent an unknown sum, `priced` ones `cost` in all; tokens are those
#: billed; `estimated` calls have token counts made here.
COLUMNS = ("calls", "hits", "errors", "unpriced", "priced", "prompt", "cached", "output", "estimated", "cost")
_UPSERT = (
    f"INSERT INTO rollup(day, model, tagset, {', '.join(COLUMNS)})"  # noqa: S608
    f" VALUES ({', '.join('?' * 13)})"
    f" ON CONFLICT DO UPDATE SET {', '.join(f'{c} = {c} + excluded.{c}' for c in COLUMNS)}"
)
_UPSERT_SAVING = (
    "INSERT INTO rollup_savings(day, model, tagset, lever, basis, nano) VALUES (?,?,?,?,?,?)"
    " ON CONFLICT DO UPDATE SET nano = nano + excluded.nano"
)


class Rollup:
    """Sums records in memory; `save` adds the sums to the tables."""

    def __init__(self) -> None:
        self._sums: defaultdict[Key, list[int]] = defaultdict(lambda: [0] * len(COLUMNS))
        self._saved: defaultdict[tuple[int, str, int, str, str], int] = defaultdict(int)

    def add(self, record: Record, tagset: int) -> None:
        key = (record.started // DAY_NS, words.served(record), tagset)
        sums = self._sums[key]
        for column, value in enumerate(_counts(record)):
            sums[column] += value
        for saving in record.receipt.savings if record.receipt else ():
            self._saved[(*key, saving.lever, saving.basis)] += saving.nano

    def save(self, db: sqlite3.Connection) -> None:
        db.executemany(_UPSERT, [(*key, *sums) for key, sums in self._sums.items()])
        db.executemany(_UPSERT_SAVING, [(*key, nano) for key, nano in self._saved.items()])


def _counts(record: Record) -> tuple[int, ...]:
    receipt = record.receipt
    billed = words.billed(record.outcome, words.usage(record), receipt.attempts if receipt else ())
    unpriced = words.unpriced(record.outcome, receipt)
    return counts(record.outcome, unpriced, receipt.cost if receipt else None, billed)


def counts(outcome: str, unpriced: bool, cost: Nano | None, billed: tuple[Usage, ...]) -> tuple[int, ...]:
    """One call in the order of `COLUMNS`."""
    return (
        1,
        outcome == "hit",
        outcome == "error",
        unpriced,
        cost is not None,
        sum(usage.prompt for usage in billed),
        sum(usage.cache_read for usage in billed),
        sum(usage.output for usage in billed),
        any(usage.estimated for usage in billed),
        cost or 0,
    )
