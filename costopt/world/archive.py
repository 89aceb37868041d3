"""Moves old calls out of SQLite into compressed segment files that report, explain and replay still read.

A segment is written aside, fsynced, read back and compared, renamed into place, and only then one transaction
registers it and deletes its calls. So a crash at any point loses nothing and counts nothing twice: a file
nobody registered is removed by the next run.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from pathlib import Path

from msgspec import Struct

from costopt.errors import LedgerError
from costopt.world.ledger import schema, segment_write
from costopt.world.ledger.parts import digest, unpack
from costopt.world.ledger.read import Reader
from costopt.world.ledger.schema import transaction
from costopt.world.ledger.segment import Segment
from costopt.world.ledger.words import Fact

#: Calls in one file; bounds the memory of a run.
SEGMENT_CALLS = 20_000
#: Parts deleted in one transaction; bounds how long writers wait.
SWEEP_PARTS = 20_000
_LIVE_PARTS = "SELECT n, shape, refs, reply_body, reply_events FROM facts WHERE n > ?"
_MOVE = """
INSERT INTO meta VALUES ('archiving', 1);
DELETE FROM savings WHERE call IN (SELECT n FROM temp.moved);
DELETE FROM decisions WHERE call IN (SELECT n FROM temp.moved);
DELETE FROM facts WHERE n IN (SELECT n FROM temp.moved);
DELETE FROM meta WHERE key = 'archiving';
"""
_SWEEP_BEGIN = "INSERT INTO meta VALUES ('archiving', 1)"
_SWEEP_END = """
DELETE FROM meta WHERE key = 'archiving';
UPDATE meta SET value = value + 1 WHERE key = 'epoch';
"""


class Archived(Struct, frozen=True):
    """What one run moved: `calls` archived, `parts` (messages, answers) no longer in SQLite; sizes of
    ledger and segments together."""

    calls: int
    parts: int
    bytes_before: int
    bytes_after: int


def run(folder: Path, older_than_s: float, now_ns: int, *, segment_calls: int = SEGMENT_CALLS) -> Archived:
    """Archive the calls that started more than `older_than_s` before `now_ns`.

    Raises LedgerError: no ledger, not readable, or another run is going on. Others may read and write
    meanwhile.
    """
    with _at_work(folder) as db:
        before = _bytes(folder)
        cutoff = max(0, now_ns - int(older_than_s * 1e9))
        calls = 0
        while moved := _move_some(folder, db, cutoff, segment_calls, now_ns):
            calls += moved
        parts = _sweep(db)
        _give_back(db)
        return Archived(calls, parts, before, _bytes(folder))


def forget(folder: Path, older_than_s: float, now_ns: int) -> int:
    """Delete the segments whose last call started more than `older_than_s` before `now_ns`; the calls in them.

    What was spent and saved stays in the daily totals. Calls that were never archived stay. Raises LedgerError.
    """
    with _at_work(folder) as db:
        cutoff = max(0, now_ns - int(older_than_s * 1e9))
        rows = db.execute("SELECT name, calls FROM segments WHERE last_started < ?", (cutoff,)).fetchall()
        with transaction(db):
            db.executemany("DELETE FROM segments WHERE name = ?", [(name,) for name, _ in rows])
        _remove_strays(folder, db)
        return sum(calls for _, calls in rows)


@contextlib.contextmanager
def _at_work(folder: Path) -> Generator[sqlite3.Connection]:
    """The ledger's connection, for one run at a time, after what an earlier crash left is gone."""
    schema.connect_to_read(folder).close()
    with _clear_errors(folder), _alone(folder), contextlib.closing(schema.connect(folder)) as db:
        _remove_strays(folder, db)
        yield db


def _move_some(folder: Path, db: sqlite3.Connection, cutoff: int, limit: int, now_ns: int) -> int:
    """Move up to `limit` of the oldest calls into one segment; how many they were."""
    with Reader(folder) as reader:
        facts = list(islice(reader.live(until=cutoff), limit))
        if not facts:
            return 0
        parts = {key: reader.kept(key) for key in _keys(facts)}
        sizes = dict(zip(parts, reader.sizes(parts), strict=True))
    path = folder / "segments" / _name(facts)
    checksum = _write(path, facts, parts, sizes)
    _commit(db, path, facts, checksum, now_ns)
    return len(facts)


def _keys(facts: Iterable[Fact]) -> Iterator[bytes]:
    """Parts in the order they go to the file: like beside like compresses best."""
    facts = list(facts)
    for fact in facts:
        yield fact.shape
        for group in fact.parts:
            yield from group
    for fact in facts:
        yield from (key for key in (fact.reply_body, fact.reply_events) if key)


def _name(facts: list[Fact]) -> str:
    return f"{facts[0].started // 10**9}-{digest(chr(0).join(f.id for f in facts).encode()).hex()[:16]}.seg"


def _write(path: Path, facts: list[Fact], parts: dict[bytes, bytes | None], sizes: dict[bytes, int]) -> bytes:
    """Put a whole, verified file at `path`; its checksum."""
    aside = path.with_suffix(".tmp")
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        segment_write.write(aside, facts, parts, sizes)
        with contextlib.closing(Segment(aside)) as made:
            made.verify(facts, parts, sizes)
            checksum = made.checksum()
        aside.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise LedgerError(f"{path.parent}: cannot hold archived calls: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()
    return checksum


def _commit(db: sqlite3.Connection, path: Path, facts: list[Fact], checksum: bytes, now_ns: int) -> None:
    db.executescript("CREATE TEMP TABLE IF NOT EXISTS moved(n INTEGER PRIMARY KEY); DELETE FROM temp.moved;")
    with transaction(db):
        find = "INSERT INTO temp.moved SELECT n FROM facts WHERE id = ?"
        db.executemany(find, [(fact.id,) for fact in facts])
        (found,) = db.execute("SELECT count(*) FROM temp.moved").fetchone()
        if found != len(facts):
            raise LedgerError(f"{path}: the ledger changed meanwhile; nothing was deleted, run again")
        size, first, last = path.stat().st_size, facts[0].started, facts[-1].started
        row = (path.name, len(facts), first, last, size, checksum, now_ns)
        db.execute("INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        _each(db, _MOVE)


def _sweep(db: sqlite3.Connection) -> int:
    """Delete the parts that no live call names; how many they were. Never holds the lock for long."""
    live, seen = _live(db, 0)
    unused = [part for (part,) in db.execute("SELECT id FROM parts") if part not in live]
    deleted = 0
    for at in range(0, len(unused), SWEEP_PARTS):
        with transaction(db):
            again, seen = _live(db, seen)  # a call written meanwhile may name a part we hold for unused
            live |= again
            doomed = [(part,) for part in unused[at : at + SWEEP_PARTS] if part not in live]
            db.execute(_SWEEP_BEGIN)
            db.executemany("DELETE FROM parts WHERE id = ?", doomed)
            _each(db, _SWEEP_END)
        deleted += len(doomed)
    return deleted


def _live(db: sqlite3.Connection, after: int) -> tuple[set[int], int]:
    """The parts that calls numbered above `after` name, and the highest number seen."""
    live: set[int] = set()
    for n, shape, refs, body, events in db.execute(_LIVE_PARTS, (after,)):
        after = max(after, n)
        live.update((shape, body, events))
        live.update(part for group in unpack(refs) for part in group)
    return live, after


def _give_back(db: sqlite3.Connection) -> None:
    """Return free pages to the file system; readers in the way only postpone it."""
    db.execute("PRAGMA busy_timeout = 100")
    with contextlib.suppress(sqlite3.OperationalError):
        # a script, as `execute` steps a pragma without columns only once and frees one page
        db.executescript("PRAGMA incremental_vacuum")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _remove_strays(folder: Path, db: sqlite3.Connection) -> None:
    """Files a crashed run left unregistered: their calls are still in SQLite."""
    known = {name for (name,) in db.execute("SELECT name FROM segments")}
    for path in (folder / "segments").glob("*"):
        if path.suffix in (".seg", ".tmp") and path.name not in known:
            path.unlink()


@contextlib.contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Hold a lock that a killed process gives back: an SQLite file nobody writes to."""
    with contextlib.closing(
        sqlite3.connect(folder / "archive.lock", timeout=0, isolation_level=None)
    ) as lock:
        try:
            (folder / "archive.lock").chmod(0o600)
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise LedgerError(
                f"{folder}: another run is archiving, or nothing can be written here"
            ) from error
        yield


@contextlib.contextmanager
def _clear_errors(folder: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise schema.unreadable(folder / schema.NAME, error) from error


def _each(db: sqlite3.Connection, script: str) -> None:
    # executescript would commit the transaction first
    for statement in script.strip().split(";\n"):
        db.execute(statement)


def _sync(folder: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _bytes(folder: Path) -> int:
    files = [*folder.glob(f"{schema.NAME}*"), *folder.glob("segments/*")]
    return sum(path.stat().st_size for path in files)
