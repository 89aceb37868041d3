"""What goes wrong with files and processes: a clear error, nothing broken, nothing counted twice."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger_material import agent_loop, record
from ledgers import written

from costopt.errors import LedgerError
from costopt.world.ledger import Ledger, Reader
from costopt.world.writer import Writer

HERE = str(Path(__file__).parent)
PRELUDE = (
    f"import sys; sys.path.insert(0, {HERE!r})\n"
    + """
from pathlib import Path
from ledger_material import agent_loop, record
from costopt.world.ledger import Ledger, Reader
from costopt.world.writer import Writer
folder = Path(sys.argv[1])
"""
)


def start(code: str, *args: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PRELUDE + code, *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


def sound(folder: Path) -> list[str]:
    """The ids in a ledger that holds together: file, rollups, every body readable."""
    db = sqlite3.connect(folder / "ledger.sqlite3")
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert (
        db.execute("SELECT count(*) FROM facts").fetchone()
        == db.execute("SELECT coalesce(sum(calls), 0) FROM rollup").fetchone()
    )
    db.close()
    with Reader(folder) as reader:
        facts = list(reader.facts())
        for fact in facts:
            reader.body(fact)
            assert len(fact.decisions) == 1
    return [fact.id for fact in facts]


def garbage(folder: Path) -> None:
    (folder / "ledger.sqlite3").write_bytes(os.urandom(10_000))


def other_database(folder: Path) -> None:
    sqlite3.connect(folder / "ledger.sqlite3").execute("CREATE TABLE mine(x)").connection.close()


def empty(folder: Path) -> None:
    (folder / "ledger.sqlite3").touch()


def newer(folder: Path) -> None:
    ledger = Ledger(folder)
    ledger.open()
    ledger.close()
    db = sqlite3.connect(folder / "ledger.sqlite3")
    db.execute("PRAGMA user_version = 99")
    db.close()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (garbage, "corrupt or not a ledger"),
        (other_database, "not a costopt ledger"),
        (empty, "not a costopt ledger"),
        (newer, "newer costopt .*upgrade"),
    ],
)
def test_a_file_that_is_no_ledger_is_refused_and_left_alone(tmp_path: Path, spoil, why: str) -> None:
    spoil(tmp_path)
    before = (tmp_path / "ledger.sqlite3").read_bytes()
    ledger = Ledger(tmp_path)
    for attempt in (ledger.open, lambda: ledger.write([record(1)]), lambda: Reader(tmp_path)):
        with pytest.raises(LedgerError, match=why):
            attempt()
    assert (tmp_path / "ledger.sqlite3").read_bytes() == before


def test_a_ledger_damaged_inside_says_so(tmp_path: Path) -> None:
    path = written(tmp_path, agent_loop(60)) / "ledger.sqlite3"
    data = bytearray(path.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(LedgerError, match="corrupt"), Reader(tmp_path) as reader:
        list(reader.facts())


def test_no_ledger_is_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no ledger here"):
        Reader(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(LedgerError, match="cannot hold a ledger"):
            Ledger(folder).open()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system nobody can write to")
def test_a_read_only_folder() -> None:
    with pytest.raises(LedgerError, match="cannot hold a ledger"):
        Ledger(Path("/proc/self")).open()


def test_trouble_with_the_file_stays_with_the_writer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    newer(tmp_path)
    writer, ledger = Writer(), Ledger(tmp_path)
    for n in range(3):
        writer.put(ledger.write, record(n))
    writer.close()
    assert dict(writer.lost) == {"Ledger.write": 3}
    assert "upgrade costopt" in caplog.text
    assert "question" not in caplog.text


FULL = """
import resource
def room(size): resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
writer, ledger = Writer(), Ledger(folder)
ledger.open()
room((folder / "ledger.sqlite3").stat().st_size + 100_000)
loop = agent_loop(400)
for at in range(0, 300, 10):
    for one in loop[at : at + 10]:
        writer.put(ledger.write, one)
    writer.flush()
lost = sum(writer.lost.values())
room(resource.RLIM_INFINITY)
for one in loop[300:]:
    writer.put(ledger.write, one)
writer.close()
print(lost, sum(writer.lost.values()))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limits")
def test_a_full_disk_loses_what_does_not_fit_and_nothing_later(tmp_path: Path) -> None:
    lost, lost_in_all = map(int, finish(start(FULL, str(tmp_path))).split())
    assert 0 < lost < 300
    assert lost == lost_in_all
    ids = sound(tmp_path)
    assert len(ids) == 400 - lost
    assert ids[-100:] == [f"t0-{n:05d}" for n in range(300, 400)]


SHARE = """
loop = agent_loop(100, trace=sys.argv[2])
writer, ledger = Writer(window_s=0.001), Ledger(folder)
for one in loop:
    writer.put(ledger.write, one)
    writer.put(ledger.write, loop[0])
writer.close()
print(sum(writer.lost.values()))
"""


def test_several_processes_share_one_ledger(tmp_path: Path) -> None:
    processes = [start(SHARE, str(tmp_path), f"t{n}") for n in range(4)]
    assert [finish(process).strip() for process in processes] == ["0"] * 4
    assert sorted(sound(tmp_path)) == [f"t{n}-{i:05d}" for n in range(4) for i in range(100)]


ENDLESS = """
writer, ledger = Writer(window_s=0.001), Ledger(folder)
for n, one in enumerate(agent_loop(2000, trace=sys.argv[2])):
    writer.put(ledger.write, one)
    if n == 30:
        writer.flush()
        print("going", flush=True)
writer.flush()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
def test_a_killed_process_leaves_a_sound_ledger(tmp_path: Path) -> None:
    seen = 0
    for n in range(4):
        process = start(ENDLESS, str(tmp_path), f"t{n}")
        assert process.stdout and process.stdout.readline() == "going\n"
        process.kill()
        process.communicate()
        ids = sound(tmp_path)
        mine = [i for i in ids if i.startswith(f"t{n}-")]
        assert mine == [f"t{n}-{i:05d}" for i in range(len(mine))]
        assert len(mine) > 30
        seen += len(mine)
        assert len(ids) == seen


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_parent_and_child_both_write_after_a_fork(tmp_path: Path) -> None:
    ledger, writer = Ledger(tmp_path), Writer()
    writer.put(ledger.write, record(1))
    writer.flush()
    writer.put(ledger.write, record(2))
    child = os.fork()
    if child == 0:
        writer.put(ledger.write, record(3))
        writer.close()
        os._exit(sum(writer.lost.values()))
    writer.put(ledger.write, record(4))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    writer.close()
    ledger.close()
    assert sorted(sound(tmp_path)) == [f"call-{n:06d}" for n in (1, 2, 3, 4)]


def test_reading_while_another_process_writes(tmp_path: Path) -> None:
    Ledger(tmp_path).open()
    process = start(SHARE, str(tmp_path), "t0")
    counts: list[int] = []
    while process.poll() is None:
        with Reader(tmp_path) as reader:
            facts = list(reader.facts())
            assert reader.query("SELECT coalesce(sum(calls), 0) FROM daily")[0][0] == len(facts)
            assert [fact.id for fact in facts] == [f"t0-{n:05d}" for n in range(len(facts))]
            counts.append(len(facts))
    finish(process)
    assert counts == sorted(counts)
    assert len(sound(tmp_path)) == 100


READ_ONLY = """
import os, sys
from pathlib import Path
from costopt.errors import LedgerError
from costopt.world.ledger import Reader
if os.getuid() == 0:
    os.setuid(65534)  # root writes where it may not
try:
    with Reader(Path(sys.argv[1])) as reader:
        print(len(list(reader.facts())))
except LedgerError as error:
    print(error)
"""


@pytest.fixture
def backup() -> Iterator[Path]:
    """A ledger of three calls where everybody may read: a test's own folder is its owner's alone."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "ledger"
        folder.parent.chmod(0o755)
        ledger = Ledger(folder)
        ledger.write(agent_loop(3))
        (folder / "copied-wal").write_bytes((folder / "ledger.sqlite3-wal").read_bytes())
        ledger.close()
        (folder / "ledger.sqlite3").chmod(0o644)
        yield folder
        folder.chmod(0o700)


def _read_only(folder: Path) -> str:
    folder.chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-c", READ_ONLY, str(folder)], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_a_ledger_is_read_where_nothing_can_be_written(backup: Path) -> None:
    assert _read_only(backup) == "3"
    assert sorted(path.name for path in backup.iterdir()) == ["copied-wal", "ledger.sqlite3"]


def test_a_backup_that_needs_mending_says_so(backup: Path) -> None:
    (backup / "copied-wal").rename(backup / "ledger.sqlite3-wal")
    assert "ledger.sqlite3-wal" in (said := _read_only(backup))
    assert said.endswith("copy it")
