"""Tables, lines and JSON on stdout: rich on a terminal, plain aligned text where piped."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from msgspec import Struct

SCHEMA = 1
#: Columns of a line of sentences.
WIDTH = 80


class Column(Struct, frozen=True):
    """A column; a `spare` one is left out where the terminal is too narrow for all."""

    title: str
    right: bool = True
    spare: bool = False


def left(title: str) -> Column:
    """A column of words."""
    return Column(title, right=False)


def on_terminal() -> bool:
    return sys.stdout.isatty()


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
    return wrap(
        clean(content), WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


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
    """One JSON document with the number of its schema in front."""
    line(json.dumps({"schema": SCHEMA} | document, indent=2, ensure_ascii=False))


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
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        drawn.add_column(column.title, justify="right" if column.right else "left", overflow="fold")
    for index, row in enumerate(rows):
        last = index == len(rows) - 1
        if footer and last:
            drawn.add_section()
        drawn.add_row(*(Text(cell) for cell in row), style="bold" if footer and last else None)
    console.print(drawn)


def _fitting(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int
) -> tuple[list[Column], list[list[str]]]:
    """Without spare columns, the last first, until the rest fits `width`."""
    kept = list(range(len(columns)))
    wide = [max(len(row[at]) for row in [[c.title for c in columns], *rows]) for at in kept]
    for at in reversed(range(len(columns))):
        if sum(wide[index] + 2 for index in kept) > width and columns[at].spare:
            kept.remove(at)
    return [columns[at] for at in kept], [[row[at] for at in kept] for row in rows]
