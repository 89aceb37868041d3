"""Totals per UTC day, model and tag set, kept in the same transaction as the facts they sum."""

from __future__ import annotations

import operator
import sqlite3
from collections import defaultdict
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeAlias

from costopt.types import Nano, Record, Usage
from costopt.world.bulk import insert
from costopt.world.ledger import words

SECOND = 10**9
DAY_NS = 86_400 * SECOND
Key: TypeAlias = tuple[int, str, int]

#: What is counted: `unpriced` calls spent an unknown sum, `priced` ones `cost` in all; tokens are those
#: billed; `estimated` calls have token counts made here.
COLUMNS = ("calls", "hits", "errors", "unpriced", "priced", "prompt", "cached", "output", "estimated", "cost")
_SUMS = f"INSERT INTO rollup(day, model, tagset, {', '.join(COLUMNS)})"
_ADD_SUMS = f"ON CONFLICT DO UPDATE SET {', '.join(f'{c} = {c} + excluded.{c}' for c in COLUMNS)}"
_SAVINGS = "INSERT INTO rollup_savings(day, model, tagset, lever, basis, nano)"
_ADD_SAVINGS = "ON CONFLICT DO UPDATE SET nano = nano + excluded.nano"


def utc_date(at: int) -> str:
    """`2026-11-01`, the day that `at` (ns) belongs to."""
    return _date(at // DAY_NS)


@lru_cache(4096)
def _date(day: int) -> str:
    return datetime.fromtimestamp(day * DAY_NS // SECOND, UTC).date().isoformat()


class Rollup:
    """Sums records in memory; `save` adds the sums to the tables."""

    def __init__(self) -> None:
        self._sums: dict[Key, tuple[int, ...]] = {}
        self._saved: defaultdict[tuple[int, str, int, str, str], int] = defaultdict(int)

    def add(self, record: Record, tagset: int) -> None:
        receipt, usage = record.receipt, words.usage(record)
        billed = words.billed(record.outcome, usage, receipt.attempts if receipt else ())
        unpriced = words.unpriced(record.outcome, receipt)
        more = counts(record.outcome, unpriced, receipt.cost if receipt else None, billed)
        key = (record.started // DAY_NS, words.served(record), tagset)
        sums = self._sums.get(key)
        self._sums[key] = tuple(map(operator.add, sums, more)) if sums else more
        for saving in receipt.savings if receipt else ():
            self._saved[(*key, saving.lever, saving.basis)] += saving.nano

    def save(self, db: sqlite3.Connection) -> None:
        insert(db, _SUMS, [(*key, *sums) for key, sums in self._sums.items()], _ADD_SUMS)
        insert(db, _SAVINGS, [(*key, nano) for key, nano in self._saved.items()], _ADD_SAVINGS)


def counts(outcome: str, unpriced: bool, cost: Nano | None, billed: tuple[Usage, ...]) -> tuple[int, ...]:
    """One call in the order of `COLUMNS`."""
    prompt = cached = output = 0
    estimated = False
    for usage in billed:
        prompt += usage.prompt
        cached += usage.cache_read
        output += usage.output
        estimated = estimated or usage.estimated
    return (
        1,
        outcome == "hit",
        outcome == "error",
        unpriced,
        cost is not None,
        prompt,
        cached,
        output,
        estimated,
        cost or 0,
    )
