"""Many rows in few statements: the same as one after the other."""

from __future__ import annotations

import sqlite3

import pytest

from costopt.world.bulk import insert, select


@pytest.fixture
def db():
    made = sqlite3.connect(":memory:", isolation_level=None)
    made.execute("CREATE TABLE t(k INTEGER PRIMARY KEY, v)")
    yield made
    made.close()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 127, 128, 129, 300])
@pytest.mark.parametrize("variables", [5, 32_766])
def test_all_rows_go_in_and_are_found(db: sqlite3.Connection, count: int, variables: int) -> None:
    db.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, variables)
    rows = [(n, None if n % 2 else f"v{n}") for n in range(count)]
    insert(db, "INSERT INTO t(k, v)", rows)
    assert db.execute("SELECT k, v FROM t ORDER BY k").fetchall() == rows
    found = list(select(db, "SELECT k, v FROM t WHERE k IN", [-1, *range(count)]))
    assert sorted(found) == rows


def test_rows_that_meet_are_taken_in_order(db: sqlite3.Connection) -> None:
    rows = [(n % 3, n) for n in range(100)]
    insert(db, "INSERT INTO t(k, v)", rows, "ON CONFLICT(k) DO UPDATE SET v = v + excluded.v")
    assert dict(db.execute("SELECT k, v FROM t")) == {k: sum(range(k, 100, 3)) for k in range(3)}


def test_there_are_few_statements(db: sqlite3.Connection) -> None:
    seen: list[str] = []
    db.set_trace_callback(seen.append)
    insert(db, "INSERT INTO t(k, v)", [(n, n) for n in range(50)])
    assert len(seen) == 3, "32, 16 and 2 rows"
