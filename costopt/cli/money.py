"""Nano-USD for people and for machines. The only place of the command line that writes dollars."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal

from costopt.types import Nano

UNPRICED = "unpriced"


def usd(nano: Nano | None) -> str | None:
    """Exact decimal dollars, nine places, for JSON and CSV; None stays None."""
    return None if nano is None else f"{Decimal(nano).scaleb(-9):.9f}"


def money(nano: Nano | None) -> dict[str, Nano | str | None]:
    """Both forms in one JSON object: {"nano": 421000, "usd": "0.000421000"}."""
    return {"nano": nano, "usd": usd(nano)}


def places(nanos: Iterable[Nano | None]) -> int:
    """Decimals that serve a whole column: 2 from $100 on, 4 from $1 on, 6 from $0.0001 on, else 9."""
    largest = max((abs(nano) for nano in nanos if nano), default=0)
    for floor, digits in ((100_000_000_000, 2), (1_000_000_000, 4), (100_000, 6)):
        if largest >= floor:
            return digits
    return 9 if largest else 2


def dollars(nano: Nano | None, digits: int | None = None, *, signed: bool = False) -> str:
    """`$0.000421`, `-$1.2000`; never "0" for what is not 0.

    `digits` are decimals, default what `places` says. `signed` puts a + before gains. None is `unpriced`.
    """
    if nano is None:
        return UNPRICED
    digits = places((nano,)) if digits is None else digits
    amount = Decimal(abs(nano)).scaleb(-9)
    shown = amount.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN)
    if nano and not shown:
        shown = amount.quantize(Decimal("1e-9"))
    sign = "-" if nano < 0 else "+" if signed and nano > 0 else ""
    return f"{sign}${shown:,f}"


def percent(part: Nano, whole: Nano) -> str:
    """`part` of `whole` with one decimal, `-` of nothing."""
    return f"{Decimal(100 * part) / Decimal(whole):.1f}%" if whole else "-"
