"""Sums over a span of time, by day, model or tag: whole days from the rollups, the rest of a day from its
calls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from costopt.types import Nano
from costopt.world.ledger.read import Reader
from costopt.world.ledger.rollup import COLUMNS, DAY_NS, counts, shares, utc_date
from costopt.world.ledger.words import Fact

Group: TypeAlias = tuple[str, ...]


class Sums:
    """Sums of one group: `counts` by name (`rollup.COLUMNS`), `saved` by (lever, basis)."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = dict.fromkeys(COLUMNS, 0)
        self.saved: defaultdict[tuple[str, str], Nano] = defaultdict(int)

    def count(self, values: Iterable[int]) -> None:
        for name, value in zip(COLUMNS, values, strict=True):
            self.counts[name] += value

    def save(self, lever: str, basis: str, nano: Nano) -> None:
        self.saved[lever, basis] += nano

    def add(self, other: Sums) -> None:
        self.count(other.counts.values())
        for (lever, basis), nano in other.saved.items():
            self.save(lever, basis, nano)


def totals(reader: Reader, by: Sequence[str], since: int, until: int) -> dict[Group, Sums]:
    """Sums of the calls started in [since, until) ns, keyed by the values of `by`; an absent tag is "".

    `by` holds any of "day", "model" and "tag:<name>"; ValueError for anything else.
    """
    columns = [_column(name) for name in by]
    groups: defaultdict[Group, Sums] = defaultdict(Sums)
    first, last = -(-since // DAY_NS), until // DAY_NS
    edges = [(since, until)]
    if first < last:
        _add_days(reader, by, columns, (first, last), groups)
        edges = [(since, first * DAY_NS), (last * DAY_NS, until)]
    for start, end in edges:
        for fact in reader.facts(start, end, decisions=False) if start < end else ():
            _add_fact(fact, by, groups)
    return dict(groups)


def _add_fact(fact: Fact, by: Sequence[str], groups: defaultdict[Group, Sums]) -> None:
    whole = counts(fact.outcome, fact.unpriced, fact.cost, fact.usage)
    for model, share in shares(fact.served, whole, fact.attempts):
        groups[_group(fact, model, by)].count(share)
    for saving in fact.savings:
        groups[_group(fact, fact.served, by)].save(saving.lever, saving.basis, saving.nano)


def _add_days(
    reader: Reader,
    by: Sequence[str],
    columns: list[str],
    days: tuple[int, int],
    groups: defaultdict[Group, Sums],
) -> None:
    # only our own fixed expressions are put into the SQL; tag names and bounds are parameters
    width, args = len(columns), (*_tags(by), *days)
    keys = "".join(f"{column}, " for column in columns)
    places = [str(i + 1) for i in range(width)]
    sums = ", ".join(f"sum(r.{name})" for name in COLUMNS)
    where = "WHERE r.day >= ? AND r.day < ? GROUP BY "
    counted = f"SELECT {keys}{sums} FROM rollup r {where}{', '.join(places) or 'NULL'}"  # noqa: S608
    for row in reader.query(counted, *args):
        groups[tuple(row[:width])].count(row[width:])
    levers = "r.lever, r.basis, sum(r.nano) FROM rollup_savings r"
    saved = f"SELECT {keys}{levers} {where}{', '.join([*places, 'r.lever', 'r.basis'])}"
    for row in reader.query(saved, *args):
        groups[tuple(row[:width])].save(*row[width:])


def _column(name: str) -> str:
    """SQL for one value of `by`; a tag's name is bound as a parameter, never written into it."""
    if name == "day":
        return "date(r.day * 86400, 'unixepoch')"
    if name == "model":
        return "r.model"
    if name.startswith("tag:") and name != "tag:":
        return "coalesce((SELECT value FROM tags WHERE name = ? AND tagset = r.tagset), '')"
    raise ValueError(f"by {name!r}: write day, model or tag:<name>")


def _tags(by: Sequence[str]) -> list[str]:
    return [name.removeprefix("tag:") for name in by if name.startswith("tag:")]


def _group(fact: Fact, model: str, by: Sequence[str]) -> Group:
    return tuple(_value(fact, model, name) for name in by)


def _value(fact: Fact, model: str, name: str) -> str:
    if name == "day":
        return utc_date(fact.started)
    return model if name == "model" else fact.tags.get(name.removeprefix("tag:"), "")
