"""The tables of a replay by day, model and tag, with a chart of the days."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from costopt.cli import bars, show
from costopt.cli.replay_words import bill
from costopt.cli.show import Column, left
from costopt.money import change, dollars
from costopt.replaying import GroupResult, Outcome, Replay
from costopt.types import Nano

#: Rows of a table by model or tag, days of a table, columns of a name.
ROWS, DAYS, NAME = 10, 31, 36
#: A tag that our own importers set; it is no group of calls.
OWN_TAG = "tag:time"


class _Group(Struct, frozen=True):
    """The same calls under each policy."""

    name: str
    sides: tuple[GroupResult, ...]

    @property
    def bills(self) -> list[Nano | None]:
        """Then, and now under each policy."""
        return [bill(self.sides[0])[0], *(bill(side)[1] for side in self.sides)]


def show_groups(found: Replay, digits: int) -> None:
    for name in found.outcome.by:
        if name != OWN_TAG:
            _show(found.outcomes, name, digits)


def _show(outcomes: Sequence[Outcome], name: str, digits: int) -> None:
    groups = _groups(outcomes, name)
    columns = [left(_title(name), words=name != "day")]
    columns += [Column(title) for title in ("calls", "recorded", *(outcome.policy for outcome in outcomes))]
    rows = [_row(group, digits) for group in groups]
    if len(outcomes) == 1:
        columns, rows = _compared(columns, rows, groups, drawn=name == "day" and len(groups) > 1)
    show.line()
    show.table(columns, rows)
    if len(outcomes) > 1 and name == "day" and len(groups) > 1:
        _chart(groups, [outcome.policy for outcome in outcomes], digits)


def _groups(outcomes: Sequence[Outcome], by: str) -> list[_Group]:
    """Not too many: days are the last ones, others the dearest; the rest is one row."""
    sides = [{group.name: group for group in outcome.by[by]} for outcome in outcomes]
    groups = [_Group(name, tuple(side[name] for side in sides)) for name in sides[0]]
    if by == "day" and len(groups) > DAYS:
        return [_together("earlier", groups[:-DAYS]), *groups[-DAYS:]]
    if by != "day" and len(groups) > ROWS:
        return [*groups[:ROWS], _together("more", groups[ROWS:])]
    return groups


def _together(what: str, groups: Sequence[_Group]) -> _Group:
    return _Group(
        f"{len(groups):,} {what}", tuple(map(_sum, zip(*(group.sides for group in groups), strict=True)))
    )


def _sum(groups: Sequence[GroupResult]) -> GroupResult:
    fields = ("calls", "changed", "before", "after", "priced")
    return GroupResult("", *(sum(getattr(group, field) for group in groups) for field in fields))


def _row(group: _Group, digits: int) -> list[str]:
    return [short(group.name), f"{group.sides[0].calls:,}", *(dollars(nano, digits) for nano in group.bills)]


def _compared(
    columns: list[Column], rows: list[list[str]], groups: Sequence[_Group], *, drawn: bool
) -> tuple[list[Column], list[list[str]]]:
    """With a column of changes, and of bars where `drawn`."""
    changes = [[*row, change(*group.bills)] for row, group in zip(rows, groups, strict=True)]
    columns = [*columns, Column("change")]
    if not drawn:
        return columns, changes
    bills = [(group.bills[0], group.bills[1]) for group in groups]
    marked = [[*row, bar] for row, bar in zip(changes, bars.pairs(bills), strict=True)]
    return [*columns, Column(bars.legend(), right=False, spare=True)], marked


def _chart(groups: Sequence[_Group], policies: Sequence[str], digits: int) -> None:
    """Then and now, day by day."""
    titles = ("recorded", *policies)
    wide = max(map(len, titles))
    drawn: list[bars.Bar] = []
    for group in groups:
        for title, nano in zip(titles, group.bills, strict=True):
            day = group.name if title is titles[0] else ""
            label = f"{day.ljust(len('2026-01-01'))}  {title.ljust(wide)}"
            drawn.append(bars.Bar(show.clean(label), nano, dollars(nano, digits)))
    bars.draw(drawn)


def _title(name: str) -> str:
    return "day (UTC)" if name == "day" else show.clean(name.replace("tag:", "tag "))


def short(name: str, width: int = NAME) -> str:
    name = show.clean(name)
    return name if len(name) <= width else name[: width - 3] + "..."
