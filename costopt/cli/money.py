"""Nano-USD for people and for machines. The only place of the command line that writes dollars."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, cast

from costopt.types import Nano
from costopt.types import usd as exact

UNPRICED = "unpriced"
#: Fields of our JSON documents that hold nano-USD.
AMOUNTS = frozenset({"cost", "nano", "saved", "saved_assumed"})
#: Fields whose content is the provider's or the user's own.
FOREIGN = frozenset({"raw_usage", "tags", "headers"})


def usd(nano: Nano | None) -> str | None:
    """Exact decimal dollars, nine places, for JSON and CSV; None stays None."""
    return None if nano is None else exact(nano)


def with_usd(document: Any) -> Any:
    """A copy of a JSON document in which each integer amount has its exact dollars beside it.

    {"cost": 421000} becomes {"cost": 421000, "cost_usd": "0.000421000"}. What others wrote (`FOREIGN`) stays.
    """
    if isinstance(document, list | tuple):
        return [with_usd(each) for each in cast("Sequence[Any]", document)]
    if not isinstance(document, dict):
        return document
    told: dict[str, Any] = {}
    for name, value in cast("dict[str, Any]", document).items():
        told[name] = value if name in FOREIGN else with_usd(value)
        if name in AMOUNTS and (value is None or isinstance(value, int)):
            told[f"{name}_usd"] = usd(value)
    return told


def places(nanos: Iterable[Nano | None]) -> int:
    """Decimals that serve a whole column: 2 from $100 on, 4 from $1 on, 6 from $0.0001 on, else 9."""
    largest = max((abs(nano) for nano in nanos if nano), default=0)
    for floor, digits in ((100_000_000_000, 2), (1_000_000_000, 4), (100_000, 6)):
        if largest >= floor:
            return digits
    return 9


def dollars(nano: Nano | None, digits: int | None = None, *, signed: bool = False) -> str:
    """`$0.000421`, `-$1.2000`; never "0" for what is not 0.

    Nothing is `$0`, None is `unpriced`. `digits` are decimals, default what `places` says. `signed` puts
    a + before gains.
    """
    if not nano:
        return UNPRICED if nano is None else "$0"
    digits = places((nano,)) if digits is None else digits
    amount = Decimal(abs(nano)).scaleb(-9)
    shown = amount.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN)
    if not shown:
        shown = amount.quantize(Decimal("1e-9"))
    sign = "-" if nano < 0 else "+" if signed else ""
    return f"{sign}${shown:,f}"


def change(before: Nano | None, after: Nano | None) -> str:
    """`-22.3%`; `-` where there is nothing to compare with."""
    if not before or after is None:
        return "-"
    return f"{Decimal(100 * (after - before)) / Decimal(before):+.1f}%" if after != before else "0%"
