"""Times as logs write them, in nanoseconds since the epoch."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: No log is older than this (1973) or younger (2262, the end of 64 bits of nanoseconds).
EARLIEST, LATEST = 10**17, 2**63 - 1
#: A plain number counts seconds up to the first bound, milliseconds up to the second, then micro- and nanoseconds.
_UNITS = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3))

#: A zone as databases and browsers write it, behind a blank: ` UTC`, ` +0000`.
_ZONE = re.compile(r"\s+(?:(?:UTC|GMT|Z)(?=$|[+-])|(?=[+-]\d\d:?\d\d$))", re.IGNORECASE)


def moment(value: Any) -> int | None:
    """RFC 3339 text (UTC where it names no zone) or a unix time in s, ms, us or ns; None for what is no such time."""
    if isinstance(value, bool) or value is None:
        return None
    found = _of_number(value) if isinstance(value, int | float) else _of_text(str(value).strip())
    return found if found is not None and EARLIEST <= found <= LATEST else None


def _of_number(value: int | float | str) -> int | None:
    try:
        number = Decimal(str(value))
        unit = next((unit for bound, unit in _UNITS if number < bound), 1)
        return int(number * unit)
    except (InvalidOperation, ValueError, OverflowError):
        return None


def _of_text(text: str) -> int | None:
    if text[:1].isdigit() and text.replace(".", "", 1).isdigit() and len(text) >= 9:
        return _of_number(text)
    try:
        when = _read(text)
    except ValueError:
        return None
    since = (when if when.tzinfo else when.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000


def _read(text: str) -> datetime:
    """RFC 3339, or what HTTP writes (`Sat, 01 Nov 2025 12:00:00 GMT`). Raises ValueError."""
    return parsedate_to_datetime(text) if text[3:4] == "," else datetime.fromisoformat(_ZONE.sub("", text))
