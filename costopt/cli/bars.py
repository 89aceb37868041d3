"""A bar chart for a terminal; hash marks where the output is no terminal or cannot show blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from costopt.cli import show

#: Columns of the longest bar, and of one in a table.
LONGEST, NARROW = 40, 24
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
    show.line()
    for line in _lines(bars, largest, _blocks()):
        show.line(line)


def _blocks() -> bool:
    return show.on_terminal() and show.utf8()


def _lines(bars: Sequence[Bar], largest: int, fine: bool) -> Iterator[str]:
    width = max(len(bar.label) for bar in bars)
    longest = _room(width + max(len(bar.told) for bar in bars) + 3)
    for bar in bars:
        drawn = _drawn(max(0, bar.size or 0), largest, longest, fine)
        yield f"{bar.label.ljust(width)}  {drawn}{' ' if drawn else ''}{bar.told}"


def _room(taken: int) -> int:
    """Columns for the longest bar on a line that words and blanks have `taken` some of."""
    return max(1, min(LONGEST, show.terminal_width() - taken)) if show.on_terminal() else LONGEST


def _drawn(size: int, largest: int, longest: int, fine: bool) -> str:
    """To an eighth of a column with `fine` blocks; what is there at all is seen."""
    if not fine:
        return "#" * _columns(size, largest, longest)
    eighths = _columns(size, largest, longest * 8)
    return _FULL * (eighths // 8) + _EIGHTHS[eighths % 8]


def _columns(size: int, largest: int, of: int) -> int:
    return -(-size * of // largest)


def legend() -> str:
    """What the marks of `pairs` mean."""
    spent, saved, more = _marks()
    return f"{spent} now  {saved} saved  {more} more"


def pairs(bills: Sequence[tuple[int | None, int | None]]) -> list[str]:
    """A bar for each (then, now), to one scale; empty where one of both is unknown."""
    largest = max((size or 0 for bill in bills for size in bill), default=0)
    return [_pair(then, now, largest) for then, now in bills]


def _pair(then: int | None, now: int | None, largest: int) -> str:
    if then is None or now is None or largest <= 0:
        return ""
    spent, saved, more = _marks()
    short, long = (_columns(max(0, size), largest, NARROW) for size in sorted((then, now)))
    return spent * short + (saved if now < then else more) * (long - short)


def _marks() -> tuple[str, str, str]:
    return (_FULL, "\N{LIGHT SHADE}", "\N{DARK SHADE}") if _blocks() else ("#", "-", "+")
