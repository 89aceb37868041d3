"""Nano-USD as text, the only place that writes dollars: exact for machines, exact for people, rounded for people.

    usd      "0.000421000"    every digit; for JSON, CSV and headers
    exact    "$5", "$0.0015"  every digit that is not a zero at the end; limits, prices, single steps
    dollars  "$1,234.57"      rounded as `places` says; sums and tables

An amount nobody knows is None and stays apart from 0 in all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, cast, overload

from costopt.types import Json, Nano

UNKNOWN = "unknown"
NANO_PER_USD = 1_000_000_000
#: Fields of our JSON documents that hold nano-USD, a list of such sums, or sums by name.
_SUMS = frozenset(
    {"cost", "nano", "saved", "saved_assumed", "before", "after", "low", "high", "billed", "interplay"}
)
AMOUNTS = _SUMS | {"interval", "levers"}
#: Fields whose content is the provider's or the user's own.
FOREIGN = frozenset({"raw_usage", "tags", "headers"})


@overload
def usd(nano: Nano) -> str: ...
@overload
def usd(nano: Nano | None) -> str | None: ...
def usd(nano: Nano | None) -> str | None:
    """Decimal dollars with nine places, exact: 421000 is `0.000421000`. None stays None."""
    if nano is None:
        return None
    whole, rest = divmod(abs(nano), NANO_PER_USD)
    return f"{'-' if nano < 0 else ''}{whole}.{rest:09d}"


def with_usd(document: Json) -> Json:
    """A copy of a JSON document in which each integer amount has its exact dollars beside it.

    {"cost": 421000} becomes {"cost": 421000, "cost_usd": "0.000421000"}, and so do a list of amounts and amounts by
    name. What others wrote (`FOREIGN`) stays.
    """
    told: Json = {}
    for name, value in document.items():
        told[name] = value if name in FOREIGN else _inside(value)
        if name in AMOUNTS and _is_money(value):
            told[f"{name}_usd"] = _dollars(value)
    return told


def _is_money(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_sum, cast("Json", value).values()))
    if isinstance(value, list | tuple):
        sums = cast("Sequence[Any]", value)
        return bool(sums) and all(map(_is_sum, sums))
    return _is_sum(value)


def _is_sum(value: Any) -> bool:
    return value is None or isinstance(value, int)


def _dollars(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: usd(nano) for name, nano in cast("Json", value).items()}
    if isinstance(value, list | tuple):
        return [usd(nano) for nano in cast("Sequence[Any]", value)]
    return usd(value)


def _inside(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_inside(each) for each in cast("Sequence[Any]", value)]
    return with_usd(cast("Json", value)) if isinstance(value, dict) else value


def exact(nano: Nano | None, *, signed: bool = False) -> str:
    """`$5`, `-$1.50`, `$0.000421`: nothing is rounded; no decimals or at least two. `signed` puts a + before gains."""
    if nano is None:
        return UNKNOWN
    whole, rest = divmod(abs(nano), NANO_PER_USD)
    decimals = f"{rest:09d}".rstrip("0").ljust(2, "0")
    return f"{_sign(nano, signed)}${whole}" + (f".{decimals}" if rest else "")


def dollars(nano: Nano | None, digits: int | None = None, *, signed: bool = False) -> str:
    """`$0.000421`, `-$1.2000`; nothing is `$0`, and what is not 0 never reads as 0.

    `digits` are decimals, default what `places` says. `signed` puts a + before gains.
    """
    if not nano:
        return UNKNOWN if nano is None else "$0"
    shown = rounded(abs(nano), places((nano,)) if digits is None else digits) or rounded(abs(nano), 9)
    return f"{_sign(nano, signed)}${shown:,f}"


def places(nanos: Iterable[Nano | None]) -> int:
    """Decimals that serve a whole column: 2 from $100 on, 4 from $1 on, 6 from $0.0001 on, else 9."""
    largest = max((abs(nano) for nano in nanos if nano), default=0)
    for floor, digits in ((100_000_000_000, 2), (1_000_000_000, 4), (100_000, 6)):
        if largest >= floor:
            return digits
    return 9


def rounded(nano: Nano, digits: int) -> Decimal:
    """Dollars to `digits` decimals, halves to the even digit: what `dollars` shows."""
    return Decimal(nano).scaleb(-9).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN)


def change(before: Nano | None, after: Nano | None) -> str:
    """`-22.3%`; `-` where there is nothing to compare with."""
    if not before or after is None:
        return "-"
    return f"{Decimal(100 * (after - before)) / Decimal(before):+.1f}%" if after != before else "0%"


def _sign(nano: Nano, signed: bool = False) -> str:
    return "-" if nano < 0 else "+" if signed and nano else ""
