"""Many rows in few statements.

SQLite lets go of the GIL at every step, and where other threads compute, getting it back takes up to 5 ms (the
interpreter's switch interval): with a step a row, a busy program's writer comes to less than 200 rows a second. In one
statement of many rows, SQLite works on another core while the callers' Python goes on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

#: Rows a statement may take, largest first: few different ones, so that SQLite's compiled statements are found again.
SIZES = (128, 32, 8, 2, 1)


def insert(db: sqlite3.Connection, into: str, rows: Sequence[Sequence[Any]], then: str = "") -> None:
    """Run `into` VALUES … `then` for all `rows`, in order. All rows have the same length."""
    at = 0
    width = len(rows[0]) if rows else 0
    for size in _sizes(db, width):
        while len(rows) - at >= size:
            values = ", ".join([f"({', '.join('?' * width)})"] * size)
            db.execute(f"{into} VALUES {values} {then}", list(chain.from_iterable(rows[at : at + size])))
            at += size


def select(db: sqlite3.Connection, query: str, keys: Sequence[Any]) -> Iterator[Any]:
    """The rows of `query`, which ends in IN, for all `keys`, none of which is None."""
    while keys:
        size = min((size for size in _sizes(db, 1) if size >= len(keys)), default=SIZES[0])
        some, keys = keys[:size], keys[size:]
        spare = [None] * (size - len(some))  # equal to nothing
        yield from db.execute(f"{query} ({', '.join('?' * size)})", [*some, *spare])


def _sizes(db: sqlite3.Connection, width: int) -> Iterator[int]:
    most = db.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
    return (size for size in SIZES if size * width <= most)
