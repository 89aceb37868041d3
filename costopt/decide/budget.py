"""Which budget windows a call must fit."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from costopt.effects import Claim
from costopt.policy import Budget
from costopt.types import Tags

_END_OF_TIME = 2**62


def claims(budgets: Iterable[Budget], tags: Tags, now: int) -> tuple[Claim, ...]:
    """One claim per budget that applies; a budget `per` a tag the call does not carry counts it as value ""."""
    return tuple(_claim(budget, tags, now) for budget in budgets)


def scope(budget: Budget, tags: Tags) -> str:
    """The name under which spend of `budget` is kept, such as `day:user=42`."""
    who = f"{budget.per}={tags.get(budget.per, '')}" if budget.per else "everybody"
    return f"{budget.window}:{who}"


def _claim(budget: Budget, tags: Tags, now: int) -> Claim:
    start, end = window(budget.window, now)
    return Claim(scope(budget, tags), budget.limit, start, end)


def window(kind: str, now: int) -> tuple[int, int]:
    """Start and end (ns) of the calendar window in UTC that holds `now`; weeks begin on Monday."""
    if kind == "total":
        return 0, _END_OF_TIME
    moment = datetime.fromtimestamp(now // 10**9, UTC).replace(second=0, microsecond=0)
    if kind != "minute":
        moment = moment.replace(minute=0)
    if kind not in ("minute", "hour"):
        moment = moment.replace(hour=0)
    if kind == "week":
        moment -= timedelta(days=moment.weekday())
    if kind == "month":
        moment = moment.replace(day=1)
    return _ns(moment), _ns(_next(moment, kind))


def _next(start: datetime, kind: str) -> datetime:
    if kind == "month":
        return (start + timedelta(days=32)).replace(day=1)
    return start + timedelta(**{f"{kind}s": 1})


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000
