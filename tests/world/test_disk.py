"""The cache on disk: what goes in comes out, for its owner alone, whatever happens to the file."""

from __future__ import annotations

import os
import pickle
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from threads import at_once

from costopt.types import Entry, Reply, Usage
from costopt.world.clock import SECOND
from costopt.world.disk import DiskCache
from costopt.world.files import StoreUnavailable
from costopt.world.shelf import Plain, Shelf, UnsafeRow
from costopt.world.stored import Stored, pack

NOW = time.time_ns()
HOUR = 3600 * SECOND


def entry(body: bytes = b"{}", expires: int = NOW + HOUR) -> Stored:
    return packed(Entry(Reply(body=body, usage=Usage(input=1), raw_usage={"n": [1, None]}), NOW, expires))


def packed(entry: Entry) -> Stored:
    stored = pack(entry)
    assert stored is not None
    return stored


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def cache(folder):
    cache = DiskCache(folder, 10_000_000)
    yield cache
    cache.close()


def open_files(folder: Path) -> list[str]:
    links = [entry for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return [target for link in links if (target := str(link.readlink())).startswith(str(folder))]


def body_of(cache: DiskCache, key: str, now: int = NOW) -> bytes | None:
    found = cache.get(key, now)
    return None if found is None else found.entry.reply.body


def execute(folder: Path, sql: str, *args: object) -> None:
    con = sqlite3.connect(folder / "cache.db")
    with con:
        con.execute(sql, args)
    con.close()


def test_what_goes_in_comes_out(cache, folder):
    cache.put_many([("a", entry(b"1")), ("b", entry(b"2")), ("a", entry(b"3"))])
    reply = Reply(body=b"3", usage=Usage(input=1), raw_usage={"n": [1, None]})
    found = cache.get("a", NOW)
    assert found is not None
    assert found.entry == Entry(reply, NOW, NOW + HOUR)
    assert found.data == entry(b"3").data
    assert cache.get("none", NOW) is None
    other = DiskCache(folder, 10_000_000)
    assert body_of(other, "b") == b"2"
    other.close()


def test_expiry_is_absolute(cache):
    cache.put_many([("a", entry(expires=NOW + HOUR)), ("late", entry(expires=NOW - 1))])
    assert cache.get("a", NOW + HOUR - 1) is not None
    assert cache.get("a", NOW + HOUR) is None
    assert cache.get("late", NOW) is None


def test_rows_are_those_of_diskcache(cache, folder):
    """Stored in bulk, they are read, counted, checked and replaced by diskcache's own methods as well."""
    short, long, framed = b"short", b"long" * 1000, b"\x28\xb5\x2f\xfd no frame"
    shelf = Shelf(folder, 1_000_000, 1)
    shelf.put_all([("short", b"old", NOW + HOUR), ("short", short, NOW + HOUR), ("long", long, NOW + HOUR)])
    shelf.put_all([("framed", framed, NOW + HOUR), ("late", short, NOW - 1)])
    assert [shelf.get(key) for key in ("short", "long", "framed", "late")] == [short, long, framed, None]
    assert (list(shelf), len(shelf)) == (["short", "long", "framed", "late"], 4)
    assert shelf.check() == []
    shelf.set("long", short)
    assert shelf.take("long") == short
    assert [shelf.take(key) for key in ("short", "framed", "none")] == [short, framed, None]
    assert (shelf.expire(), shelf.pop("short"), len(shelf)) == (1, short, 2)
    shelf.close()


@pytest.mark.parametrize("count", [1, 2, 7, 31, 129, 300])
def test_a_batch_of_any_size_is_stored_whole(cache, count):
    cache.put_many([(str(n), entry(b"%d" % n)) for n in range(count)])
    assert [body_of(cache, str(n)) for n in range(count)] == [b"%d" % n for n in range(count)]


def test_nothing_is_opened_before_it_is_needed_and_an_empty_batch_needs_nothing(folder):
    cache = DiskCache(folder, 1_000_000)
    cache.put_many([])
    cache.close()
    assert not folder.exists()
    loaded = "import sys; import costopt.world.disk; assert not {'diskcache', 'zstandard'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", loaded], check=True)


def test_only_the_owner_may_read(cache, folder):
    folder.mkdir(mode=0o755)
    cache.put_many([("a", entry())])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir()} == {0o600}


def test_it_stays_within_its_bytes_and_the_oldest_goes_first(folder):
    cache = DiskCache(folder, 1_000_000)
    for n in range(40):
        cache.put_many([(f"{n}-{m}", entry(os.urandom(10_000))) for m in range(10)])
    assert (folder / "cache.db").stat().st_size <= 1_100_000
    assert cache.get("0-0", NOW) is None
    assert cache.get("39-9", NOW) is not None
    cache.put_many([("huge", entry(b"x" * 130_000))])
    assert cache.get("huge", NOW) is None
    cache.close()


class Bomb:
    """Unpickling one is noticed."""

    def __reduce__(self):
        return (pytest.fail, ("a planted pickle was loaded",))


PLANTED = pickle.dumps(Bomb())


@pytest.mark.parametrize(
    ("raw", "mode", "filename", "value"),
    [
        (1, 4, None, PLANTED),
        (1, 4, "planted.val", None),
        (1, 2, "planted.val", None),
        (1, 3, "/etc/hostname", None),
        (1, 1, None, PLANTED),
        (1, 1, None, b""),
        (1, 1, None, "text"),
        (1, 1, None, b"\x28\xb5\x2f\xfd\x20\x05broken"),
        (1, 1, None, b"\x28\xb5\x2f\xfd\xe0" + b"\xff" * 20),
    ],
)
def test_a_planted_row_is_never_loaded(cache, folder, raw, mode, filename, value):
    cache.put_many([("good", entry(b"good"))])
    (folder / "planted.val").write_bytes(PLANTED)
    insert = "INSERT INTO Cache (key, raw, mode, filename, value) VALUES (?, ?, ?, ?, ?)"
    execute(folder, insert, "planted", raw, mode, filename, value)
    assert cache.get("planted", NOW) is None
    assert body_of(cache, "good") == b"good"
    assert not (folder / "cache.db.corrupt").exists()


def test_a_planted_pickled_key_is_refused_by_iteration(cache, folder):
    cache.put_many([("good", entry())])
    insert = "INSERT INTO Cache (key, raw, mode, value) VALUES (?, 0, 1, ?)"
    execute(folder, insert, PLANTED, b"")
    shelf = Shelf(folder, 1_000_000, 1)
    for keys in (lambda: iter(shelf), lambda: reversed(shelf), shelf.iterkeys):
        with pytest.raises(UnsafeRow):
            list(keys())
    shelf.close()


def test_a_planted_file_name_deletes_nothing(folder):
    cache = DiskCache(folder, 1_000_000)
    cache.put_many([("good", entry())])
    victim = folder.parent / "victim"
    victim.touch()
    insert = "INSERT INTO Cache (key, raw, store_time, mode, filename) VALUES ('planted', 1, 0, 2, ?)"
    execute(folder, insert, str(victim))
    cache.put_many([("planted", entry())])
    assert victim.exists()
    cache.close()


def test_only_text_keys_and_bytes_are_stored(tmp_path):
    disk = Plain(str(tmp_path))
    with pytest.raises(UnsafeRow):
        disk.put(("a", 1))
    for value in ("text", 1, {"a": 1}, None):
        with pytest.raises(UnsafeRow):
            disk.store(value, False)
    with pytest.raises(UnsafeRow):
        disk.store(b"x", True)


@pytest.mark.parametrize("content", [b"not a database" * 1000, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_corrupt_file_is_moved_aside_once_with_one_warning(folder, caplog, content):
    folder.mkdir()
    (folder / "cache.db").write_bytes(content)
    cache = DiskCache(folder, 1_000_000)
    assert cache.get("a", NOW) is None
    cache.put_many([("a", entry(b"new"))])
    assert body_of(cache, "a") == b"new"
    assert (folder / "cache.db.corrupt").read_bytes() == content
    assert [r.name for r in caplog.records] == ["costopt"] and "starting anew" in caplog.text
    cache.close()


def test_a_database_that_is_not_a_cache_is_moved_aside(folder):
    folder.mkdir()
    con = sqlite3.connect(folder / "cache.db")
    con.execute("CREATE TABLE Cache (something TEXT)")
    con.close()
    cache = DiskCache(folder, 1_000_000)
    cache.put_many([("a", entry(b"new"))])
    assert body_of(cache, "a") == b"new"
    cache.close()


def test_damage_while_in_use_is_noticed(folder, caplog):
    cache = DiskCache(folder, 10_000_000)
    cache.put_many([(str(n), entry(os.urandom(3000))) for n in range(200)])
    cache.close()
    with (folder / "cache.db").open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(400_000))
    for n in range(200):
        cache.get(str(n), NOW)
    cache.put_many([("a", entry(b"new"))])
    assert body_of(cache, "a") == b"new"
    assert caplog.text.count("starting anew") == 1
    cache.close()


def test_a_path_that_cannot_be_a_folder_is_one_typed_error(tmp_path):
    (tmp_path / "file").touch()
    cache = DiskCache(tmp_path / "file" / "cache", 1_000_000)
    with pytest.raises(StoreUnavailable):
        cache.get("a", NOW)
    with pytest.raises(StoreUnavailable):
        cache.put_many([("a", entry())])
    cache.close()


def test_a_full_database_is_one_typed_error_and_the_cache_recovers(folder):
    cache = DiskCache(folder, 10_000_000)
    cache.put_many([("a", entry(b"1"))])
    assert cache._writer is not None
    (pages,) = cache._writer._sql("PRAGMA page_count").fetchone()
    cache._writer._sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailable, match="full"):
        cache.put_many([(str(n), entry(os.urandom(5000))) for n in range(50)])
    assert body_of(cache, "a") == b"1"
    cache.put_many([("b", entry(b"2"))])
    assert body_of(cache, "b") == b"2"
    cache.close()


def test_a_database_locked_by_another_is_one_typed_error(folder):
    DiskCache(folder, 1_000_000).put_many([("a", entry())])
    other = sqlite3.connect(folder / "cache.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        Shelf(folder, 1_000_000, 0)
    other.close()
    Shelf(folder, 1_000_000, 0).close()


def test_closing_leaves_no_descriptor_after_use_by_many_threads(folder):
    cache = DiskCache(folder, 10_000_000)
    done = threading.Barrier(9, timeout=20)
    leave = threading.Event()

    def work(name: int) -> None:
        for n in range(20):
            cache.put_many([(f"{name}-{n}", entry())])
            cache.get(f"{name}-{n}", NOW)
        done.wait()
        leave.wait(20)

    with at_once(*(partial(work, n) for n in range(8))):
        done.wait()
        assert open_files(folder)
        cache.close()
        cache.close()
        assert not open_files(folder)
        leave.set()
    assert cache.get("7-19", NOW) is not None
    cache.close()


def test_processes_share_one_cache(folder, cache):
    writer = (
        "import sys, time; from pathlib import Path; from costopt.types import Entry, Reply;"
        "from costopt.world.disk import DiskCache; from costopt.world.stored import pack;"
        "cache = DiskCache(Path(sys.argv[1]), 10_000_000);"
        "[cache.put_many([(f'{sys.argv[2]}-{n}', pack(Entry(Reply(body=b'x'), 0, time.time_ns() + 10**12)))])"
        " for n in range(30)]"
    )
    running = [subprocess.Popen([sys.executable, "-c", writer, str(folder), str(n)]) for n in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert all(body_of(cache, f"{p}-{n}", time.time_ns()) == b"x" for p in range(3) for n in range(30))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_its_own_connections(cache):
    cache.put_many([("parent", entry(b"p"))])
    assert body_of(cache, "parent") == b"p"
    child = os.fork()
    if child == 0:
        done = False
        try:
            cache.put_many([("child", entry(b"c"))])
            done = body_of(cache, "parent") == b"p" and len(cache._inherited) == 2
        finally:
            os._exit(0 if done else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert body_of(cache, "child") == b"c"


def test_what_is_surely_absent_is_known_without_reading_it(folder):
    cache, other = DiskCache(folder, 10_000_000), DiskCache(folder, 10_000_000)
    assert not cache.lacks("a"), "unknown before the file was opened"
    assert cache.get("a", NOW) is None
    assert cache.lacks("a")
    other.put_many([("a", entry())])
    assert not cache.lacks("a"), "another process may have stored it"
    cache.close()
    other.close()
    assert not cache.lacks("a")
