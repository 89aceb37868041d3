"""A bar chart for a terminal; hash marks where the output is no terminal or cannot show blocks."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from msgspec import Struct

from costopt.cli import show

#: Columns of the longest bar.
LONGEST = 40
_FULL = "\N{FULL BLOCK}"
#: Blocks of no, one, ... seven eighths of a column.
_EIGHTHS = ("", *map(chr, range(ord("\N{LEFT ONE EIGHTH BLOCK}"), ord(_FULL), -1)))


class Bar(Struct, frozen=True):
    """`size` None is unknown and has no bar; `told` stands at its end."""

    label: str
    size: int | None
    told: str


def draw(bars: Sequence[Bar]) -> None:
    """An empty line and bars to one scale; nothing where all are empty."""
    largest = max((bar.size or 0 for bar in bars), default=0)
    if largest <= 0:
        return
    fine = show.on_terminal() and "utf" in (sys.stdout.encoding or "").lower()
    show.line()
    for line in _lines(bars, largest, fine):
        show.line(line)


def _lines(bars: Sequence[Bar], largest: int, fine: bool) -> Iterator[str]:
    width = max(len(bar.label) for bar in bars)
    for bar in bars:
        drawn = _drawn(max(0, bar.size or 0), largest, fine)
        yield f"{bar.label.ljust(width)}  {drawn}{' ' if drawn else ''}{bar.told}"


def _drawn(size: int, largest: int, fine: bool) -> str:
    """To an eighth of a column with `fine` blocks; what is there at all is seen."""
    eighths = -(-size * LONGEST * 8 // largest)
    if not fine:
        return "#" * (-(-eighths // 8))
    return _FULL * (eighths // 8) + _EIGHTHS[eighths % 8]
