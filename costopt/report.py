"""Where the money went and what was saved, from a ledger. Reads only; live and archived calls alike.

Totals come from the ledger's rollups, so a report on a million calls is quick; `explain` and `frame` read
the calls. Savings that are recorded or follow from recorded facts (`known`, `derived`) are never added to
those that rest on an assumption (`assumed`, `estimated`).
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec import Struct

from costopt.money import dollars, places
from costopt.types import Basis, Nano, Saving, Usage
from costopt.world.files import expanded
from costopt.world.ledger.read import Reader
from costopt.world.ledger.totals import Sums, totals
from costopt.world.ledger.words import FOREVER, Fact

if TYPE_CHECKING:
    from rich.table import Table

SCHEMA = 1
SURE: frozenset[Basis] = frozenset({"known", "derived"})
_COUNTS = ("calls", "hits", "errors", "refused", "unpriced", "prompt", "cached", "output", "estimated")
_TEXT_HASHES = frozenset({"shape", "parts", "reply_body", "reply_events", "request_hash"})


class Saved(Struct, frozen=True):
    """What one lever saved (+) or lost (-) in all, on one basis."""

    lever: str
    basis: Basis
    nano: Nano


class Row(Struct, frozen=True):
    """One line of a report. `group` has one value for each of `Report.by`; a tag that was not set is "".

    `prompt`, `cached` (the part of it read from the provider's cache) and `output` are tokens a provider
    billed. `cost` is the sum of what is known; `unpriced` calls spent a sum that is not, and where there are
    only those and repeats of them, `cost` is None. `estimated` calls have token counts made here. `hits` were
    answered without a provider, `refused` ones (by a budget, say) never reached one. An attempt that was paid and not
    used, such as a cascade's that failed its check, is no call: its tokens and cost are in the row of its model.
    """

    group: tuple[str, ...]
    calls: int = 0
    hits: int = 0
    errors: int = 0
    refused: int = 0
    unpriced: int = 0
    prompt: int = 0
    cached: int = 0
    output: int = 0
    estimated: int = 0
    cost: Nano | None = None
    savings: tuple[Saved, ...] = ()

    @property
    def saved(self) -> Nano:
        """Recorded or derived from records."""
        return sum(s.nano for s in self.savings if s.basis in SURE)

    @property
    def saved_assumed(self) -> Nano:
        """More that was saved if the assumptions named in the ledger hold."""
        return sum(s.nano for s in self.savings if s.basis not in SURE)

    @property
    def digits(self) -> int:
        """Decimals that serve all its money, and that of the rows it sums up."""
        return places((self.cost, self.saved, self.saved_assumed))

    def to_dict(self) -> dict[str, Any]:
        counts = {name: getattr(self, name) for name in _COUNTS}
        return {
            **counts,
            "cost": self.cost,
            "saved": self.saved,
            "saved_assumed": self.saved_assumed,
            "savings": [msgspec.structs.asdict(s) for s in self.savings],
        }


class Report(Struct, frozen=True):
    """Rows by descending cost (by date where `by` begins with "day") and their total. Money in nano-USD."""

    by: tuple[str, ...]
    since: int | None
    until: int | None
    rows: tuple[Row, ...]
    total: Row

    @property
    def empty(self) -> bool:
        return self.total.calls == 0

    def headline(self) -> str:
        """The report in a sentence or two."""
        t = self.total
        if self.empty:
            return "No calls are recorded for this period."
        cost, saved, assumed = (dollars(nano, t.digits) for nano in (t.cost, t.saved, t.saved_assumed))
        refused = f", {t.refused:,} refused" if t.refused else ""
        parts = [f"{cost} spent on {t.calls:,} calls ({t.hits:,} answered without a provider{refused})"]
        parts.append(f"{saved} saved")
        if t.saved_assumed:
            parts.append(f"{assumed} more if the assumptions hold")
        if t.unpriced:
            parts.append(f"{t.unpriced:,} calls have no known price and are not counted in money")
        return "; ".join(parts) + "."

    def to_dict(self) -> dict[str, Any]:
        """For machines: `schema` 1, money in nano-USD, times in ns, null for unknown."""
        return {
            "schema": SCHEMA,
            "unit": "nano-USD",
            "by": list(self.by),
            "since": self.since,
            "until": self.until,
            "empty": self.empty,
            "rows": [dict(zip(self.by, row.group, strict=True)) | row.to_dict() for row in self.rows],
            "total": self.total.to_dict(),
        }

    def csv(self) -> str:
        """One line a row, one column for each lever and basis; unknown is empty."""
        levers = [(s.lever, s.basis) for s in self.total.savings]
        heads = [*self.by, *_COUNTS, "cost_nano", "saved_nano", "saved_assumed_nano"]
        out = io.StringIO()
        lines = csv.writer(out, lineterminator="\n")
        lines.writerow([*heads, *(f"{lever}_{basis}_nano" for lever, basis in levers)])
        for row in self.rows:
            each = {(s.lever, s.basis): s.nano for s in row.savings}
            counts = [getattr(row, name) for name in _COUNTS]
            money = [row.cost, row.saved, row.saved_assumed, *(each.get(key, 0) for key in levers)]
            lines.writerow([*map(_cell, row.group), *counts, *money])
        return out.getvalue()

    def rich_table(self) -> Table:
        """For a terminal."""
        from rich.table import Table
        from rich.text import Text

        table = Table(caption=self.headline(), caption_justify="left")
        for name in self.by:
            table.add_column(name.removeprefix("tag:"))
        for name in ("calls", "hits", "prompt tokens", "output tokens", "cost", "saved", "if assumed"):
            table.add_column(name, justify="right")
        digits = self.total.digits
        for row in self.rows:
            table.add_row(*map(Text, row.group), *_figures(row, digits))
        if len(self.rows) > 1 and self.by:
            table.add_section()
            table.add_row("total", *[""] * (len(self.by) - 1), *_figures(self.total, digits))
        return table


class Step(Struct, frozen=True):
    """One decision of one call; `savings` is what its lever was worth, told at the lever's last decision."""

    layer: str
    what: str
    savings: tuple[Saving, ...] = ()


class Explanation(Struct, frozen=True):
    """One recorded call: its facts, its decisions in order, and savings no decision speaks of (`others`)."""

    fact: Fact
    steps: tuple[Step, ...]
    others: tuple[Saving, ...]

    def to_dict(self) -> dict[str, Any]:
        """For machines: `schema` 1. Holds no prompt and no answer."""
        return {
            "schema": SCHEMA,
            "unit": "nano-USD",
            "call": _plain(self.fact),
            "steps": [msgspec.to_builtins(step) for step in self.steps],
            "other_savings": msgspec.to_builtins(self.others),
        }


def report(
    path: str | Path, *, by: Sequence[str] = ("model",), since: int | None = None, until: int | None = None
) -> Report:
    """Spend and savings of the ledger in folder `path`, of calls started in [since, until), ns since the
    epoch.

    `by` holds any of "day" (UTC), "model" and "tag:<name>"; a string is one of them. Raises LedgerError
    where there is no readable ledger, ValueError for another `by`. Without calls the report is `empty` and
    its cost None.
    """
    by = (by,) if isinstance(by, str) else tuple(by)
    with Reader(expanded(path)) as reader:
        groups = totals(reader, by, since or 0, FOREVER if until is None else until)
    whole = Sums()
    for sums in groups.values():
        whole.add(sums)
    rows = [_row(group, sums) for group, sums in groups.items()]
    rows.sort(key=_by_group if by[:1] == ("day",) else _dearest_first)
    return Report(by, since, until, tuple(rows), _row((), whole))


def explain(path: str | Path, call: str) -> Explanation:
    """Why one call went as it went; `call` is its id or the beginning of it. Raises LedgerError."""
    with Reader(expanded(path)) as reader:
        fact = reader.fact(call)
    last = {decision.layer: i for i, decision in enumerate(fact.decisions)}
    steps = [
        Step(d.layer, d.what, _worth(fact, d.layer) if last[d.layer] == i else ())
        for i, d in enumerate(fact.decisions)
    ]
    return Explanation(fact, tuple(steps), tuple(s for s in fact.savings if s.lever not in last))


def frame(path: str | Path, *, since: int | None = None, until: int | None = None) -> list[dict[str, Any]]:
    """One flat dict a call, live or archived, for `pandas.DataFrame(frame(path))`.

    Facts, usage buckets, `tag_<name>` and `saved_<lever>` (nano-USD); no texts. Raises LedgerError.
    """
    with Reader(expanded(path)) as reader:
        return [_flat(fact) for fact in reader.facts(since or 0, FOREVER if until is None else until)]


def _row(group: tuple[str, ...], sums: Sums) -> Row:
    counts = dict(sums.counts)
    cost, priced = counts.pop("cost"), counts.pop("priced")
    saved = sorted(sums.saved.items())
    savings = tuple(Saved(lever, cast("Basis", basis), nano) for (lever, basis), nano in saved)
    unknown = not priced and (counts["unpriced"] or counts["hits"] or not counts["calls"])
    return Row(group, **counts, cost=None if unknown else cost, savings=savings)


def _by_group(row: Row) -> tuple[Any, ...]:
    return row.group


def _dearest_first(row: Row) -> tuple[Any, ...]:
    return (-(row.cost or 0), row.group)


def _worth(fact: Fact, layer: str) -> tuple[Saving, ...]:
    return tuple(saving for saving in fact.savings if saving.lever == layer)


def _flat(fact: Fact) -> dict[str, Any]:
    plain = _plain(fact)
    usage, tags = plain.pop("usage") or dict.fromkeys(Usage.__struct_fields__), plain.pop("tags")
    for name in ("savings", "decisions", "raw_usage", "headers", "attempts"):
        del plain[name]
    saved: defaultdict[str, Nano] = defaultdict(int)
    for saving in fact.savings:
        saved[f"saved_{saving.lever}"] += saving.nano
    return plain | usage | {f"tag_{name}": value for name, value in tags.items()} | dict(saved)


def _plain(fact: Fact) -> dict[str, Any]:
    """A fact as JSON values, hashes in hex, without the lists of part hashes."""
    values = {name: getattr(fact, name) for name in fact.__struct_fields__ if name not in _TEXT_HASHES}
    return {**cast("dict[str, Any]", msgspec.to_builtins(values)), "request_hash": fact.request_hash.hex()}


def _cell(text: str) -> str:
    """A value a spreadsheet must not take for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _figures(row: Row, digits: int) -> list[str]:
    numbers = [f"{row.calls:,}", f"{row.hits:,}", f"{row.prompt:,}", f"{row.output:,}"]
    cost = dollars(row.cost, digits) + (f" + {row.unpriced:,} unpriced" if row.unpriced else "")
    return [*numbers, cost, dollars(row.saved, digits), dollars(row.saved_assumed, digits)]
