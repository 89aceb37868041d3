"""Quantities as a policy file writes them: `30s`, `256MB`, `$5/day`, `200k/min`, `32k`. Decimal, never float.

Each reader returns plain numbers (seconds, bytes, nano-USD, counts) or raises `Wrong`; each `say_*` (and
`costopt.money.exact`) writes one back so that reading it again gives the same number.
"""

from __future__ import annotations

import re
from decimal import Decimal

from costopt.money import NANO_PER_USD
from costopt.types import Nano

MILLISECONDS = {
    "ms": 1,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
    "y": 31_536_000_000,
}
#: A century from now can still be told in nanoseconds of 64 bits, as clocks and files do; they end in 2262.
LONGEST_S = 100 * 31_536_000
#: SQLite, which keeps the disk cache, counts bytes in 63 bits.
LARGEST = 10**18
#: KB, MB, GB, TB are powers of 1000 (SI); KiB, MiB, GiB, TiB are powers of 1024 (IEC).
BYTES = {"B": 1} | {
    f"{prefix}{i}B": base**power
    for i, base in (("", 1000), ("i", 1024))
    for power, prefix in enumerate("KMGT", 1)
}
SCALES = {"": 1, "k": 1000, "K": 1000, "M": 1_000_000}
RATE_WINDOWS = {"s": 1, "sec": 1, "min": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}
SPEND_WINDOWS = ("minute", "hour", "day", "week", "month", "total")

#: No leading zero: YAML 1.1 would read 010 as 8.
NUMBER = r"(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?"
#: Whole, with `_` between digits.
SPACED = r"[1-9](?:_?[0-9]){0,14}"
DURATION = rf"^({NUMBER})({'|'.join(MILLISECONDS)})$"
SIZE = rf"^({NUMBER})({'|'.join(BYTES)})$"
COUNT = rf"^({NUMBER}|{SPACED})([kKM]?)$"
RATE = rf"^({NUMBER})([kKM]?)/({'|'.join(RATE_WINDOWS)})$"
MONEY = rf"^\$({NUMBER})$"
SPEND = rf"^\$({NUMBER})/({'|'.join(SPEND_WINDOWS)})$"


class Wrong(ValueError):
    """A value that cannot be what it should be; `hint` says what to write, `key` which key is meant."""

    def __init__(self, message: str, hint: str, key: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.key = key


def duration(text: str) -> float:
    """Seconds, to the nearest nanosecond and at most 100 years. `0` needs no unit; a year is 365 days."""
    if text == "0":
        return 0.0
    number, unit = _match(DURATION, text, "a duration", "30s", "ms, s, m, h, d, w or y")
    seconds = Decimal(number) * MILLISECONDS[unit] / 1000
    if seconds > LONGEST_S:
        raise Wrong(f"{text} is longer than {say_duration(LONGEST_S)}", "write 100y")
    return float(seconds)


def size(text: str) -> int:
    """Bytes, at most a million TB. `0` needs no unit."""
    if text == "0":
        return 0
    number, unit = _match(
        SIZE, text, "a size", "256MB", "B, KB, MB, GB or TB (of 1000), KiB, MiB, GiB or TiB (of 1024)"
    )
    size = _whole(Decimal(number) * BYTES[unit], text, "bytes")
    if size > LARGEST:
        raise Wrong(f"{text} is larger than any disk", f"write at most {say_size(LARGEST)}")
    return size


def count(text: str) -> int:
    """A whole number; `k` is a thousand, `M` a million."""
    number, scale = _match(COUNT, text, "a whole number", "32000 or 32k")
    return _whole(Decimal(number.replace("_", "")) * SCALES[scale], text, "units")


def rate(text: str) -> tuple[int, float]:
    """How many, and the seconds they are counted over."""
    number, scale, window = _match(RATE, text, "a rate", "500/min", "/s, /min, /hour or /day")
    return _whole(Decimal(number) * SCALES[scale], text, "units"), float(RATE_WINDOWS[window])


def money(text: str) -> Nano:
    """Nano-USD."""
    (number,) = _match(MONEY, text, "an amount of money", "$0.50")
    return _nano(number, text)


def spend(text: str) -> tuple[Nano, str]:
    """Nano-USD, and the calendar window they may be spent in (`total`: once and for all)."""
    number, window = _match(
        SPEND, text, "money per time", "$5/day", "/minute, /hour, /day, /week, /month or /total"
    )
    return _nano(number, text), window


def say_duration(seconds: float) -> str:
    exact = Decimal(repr(seconds)) * 1000
    for unit in ("y", "d", "h", "m", "s"):
        if exact and exact % MILLISECONDS[unit] == 0:
            return f"{int(exact / MILLISECONDS[unit])}{unit}"
    return f"{_plain(exact)}ms" if exact else "0"


def say_size(size: int) -> str:
    for unit, of in sorted(BYTES.items(), key=lambda pair: -pair[1]):
        if size >= of and size % of == 0:
            return f"{size // of}{unit}"
    return "0"


def say_count(count: int) -> str:
    for scale in ("M", "k"):
        if count and count % SCALES[scale] == 0:
            return f"{count // SCALES[scale]}{scale}"
    return str(count)


def say_rate(number: int, window_s: float) -> str:
    return f"{say_count(number)}/{ {1: 's', 60: 'min', 3600: 'hour', 86400: 'day'}[int(window_s)] }"


def _match(pattern: str, text: str, what: str, example: str, units: str = "") -> tuple[str, ...]:
    found = re.match(pattern, text, re.ASCII)
    if found and not text.endswith("\n"):
        return found.groups()
    if units and re.match(rf"^{NUMBER}$", text, re.ASCII):
        raise Wrong(f"{text} has no unit", f"write {example}; units are {units}")
    raise Wrong(
        f"{text[:60]!r} is not {what}", f"write {example}" + (f"; units are {units}" if units else "")
    )


def _whole(value: Decimal, text: str, of: str) -> int:
    if value != int(value):
        raise Wrong(f"{text} is not a whole number of {of}", "write a whole number")
    return int(value)


def _nano(number: str, text: str) -> Nano:
    nano = Decimal(number) * NANO_PER_USD
    if nano != int(nano):
        raise Wrong(f"{text} is finer than a nano-dollar", "write at most nine digits after the point")
    return int(nano)


def _plain(value: Decimal) -> str:
    return format(value.normalize(), "f")
