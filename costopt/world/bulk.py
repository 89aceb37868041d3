"""Many rows in few statements.

SQLite lets go of the GIL at every step, and where other threads compute, getting it back takes 5 ms (the
interpreter's switch interval) or more: a writer that inserts row by row falls behind a single busy caller. In one
statement of many rows, SQLite works on another core while the callers' Python goes on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

#: Rows a statement may take: few different ones, so that SQLite's compiled statements are found again. Compiling one
#: for 50 calls takes 170 µs.
SIZES = (128, 64, 32, 16, 8, 4, 2, 1)


def insert(db: sqlite3.Connection, into: str, rows: Sequence[Sequence[Any]], then: str = "") -> None:
    """Run `into` (INSERT with its columns) and `then` (ON CONFLICT) for all `rows`, in order.

    All rows have the same length.
    """
    at = 0
    width = len(rows[0]) if rows else 0
    for size in _sizes(db, width):
        while len(rows) - at >= size:
            values = ", ".join([f"({', '.join('?' * width)})"] * size)
            db.execute(f"{into} VALUES {values} {then}", list(chain.from_iterable(rows[at : at + size])))
            at += size


def select(db: sqlite3.Connection, query: str, keys: Sequence[Any]) -> Iterator[Any]:
    """The rows of `query`, which ends in IN, for all `keys`, none of which is None."""
    sizes = _sizes(db, 1)
    while keys:
        size = min((size for size in sizes if size >= len(keys)), default=sizes[0])
        some, keys = keys[:size], keys[size:]
        spare = [None] * (size - len(some))  # equal to nothing
        yield from db.execute(f"{query} ({', '.join('?' * size)})", [*some, *spare])


def _sizes(db: sqlite3.Connection, width: int) -> list[int]:
    most = db.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
    return [size for size in SIZES if size * width <= most]
