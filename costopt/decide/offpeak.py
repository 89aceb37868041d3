"""Hours at which a provider charges less, read from a price map row's `off_peak_pricing`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from msgspec import Struct

_DAY_MINUTES = 24 * 60
_NS_PER_MINUTE = 60 * 10**9
#: Hours ahead of UTC of the calendars weekdays are read on; any other is taken as UTC.
_CALENDARS = {"Asia/Shanghai": 8}
#: 1970-01-01 was a Thursday; Monday is 1.
_FIRST_WEEKDAY = 4


class Window(Struct, frozen=True):
    """Minutes of the UTC day from `start` to before `end`, past midnight where `end` is not later; on
    `weekdays` (1 is Monday, empty is every day) of a calendar `ahead` minutes of UTC."""

    start: int
    end: int
    weekdays: frozenset[int]
    ahead: int

    def holds(self, at: int) -> bool:
        """Whether `at` (nanoseconds since the epoch) lies in it."""
        minutes = at // _NS_PER_MINUTE
        day = (minutes + self.ahead) // _DAY_MINUTES
        if self.weekdays and (day + _FIRST_WEEKDAY - 1) % 7 + 1 not in self.weekdays:
            return False
        now = minutes % _DAY_MINUTES
        if self.start < self.end:
            return self.start <= now < self.end
        return now >= self.start or now < self.end


def windows(block: Mapping[str, Any]) -> tuple[Window, ...]:
    """All windows of a block; what cannot be read is left out, so that the full price holds."""
    ahead = 60 * _CALENDARS.get(str(block.get("weekday_timezone")), 0)
    rules: list[Mapping[str, Any]] = [{"hours_utc": block.get("hours_utc")}, *(block.get("windows") or ())]
    return tuple(window for rule in rules for window in _read(rule, ahead))


def _read(rule: Mapping[str, Any], ahead: int) -> Iterator[Window]:
    hours, days = rule.get("hours_utc"), rule.get("weekdays")
    weekdays = frozenset(day for day in _sequence(days) if type(day) is int)
    if days is not None and not weekdays:
        return
    for text in [hours] if isinstance(hours, str) else _sequence(hours):
        start, _, end = str(text).partition("-")
        if (first := _minute(start)) is not None and (last := _minute(end)) is not None:
            yield Window(first, last, weekdays, ahead)


def _sequence(value: object) -> Sequence[object]:
    return cast("list[object]", value) if isinstance(value, list) else ()


def _minute(text: str) -> int | None:
    hour, _, minute = text.strip().partition(":")
    if not (hour.isdecimal() and minute.isdecimal() and int(hour) < 24 and int(minute) < 60):
        return None
    return int(hour) * 60 + int(minute)
