"""A ledger of version 2 is read as one of today, and brought up to date by who writes it."""

from __future__ import annotations

import os
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest
from ledger_material import DAY, START, record

from costopt.report import report
from costopt.world.ledger import Ledger, Reader
from costopt.world.ledger.schema import NAME, VERSION

#: Written by version 2. On each of two days, the first of them archived: a call, one after an attempt of gpt-4o-mini
#: that was paid and not used, three refused by a budget (two by agent a, one by b), a hit.
OLD = Path(__file__).with_name("ledger_version_2.tar.gz")
MINI, LARGE = ("gpt-4o-mini",), ("gpt-4o",)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    with tarfile.open(OLD) as packed:
        packed.extractall(tmp_path, filter="data")
    return tmp_path / "ledger"


def version(folder: Path) -> int:
    with closing(sqlite3.connect(folder / NAME)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def told(folder: Path, since: int = START) -> dict[tuple[str, ...], tuple[int | None, ...]]:
    """Calls, refused, cost, prompt and output tokens by model."""
    made = report(folder, since=since)
    rows = (*made.rows, made.total)
    return {row.group: (row.calls, row.refused, row.cost, row.prompt, row.output) for row in rows}


TOLD = {
    LARGE: (12, 6, 4000, 480, 28),
    MINI: (0, 0, 60, 80, 4),
    (): (12, 6, 4060, 560, 32),
}


def test_who_only_reads_sees_what_version_2_did_not_count_and_leaves_the_file(old: Path) -> None:
    before = (old / NAME).read_bytes()
    assert told(old) == TOLD
    assert (version(old), (old / NAME).read_bytes()) == (2, before)
    with Reader(old) as reader:
        assert [tuple(row) for row in reader.query("SELECT date, sum(refused) FROM daily GROUP BY 1")] == [
            ("2024-10-04", 3),
            ("2024-11-03", 3),
        ]


def test_so_does_who_may_not_write_there(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    assert told(old) == TOLD
    assert sorted(path.name for path in old.iterdir()) == [NAME, "segments"]


def test_who_writes_brings_the_file_up_to_date(old: Path) -> None:
    ledger = Ledger(old)
    ledger.open()
    assert (version(old), told(old)) == (VERSION, TOLD)
    ledger.write([record(999, started=START + 40 * DAY, outcome="refused", reply=None, receipt=None)])
    ledger.close()
    Ledger(old).open()
    assert told(old)[()] == (13, 7, 4060, 560, 32)


@pytest.mark.parametrize("day", (START, START + 30 * DAY))
def test_days_from_calls_say_the_same_as_days_from_sums(old: Path, day: int) -> None:
    """The last nanosecond of a day is missing: its calls are read, archived and live."""
    of_calls, of_sums = (report(old, since=day, until=day + DAY - missing) for missing in (1, 0))
    assert of_calls.rows == of_sums.rows


def test_a_writer_that_was_open_meanwhile_goes_on(old: Path) -> None:
    with closing(sqlite3.connect(old / NAME)) as db:
        Ledger(old).open()
        columns = "day, model, tagset, calls, hits, errors, unpriced, priced, prompt, cached, output, estimated, cost"
        db.execute(f"INSERT INTO rollup({columns}) VALUES (1, 'm', 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 5)")
        db.commit()
    assert told(old, 0)["m",] == (1, 0, 5, 0, 0)


def test_an_archive_that_is_gone_keeps_no_writer_out(old: Path) -> None:
    next((old / "segments").iterdir()).unlink()
    Ledger(old).open()
    assert told(old)[()] == (12, 3, 4060, 560, 32)
