"""Tables, lines and JSON on stdout: rich on a terminal, plain aligned text where piped."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any

from msgspec import Struct

SCHEMA = 1
#: Columns of a line of sentences.
WIDTH = 80
#: Columns between those of a table, and the longest word that one of words keeps whole.
GAP, WORD = 2, 16


class Column(Struct, frozen=True):
    """A column, of numbers unless `words`; a `spare` one is left out where the terminal is too narrow for all. Only
    words are ever broken, a number, a day or an id never."""

    title: str
    right: bool = True
    spare: bool = False
    words: bool = False


def left(title: str, *, words: bool = True) -> Column:
    """A column of words, or of days and ids, which are never broken."""
    return Column(title, right=False, words=words)


def on_terminal() -> bool:
    return sys.stdout.isatty()


def utf8() -> bool:
    """Whether stdout can show every character."""
    return "utf" in (sys.stdout.encoding or "").lower()


def terminal_width() -> int:
    """Columns of the terminal on stdout."""
    return get_terminal_size().columns


def text(block: str) -> None:
    """`block` as it is."""
    sys.stdout.write(block)


def line(content: str = "") -> None:
    sys.stdout.write(content + "\n")


def clean(content: str) -> str:
    """Without control characters: tags and names come from outside and must not steer a terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in content)


def many(number: int, what: str) -> str:
    """`1 call`, `1,200 calls`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def wrapped(content: str, indent: str = "  ") -> list[str]:
    """Clean lines that fit, all but the first behind `indent`. No word is broken, so that a name can be copied."""
    width = min(WIDTH, terminal_width()) if on_terminal() else WIDTH
    return wrap(
        clean(content), width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def sentence(content: str) -> None:
    """One line; on a terminal as many as it takes, no number broken."""
    if on_terminal() and len(content) > terminal_width():
        for each in wrapped(content):
            line(each)
    else:
        line(content)


def heading(content: str) -> None:
    """A title line, bold on a terminal."""
    if not on_terminal():
        line(content)
        return
    from rich.console import Console
    from rich.text import Text

    Console().print(Text(content, style="bold"))


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, footer: bool = False) -> None:
    """`rows` under `columns`; with `footer` the last row is the total."""
    if on_terminal():
        _rich_table(columns, rows, footer)
    else:
        _plain_table(columns, rows)


def as_json(document: dict[str, Any]) -> None:
    """One JSON document with the number of its schema in front; ASCII where stdout is not UTF-8."""
    line(json.dumps({"schema": SCHEMA} | document, indent=2, ensure_ascii=not utf8()))


def _plain_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    cells = [[column.title for column in columns], *rows]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    for row in cells:
        parts = [
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        ]
        line("  ".join(parts).rstrip())


def _rich_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], footer: bool) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    columns, rows = _fitting(columns, rows, console.width)
    widths = _widths(columns, rows, console.width)
    if widths is None:
        _stacked(columns, rows)
        return
    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for column, width in zip(columns, widths, strict=True):
        drawn.add_column(
            column.title, justify="right" if column.right else "left", overflow="fold", width=width
        )
    for index, row in enumerate(rows):
        last = index == len(rows) - 1
        if footer and last:
            drawn.add_section()
        drawn.add_row(*(Text(cell) for cell in row), style="bold" if footer and last else None)
    console.print(drawn)


def _stacked(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Each row as lines of its own, where not even the numbers fit side by side."""
    width = max(len(column.title) for column in columns)
    for row in rows:
        line()
        for column, cell in zip(columns, row, strict=True):
            if cell:
                sentence(f"{column.title.ljust(width)}  {cell}")


def _fitting(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int
) -> tuple[list[Column], list[list[str]]]:
    """Without spare columns, the last first, until the rest fits `width`."""
    kept = list(range(len(columns)))
    wide = _longest(columns, rows)
    for at in reversed(range(len(columns))):
        if sum(wide[index] + GAP for index in kept) - GAP > width and columns[at].spare:
            kept.remove(at)
    return [columns[at] for at in kept], [[row[at] for at in kept] for row in rows]


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """Of each column: words give way to numbers, the widest first. None where that is not enough."""
    wide = _longest(columns, rows)
    words = _longest(columns, [[max(cell.split(), key=len, default="") for cell in row] for row in rows])
    least = [
        min(word, WORD) if column.words else size
        for size, word, column in zip(wide, words, columns, strict=True)
    ]
    room = width - GAP * (len(wide) - 1)
    if sum(least) > room:
        return None
    bound = min(room, max(wide))
    while sum(widths := [max(low, min(size, bound)) for size, low in zip(wide, least, strict=True)]) > room:
        bound -= 1
    return widths


def _longest(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    """Cells of a terminal that the widest entry of each column takes, its title included."""
    from rich.cells import cell_len

    lines = [[column.title for column in columns], *rows]
    return [max(cell_len(row[at]) for row in lines) for at in range(len(columns))]
