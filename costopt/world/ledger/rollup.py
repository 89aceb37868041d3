"""Totals per UTC day, model and tag set, kept in the same transaction as the facts they sum."""

from __future__ import annotations

import operator
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeAlias

from costopt.types import Nano, Receipt, Record, Usage
from costopt.world.bulk import insert
from costopt.world.ledger import words

SECOND = 10**9
DAY_NS = 86_400 * SECOND
Key: TypeAlias = tuple[int, str, int]
#: Sums in the order of `COLUMNS`.
Counts: TypeAlias = tuple[int, ...]

#: What is counted: `unpriced` calls spent an unknown sum, `priced` ones and paid attempts `cost` in all; tokens are
#: those billed; `estimated` calls have token counts made here; `refused` ones never left.
COLUMNS = (
    *("calls", "hits", "errors", "unpriced", "priced", "prompt", "cached", "output", "estimated", "cost"),
    "refused",
)
_HITS, _PRICED, _ESTIMATED, _COST, _REFUSED = map(
    COLUMNS.index, ("hits", "priced", "estimated", "cost", "refused")
)
_NO_TOKENS = Usage()
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
        self._sums: dict[Key, Counts] = {}
        self._saved: defaultdict[tuple[int, str, int, str, str], int] = defaultdict(int)

    def add(self, record: Record, tagset: int) -> None:
        receipt, outcome = record.receipt, record.outcome
        day, served, cost = record.started // DAY_NS, words.served(record), receipt.cost if receipt else None
        whole = counts(outcome, words.unpriced(outcome, receipt), cost, words.usage(record))
        for model, more in shares(served, whole, receipt.attempts if receipt else ()):
            self.count((day, model, tagset), more)
        for saving in receipt.savings if receipt else ():
            self._saved[day, served, tagset, saving.lever, saving.basis] += saving.nano

    def count(self, key: Key, more: Counts) -> None:
        sums = self._sums.get(key)
        self._sums[key] = tuple(map(operator.add, sums, more)) if sums else more

    def save(self, db: sqlite3.Connection) -> None:
        insert(db, _SUMS, [(*key, *sums) for key, sums in self._sums.items()], _ADD_SUMS)
        insert(db, _SAVINGS, [(*key, nano) for key, nano in self._saved.items()], _ADD_SAVINGS)


def counts(outcome: str, unpriced: bool, cost: Nano | None, answer: Usage | None) -> Counts:
    """One call: the `cost` of all its attempts, the tokens of its answer where a provider billed them."""
    usage = _NO_TOKENS if answer is None or outcome in ("hit", "refused") else answer
    return (
        1,
        outcome == "hit",
        outcome == "error",
        unpriced,
        cost is not None,
        usage.prompt,
        usage.cache_read,
        usage.output,
        usage.estimated,
        cost or 0,
        outcome == "refused",
    )


def shares(served: str, whole: Counts, attempts: tuple[Receipt, ...]) -> Iterator[tuple[str, Counts]]:
    """One call by the model that was paid: unused `attempts` go to theirs, the rest of the `whole` to the one that
    `served`. They cost what the whole does; where that is not known, no part of it is."""
    if attempts and not (whole[_HITS] or whole[_REFUSED]):
        known = bool(whole[_PRICED])
        own = list(whole)
        for attempt in attempts:
            share = _attempt(attempt, known)
            own[_COST] -= share[_COST]
            own[_ESTIMATED] = own[_ESTIMATED] or attempt.usage.estimated
            yield attempt.model, share
        whole = tuple(own)
    yield served, whole


def _attempt(receipt: Receipt, known: bool) -> Counts:
    """No call of its own; `known` says whether its cost is in a sum."""
    usage, cost = receipt.usage, (receipt.cost or 0) if known else 0
    return (0, 0, 0, 0, known, usage.prompt, usage.cache_read, usage.output, 0, cost, 0)
