"""Which keys were ever stored, known without asking the database."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from costopt.types import Entry, Reply
from costopt.world.clock import SECOND
from costopt.world.disk import DiskCache
from costopt.world.files import StoreUnavailable
from costopt.world.keyring import SIZE, SLICE, Keyring, enter, number_of
from costopt.world.shelf import Shelf
from costopt.world.stored import Stored, pack

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no keyring on Windows")

NOW = time.time_ns()
LATER = NOW + 3600 * SECOND
ROOM = 50_000_000


def entry(expires: int = LATER) -> Stored:
    stored = pack(Entry(Reply(body=b"{}"), NOW, expires))
    assert stored is not None
    return stored


def key(number: int) -> str:
    return sha256(b"%d" % number).hexdigest()


def number(folder: Path) -> int:
    db = sqlite3.connect(folder / "cache.db")
    found = number_of(db)
    db.close()
    return found


def rings(folder: Path) -> list[Path]:
    return sorted(folder.glob("cache.db-keys-*"))


def without_ring(folder: Path, count: int) -> None:
    """A cache of `count` rows as a version without keyrings left it."""
    cache = DiskCache(folder, ROOM)
    cache.put_many([(key(n), entry()) for n in range(count)])
    cache.close()
    db = sqlite3.connect(folder / "cache.db")
    db.execute("PRAGMA user_version = 0")
    db.close()
    for path in rings(folder):
        path.unlink()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def cache(folder: Path) -> Iterator[DiskCache]:
    cache = DiskCache(folder, ROOM)
    yield cache
    cache.close()


def test_what_was_never_stored_is_known_once_all_keys_are_marked(cache):
    assert not cache.never_had(key(1)), "unknown before the file was opened"
    assert cache.get(key(1), NOW) is None
    assert not cache.never_had(key(1)), "unknown before the keys that are there were marked"
    cache.put_many([(key(1), entry())])
    assert not cache.never_had(key(1))
    assert cache.never_had(key(2))


def test_keys_from_before_the_ring_are_marked_slice_by_slice(folder, cache):
    count = 2 * SLICE + 10
    without_ring(folder, count)
    assert cache.get(key(0), NOW) is not None
    for slices in range(3):
        assert not cache.never_had("none"), slices
        cache.put_many([(key(count + slices), entry())])
    assert cache.never_had("none")
    assert not any(cache.never_had(key(n)) for n in range(count + 3))


def test_a_key_that_shares_all_bits_with_others_is_asked_for(tmp_path):
    ring = Keyring(tmp_path / "ring")
    ring.trust()
    assert ring.lacks("a") and ring.lacks("b")
    ring._bits[:SIZE] = b"\xff" * SIZE
    assert not ring.lacks("a") and not ring.lacks("b")


def test_bits_that_a_power_cut_took_are_not_missed(folder, cache):
    cache.put_many([(key(1), entry())])
    cache.close()
    (ring,) = rings(folder)
    ring.write_bytes(bytes(SIZE) + b"\1")
    assert cache.get(key(1), NOW) is not None
    assert not cache.never_had(key(1)) and not cache.never_had(key(2))
    cache.put_many([(key(3), entry())])
    assert not cache.never_had(key(1)) and cache.never_had(key(2))


class Caches(RuleBasedStateMachine):
    """Three caches on one folder: what any has stored, all find, and no ring says otherwise, whatever happened."""

    keys = st.lists(st.integers(0, 40), min_size=1, max_size=5)
    one = st.integers(0, 2)

    def __init__(self) -> None:
        super().__init__()
        self.place = TemporaryDirectory()
        self.folder = Path(self.place.name) / "cache"
        self.caches = [DiskCache(self.folder, ROOM) for _ in range(3)]
        self.stored: set[int] = set()

    @rule(at=one, numbers=keys)
    def put(self, at: int, numbers: list[int]) -> None:
        self.caches[at].put_many([(key(n), entry()) for n in numbers])
        self.stored |= set(numbers)

    @rule(at=one, numbers=keys)
    def put_what_is_late(self, at: int, numbers: list[int]) -> None:
        self.caches[at].put_many([(key(n), entry(1)) for n in numbers])
        self.stored -= set(numbers)

    @rule(at=one)
    def close(self, at: int) -> None:
        self.caches[at].close()

    @rule()
    def lose_power(self) -> None:
        """Nobody is left, and of the ring came to disk what does not matter, but not what does."""
        for cache in self.caches:
            cache.close()
        for path in rings(self.folder):
            path.write_bytes(bytes(SIZE) + b"\1")

    @precondition(lambda self: self.stored)
    @rule()
    def expire(self) -> None:
        shelf = Shelf(self.folder, ROOM, 1)
        shelf.expire()
        shelf.close()

    @precondition(lambda self: self.stored)
    @rule(numbers=keys)
    def fail_to_commit(self, numbers: list[int]) -> None:
        shelf = Shelf(self.folder, ROOM, 1)
        with pytest.raises(KeyboardInterrupt), shelf.transact():
            enter(shelf.ring, shelf._con, (key(n).encode() for n in numbers))
            raise KeyboardInterrupt
        shelf.close()

    @rule()
    def damage(self) -> None:
        for cache in self.caches:
            cache.close()
        if self.folder.exists():
            (self.folder / "cache.db").write_bytes(b"no database" * 1000)
            for suffix in ("-wal", "-shm"):
                (self.folder / f"cache.db{suffix}").unlink(missing_ok=True)
        self.stored = set()

    @invariant()
    def all_find_what_any_stored(self) -> None:
        for cache in self.caches:
            assert not any(cache.never_had(key(n)) for n in self.stored)
            assert all(cache.get(key(n), NOW) for n in self.stored)

    def teardown(self) -> None:
        for cache in self.caches:
            cache.close()
        self.place.cleanup()


Caches.TestCase.settings = settings(max_examples=20, stateful_step_count=15, deadline=None)
TestCaches = Caches.TestCase


PARTNER = """
import sys, time
from pathlib import Path
from costopt.types import Entry, Reply
from costopt.world.disk import DiskCache
from costopt.world.stored import pack
cache = DiskCache(Path(sys.argv[1]), 50_000_000)
entry = pack(Entry(Reply(body=b"{}"), 0, time.time_ns() + 10**12))
for line in sys.stdin:
    act, *keys = line.split()
    if act == "put":
        cache.put_many([(key, entry) for key in keys])
        print("done", flush=True)
    else:
        lost = sum(cache.never_had(key) or cache.get(key, time.time_ns()) is None for key in keys)
        print(lost, cache.never_had("none"), flush=True)
"""


class Partner:
    """Another process with the same cache."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-c", PARTNER, str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, *words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self, kill: bool = False) -> None:
        if kill:
            self.process.kill()
        self.process.communicate()


def test_processes_find_at_once_what_another_has_stored(folder):
    partners = [Partner(folder) for _ in range(3)]
    known: list[str] = []
    for turn in range(40):
        fresh = [[key(turn * 100 + at * 10 + n) for n in range(4)] for at in range(3)]
        for partner, keys in zip(partners, fresh, strict=True):
            partner.tell("put", *keys)
        assert [partner.answer() for partner in partners] == ["done"] * 3
        known += [key for keys in fresh for key in keys]
        for partner in partners:
            partner.tell("find", *known)
        assert [partner.answer() for partner in partners] == ["0 True"] * 3
    for partner in partners:
        partner.end()


def test_a_process_that_was_killed_leaves_a_ring_that_others_go_on_with(folder, cache):
    partner = Partner(folder)
    partner.tell("put", key(1))
    partner.answer()
    assert cache.get(key(1), NOW) is not None
    partner.end(kill=True)
    assert cache.never_had(key(2)) and not cache.never_had(key(1))
    cache.put_many([(key(2), entry())])
    other = Partner(folder)
    other.tell("find", key(1), key(2))
    assert other.answer() == "0 True"
    other.end()


def test_a_writer_killed_before_its_commit_leaves_bits_and_no_row(folder, cache):
    code = (
        "import os, sys; from pathlib import Path; from costopt.world.shelf import Shelf;"
        "from costopt.world.keyring import enter;"
        "shelf = Shelf(Path(sys.argv[1]), 10**7, 5); shelf._sql('BEGIN IMMEDIATE');"
        "enter(shelf.ring, shelf._con, [sys.argv[2].encode()]); os._exit(0)"
    )
    cache.put_many([(key(1), entry())])
    assert cache.get(key(2), NOW) is None
    assert cache.never_had(key(2))
    subprocess.run([sys.executable, "-c", code, str(folder), key(2)], check=True)
    assert not cache.never_had(key(2))
    assert cache.get(key(2), NOW) is None
    cache.put_many([(key(2), entry())])
    assert cache.get(key(2), NOW) is not None


def test_a_folder_that_takes_no_ring_is_asked_as_before_and_has_one_when_it_can(folder):
    code = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20));" + PARTNER
    tight = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    said, _ = tight.communicate(f"put {key(1)}\nfind {key(1)}\n")
    assert said.split("\n")[:2] == ["done", "0 False"]
    assert number(folder) == 0 and not rings(folder)
    cache = DiskCache(folder, ROOM)
    cache.put_many([(key(2), entry())])
    assert cache.get(key(1), NOW) and cache.get(key(2), NOW)
    assert cache.never_had(key(3)) and not cache.never_had(key(1))
    cache.close()


def test_who_cannot_open_the_ring_reads_but_does_not_write(folder):
    cache = DiskCache(folder, ROOM)
    cache.put_many([(key(1), entry())])
    cache.close()
    (ring,) = rings(folder)
    ring.unlink()
    ring.mkdir()
    assert cache.get(key(1), NOW) is not None
    assert not cache.never_had(key(2))
    with pytest.raises(StoreUnavailable, match="keyring"):
        cache.put_many([(key(2), entry())])
    ring.rmdir()
    cache.put_many([(key(2), entry())])
    assert cache.get(key(2), NOW) is not None
    cache.close()


def test_a_database_that_takes_the_place_of_a_corrupt_one_has_a_ring_of_its_own(folder, cache):
    cache.put_many([(key(1), entry())])
    cache.close()
    before = number(folder)
    (folder / "cache.db").write_bytes(b"no database" * 1000)
    assert cache.get(key(1), NOW) is None
    cache.put_many([(key(2), entry())])
    assert number(folder) not in (0, before)
    assert cache.never_had(key(1)) and not cache.never_had(key(2))


def test_who_still_has_the_database_that_was_moved_away_stays_with_its_ring(folder, cache):
    cache.put_many([(key(1), entry())])
    assert cache.get(key(1), NOW) is not None
    for name in ("cache.db", "cache.db-wal", "cache.db-shm"):
        (folder / name).rename(folder / f"away{name}")
    others = [DiskCache(folder, ROOM) for _ in range(2)]
    for other in others:
        other.put_many([(key(2), entry())])
        other.get(key(2), NOW)
    cache.put_many([(key(3), entry())])
    assert [cache.never_had(key(n)) for n in (1, 2, 3)] == [False, True, False]
    for other in others:
        assert [other.never_had(key(n)) for n in (1, 2, 3)] == [True, False, True]
        other.close()
    assert len(rings(folder)) == 2


def test_closing_leaves_no_map(folder, cache):
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("no /proc")
    cache.put_many([(key(1), entry())])
    cache.get(key(1), NOW)
    assert "cache.db-keys" in maps.read_text()
    cache.close()
    assert str(folder) not in maps.read_text()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_and_its_parent_find_what_the_other_stored(cache):
    cache.put_many([(key(1), entry())])
    assert cache.get(key(1), NOW) is not None
    child = os.fork()
    if child == 0:
        done = False
        try:
            cache.put_many([(key(2), entry())])
            found = cache.get(key(1), NOW) and cache.get(key(2), NOW)
            done = found is not None and cache.never_had(key(3))
        finally:
            os._exit(0 if done else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not cache.never_had(key(2)) and cache.get(key(2), NOW) is not None
    assert cache.never_had(key(3))
