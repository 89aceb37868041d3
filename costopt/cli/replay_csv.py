"""A replay as comma-separated values: one long table, a row for each figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from costopt.replaying import GroupResult, Outcome, Replay
from costopt.replaying.result import amounts
from costopt.types import Nano

COLUMNS = (
    *("policy", "section", "name", "basis", "calls"),
    *("before_nano", "after_nano", "saved_nano", "low_nano", "high_nano"),
)
Cell = str | int | None


def document(found: Replay) -> str:
    """Header and rows. Sections are total, lever, answer, model, day, tag:NAME and call; empty is unknown, or does
    not apply. `low_nano` and `high_nano` bound what was saved: of a total 95%, by bootstrap over sessions."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for outcome in found.outcomes:
        writer.writerows([outcome.policy, *row] for row in _rows(found, outcome))
    return out.getvalue()


def _rows(found: Replay, outcome: Outcome) -> Iterator[Sequence[Cell]]:
    low, high = (outcome.interval if outcome.priced else None) or (None, None)
    yield ("total", "", "", found.calls, *_bill(outcome), low, high)
    for lever in outcome.levers:
        yield ("lever", lever.lever, lever.basis, lever.calls, None, None, lever.nano, lever.low, lever.high)
    for group in outcome.answers:
        yield ("answer", *_group(group))
    for section, groups in outcome.by.items():
        for group in groups:
            yield (section, *_group(group))
    for call in outcome.top:
        yield ("call", call.call, "", 1, *amounts(call.before, call.after).values(), None, None)


def _group(group: GroupResult) -> Sequence[Cell]:
    return (group.name, "", group.calls, *_bill(group), None, None)


def _bill(group: GroupResult | Outcome) -> Sequence[Nano | None]:
    return tuple(amounts(group.before, group.after, group.priced).values())
