"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import re
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from costopt.cli.fault import InputError
from costopt.errors import LedgerError

DEFAULT_LEDGER = "~/.costopt"
DAY_S = 86_400
#: The largest integer SQLite holds, in the year 2262.
LATEST = 2**63 - 1
_JSON = "print one JSON document for machines"
_SPAN = re.compile(r"(\d{1,9})\s*([mhdwy])")
_SECONDS = {"m": 60, "h": 3600, "d": DAY_S, "w": 7 * DAY_S, "y": 365 * DAY_S}


def add_command(commands: Any, name: str, what: str, more: str = "", **layout: Any) -> ArgumentParser:
    """`what` it does, for the list of commands and for its own help, which goes on with `more`."""
    parser: ArgumentParser = commands.add_parser(
        name, help=what, description=f"{what[0].upper()}{what[1:]}. {more}".rstrip(), **layout
    )
    return parser


def add_ledger(parser: ArgumentParser, default: str | None = DEFAULT_LEDGER, note: str = "") -> None:
    text = note or f"folder of the ledger (default: {default})"
    parser.add_argument("--ledger", metavar="DIR", default=default, help=text)


def add_json(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help=_JSON)


def add_form(parser: ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help=_JSON)
    form.add_argument("--csv", action="store_true", help="print comma-separated values")


def add_period(parser: ArgumentParser) -> None:
    parser.add_argument("--since", metavar="DAY", help="from this UTC day, or the last days: 2026-11-01, 7d")
    parser.add_argument("--until", metavar="DAY", help="to this UTC day, included")


def folder(given: str) -> Path:
    """Raises InputError where it lies in a home folder that is not there."""
    from costopt.world.files import expanded

    try:
        return expanded(given)
    except LedgerError as trouble:
        raise InputError(f"costopt: {trouble}") from None


def span(option: str, text: str) -> float:
    """Seconds of `30d`, `12h`, `2w`. Raises InputError."""
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise InputError(f"costopt: {option} {text!r}: write a span such as 30d, 12h or 2w (m, h, d, w, y)")
    return int(match[1]) * _SECONDS[match[2]]


def text(option: str, given: str) -> str:
    """What was given, if it is text. Raises InputError: bytes that are no UTF-8 name no model and no tag."""
    try:
        given.encode()
    except UnicodeEncodeError:
        raise InputError(f"costopt: {option} {given!r}: these bytes are not UTF-8 text") from None
    return given


def tags(option: str, given: Sequence[str] | None) -> dict[str, str]:
    """`NAME=VALUE` of a repeatable option. Raises InputError."""
    return dict(_tag(option, text) for text in given or ())


def _tag(option: str, given: str) -> tuple[str, str]:
    name, equals, value = text(option, given).partition("=")
    if not equals or not name.strip():
        raise InputError(f"costopt: {option} {given!r}: write NAME=VALUE")
    return name.strip(), value.strip()


def since(text: str | None, clock: Callable[[], int] = time.time_ns) -> int | None:
    """Nanoseconds since the epoch of a date (its start, UTC), a date with time, or a span back from now."""
    return None if text is None else _moment("--since", text, clock, end=False)


def until(text: str | None, clock: Callable[[], int] = time.time_ns) -> int | None:
    """Like `since`, but a date means the end of that day: `--until 2026-11-30` includes the 30th."""
    return None if text is None else _moment("--until", text, clock, end=True)


def _moment(option: str, text: str, clock: Callable[[], int], *, end: bool) -> int:
    if _SPAN.fullmatch(text.strip()):
        return max(0, clock() - int(span(option, text)) * 1_000_000_000)
    try:
        return _nanoseconds(_parsed(text.strip(), end))
    except (ValueError, OverflowError):
        raise InputError(
            f"costopt: {option} {text!r}: write a date (2026-11-30, UTC), a date with time "
            "(2026-11-30T14:00) or a span back from now (7d, 12h)"
        ) from None


def _parsed(text: str, end: bool) -> datetime:
    if len(text) == len("2026-11-30"):
        day = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
        return day + timedelta(days=1) if end else day
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _nanoseconds(moment: datetime) -> int:
    whole = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    exact = (whole.days * DAY_S + whole.seconds) * 1_000_000_000 + whole.microseconds * 1000
    return min(max(exact, 0), LATEST)
