"""Archiving: old calls move to smaller files, read as before, and no crash loses or doubles one."""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from ledger_material import DAY, START, agent_loop, filled, record

from costopt.errors import LedgerError
from costopt.types import Reply, Saving
from costopt.world import archive
from costopt.world.ledger import Fact, Reader

NOW = START + 400 * DAY


def all_of(folder: Path) -> list[tuple[Fact, dict[str, Any], bytes | None]]:
    with Reader(folder) as reader:
        facts = list(reader.facts())
        assert [reader.fact(fact.id) for fact in facts] == facts
        return [(f, reader.body(f), reader.part(f.reply_body) if f.reply_body else None) for f in facts]


def days_of(folder: Path) -> list[tuple[Any, ...]]:
    with Reader(folder) as reader:
        return [tuple(row) for row in reader.query("SELECT * FROM daily ORDER BY 1, 2, 3")]


def live(folder: Path) -> int:
    with Reader(folder) as reader:
        return len(list(reader.live()))


def test_archived_calls_read_as_before(tmp_path: Path) -> None:
    savings = (Saving("cache", 7, "known", "b"),)
    odd = [
        record(5000, call="x1", reply=None, receipt=None, outcome="error", error="boom"),
        record(5001, call="x2", reply=Reply(events=b"data: 1\n\n"), savings=savings, tags={"a": "b"}),
        record(5002, call="x3", body={}),
    ]
    filled(tmp_path, *agent_loop(80), *odd).close()
    before, days = all_of(tmp_path), days_of(tmp_path)
    done = archive.run(tmp_path, 3600, NOW)
    assert (done.calls, live(tmp_path)) == (83, 0)
    assert done.bytes_after < done.bytes_before
    assert all_of(tmp_path) == before
    assert days_of(tmp_path) == days


def test_only_old_calls_move_and_shared_messages_stay(tmp_path: Path) -> None:
    old, new = agent_loop(20), agent_loop(40)[20:]
    new = [record(0, call=r.request.id, body=r.request.body, started=NOW - n) for n, r in enumerate(new)]
    filled(tmp_path, *old, *new).close()
    before = {fact.id: rest for fact, *rest in all_of(tmp_path)}
    assert archive.run(tmp_path, 86_400, NOW).calls == 20
    assert live(tmp_path) == 20
    with Reader(tmp_path) as reader:
        for fact in reader.live():
            for key in (fact.shape, *itertools.chain(*fact.parts)):
                assert reader.query("SELECT 1 FROM parts WHERE hash = ?", key)
    assert {fact.id: rest for fact, *rest in all_of(tmp_path)} == before


def test_a_run_without_old_calls_changes_nothing(tmp_path: Path) -> None:
    filled(tmp_path, record(1, started=NOW)).close()
    assert archive.run(tmp_path, 60, NOW).calls == 0
    assert not (tmp_path / "segments").exists()


def test_many_calls_make_several_segments(tmp_path: Path) -> None:
    filled(tmp_path, *agent_loop(50)).close()
    before = all_of(tmp_path)
    assert archive.run(tmp_path, 0, NOW, segment_calls=16).calls == 50
    files = list((tmp_path / "segments").iterdir())
    assert len(files) == 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert all_of(tmp_path) == before


def test_a_ledger_open_elsewhere_goes_on_after_an_archiving(tmp_path: Path) -> None:
    loop = agent_loop(60)
    ledger = filled(tmp_path, *loop[:30])
    archive.run(tmp_path, 0, NOW)
    ledger.write(loop[30:])  # remembers numbers of parts that are gone
    ledger.close()
    assert [body for _, body, _ in all_of(tmp_path)] == [r.request.body for r in loop]
    archive.run(tmp_path, 0, NOW)
    assert [body for _, body, _ in all_of(tmp_path)] == [r.request.body for r in loop]


def test_forgotten_calls_are_gone_and_their_sums_stay(tmp_path: Path) -> None:
    old, new = agent_loop(10), [record(n, call=f"new{n}", started=START + 50 * DAY + n) for n in range(5)]
    filled(tmp_path, *old, *new).close()
    days = days_of(tmp_path)
    archive.run(tmp_path, 0, NOW, segment_calls=10)
    assert archive.forget(tmp_path, 86_400, START + 40 * DAY) == 10
    assert [fact.id for fact, *_ in all_of(tmp_path)] == [f"new{n}" for n in range(5)]
    assert len(list((tmp_path / "segments").iterdir())) == 1
    assert days_of(tmp_path) == days


def test_withheld_content_stays_withheld(tmp_path: Path) -> None:
    filled(tmp_path, *agent_loop(10), content="hashed").close()
    with Reader(tmp_path) as reader:
        before = list(reader.facts())
    archive.run(tmp_path, 0, NOW)
    with Reader(tmp_path) as reader:
        assert list(reader.facts()) == before
        with pytest.raises(LedgerError, match="not kept"):
            reader.body(before[0])


def test_a_reader_from_before_still_reads(tmp_path: Path) -> None:
    filled(tmp_path, *agent_loop(10)).close()
    with Reader(tmp_path) as reader:
        archive.run(tmp_path, 0, NOW)
        assert len(list(reader.facts())) == 10
    assert live(tmp_path) == 0


def test_two_runs_do_not_meet(tmp_path: Path) -> None:
    filled(tmp_path, *agent_loop(3)).close()
    other = sqlite3.connect(tmp_path / "archive.lock", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(LedgerError, match="another run"):
        archive.run(tmp_path, 0, NOW)
    other.close()
    assert archive.run(tmp_path, 0, NOW).calls == 3


def test_no_ledger_is_said_not_made(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no ledger here"):
        archive.run(tmp_path / "none", 0, NOW)


def test_segments_cannot_be_written(tmp_path: Path) -> None:
    filled(tmp_path, *agent_loop(3)).close()
    (tmp_path / "segments").write_text("in the way")
    with pytest.raises(LedgerError, match="cannot hold archived calls"):
        archive.run(tmp_path, 0, NOW)
    assert live(tmp_path) == 3


@pytest.mark.parametrize("at", [0, 9, 400, -60, -45, -20, -1])
def test_a_damaged_segment_is_noticed(tmp_path: Path, at: int) -> None:
    filled(tmp_path, *agent_loop(40)).close()
    archive.run(tmp_path, 0, NOW)
    (path,) = (tmp_path / "segments").iterdir()
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(LedgerError, match=r"damaged|not a segment|newer"), Reader(tmp_path) as reader:
        for segment in reader.segments():
            segment.verify(list(segment.facts()), {}, {})
        for fact in reader.facts():
            reader.body(fact)


def test_a_missing_segment_is_said(tmp_path: Path) -> None:
    filled(tmp_path, *agent_loop(4)).close()
    archive.run(tmp_path, 0, NOW)
    shutil.rmtree(tmp_path / "segments")
    with pytest.raises(LedgerError, match="missing"), Reader(tmp_path) as reader:
        list(reader.facts())


STEPS = {"execute", "executemany", "executescript", "fsync", "replace", "unlink", "write", "open", "mkdir"}
WRITERS = {"costopt.world.archive", "costopt.world.ledger.segment_write", "pathlib"}


def die_at(step: int, folder: Path) -> bool:
    """Archive in a child that ends without clean-up at its `step`-th write; True if it got there."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    left = step

    def watch(frame: Any, event: str, called: Any) -> None:
        nonlocal left
        if event == "c_call" and called.__name__ in STEPS and frame.f_globals["__name__"] in WRITERS:
            left -= 1
            if left == 0:
                os._exit(9)

    sys.setprofile(watch)
    try:
        archive.run(folder, 0, NOW, segment_calls=6)
    finally:
        os._exit(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_crash_at_any_point_loses_and_doubles_nothing(tmp_path: Path) -> None:
    base = tmp_path / "base"
    filled(base, *agent_loop(12)).close()
    before, days = all_of(base), days_of(base)
    steps = 0
    for step in itertools.count(1):
        folder = tmp_path / str(step)
        shutil.copytree(base, folder)
        died = die_at(step, folder)
        assert (all_of(folder), days_of(folder)) == (before, days), step
        archive.run(folder, 0, NOW)
        assert (all_of(folder), live(folder)) == (before, 0), step
        with Reader(folder) as reader:
            known = {segment.path.name for segment in reader.segments()}
            assert reader.query("SELECT count(*) FROM parts")[0][0] == 0
        assert {path.name for path in (folder / "segments").iterdir()} == known, step
        shutil.rmtree(folder)
        if not died:
            break
        steps += 1
    assert steps > 40
