"""Budgets: money is set aside before a call and booked after it, in one SQLite file that processes share.

Amounts are integer nano-USD. What is booked plus what is held never passes a limit, whoever asks at once.
A hold counts while the process that made it is there, and for `HOLD_S` in any case: a long call keeps what it may
spend, a killed process leaks nothing. One that is settled late is booked all the same.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from costopt.effects import Claim, Hold
from costopt.errors import BudgetExceeded
from costopt.money import exact
from costopt.types import Nano
from costopt.world import presence
from costopt.world.clock import SECOND
from costopt.world.files import StoreUnavailable, private_file
from costopt.world.presence import Presence
from costopt.world.waiting import after_fork

#: How long a hold counts at least that nobody settles, seconds; longer while its process is there.
HOLD_S = 15 * 60.0
#: Windows and lost holds are kept this long after their end, so that late settlements find them.
KEEP_NS = 32 * 86400 * SECOND
#: Pruning runs at most this often.
PRUNE_NS = 3600 * SECOND
#: How long another process's lock on the file is waited for, seconds.
WAIT_S = 30.0
VERSION = 1

SCHEMA = """
CREATE TABLE IF NOT EXISTS spend (
  scope TEXT NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL, nano INTEGER NOT NULL,
  PRIMARY KEY (scope, start, end)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hold (
  scope TEXT NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL, id TEXT NOT NULL,
  nano INTEGER NOT NULL, expires INTEGER NOT NULL,
  PRIMARY KEY (scope, start, end, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS hold_id ON hold (id);
CREATE INDEX IF NOT EXISTS hold_expires ON hold (expires);
"""


class Wallet:
    """Reserves and settles. `path` is the SQLite file, None keeps budgets in memory for this process only.

    Opens on first use. All methods block (about 85 µs each, measured) and may raise StoreUnavailable.
    """

    def __init__(self, path: Path | None = None, hold_s: float = HOLD_S) -> None:
        self._path = path
        self._hold_ns = int(hold_s * SECOND)
        self._inherited: list[sqlite3.Connection] = []
        self._con: sqlite3.Connection | None = None
        self._presence: Presence | None = None
        self._reset()
        after_fork(self._reset)

    def _reset(self) -> None:
        if self._con is not None:
            self._inherited.append(self._con)  # SQLite forbids using or closing it in a forked child
        self._con = None
        if self._presence is not None:
            self._presence.forget()
        self._presence = None
        self._pruned = 0
        self._lock = threading.RLock()

    def reserve(self, call: str, claims: tuple[Claim, ...], nano: Nano, now: int) -> Hold:
        """Set `nano` aside in all `claims` or in none. Raises BudgetExceeded."""
        with self._transaction() as con:
            hold = Hold(f"{call}:{secrets.token_hex(8)}:{self._holder()}", claims, nano)
            self._prune(con, now)
            for claim in claims:
                self._check(con, claim, nano, now)
            rows = [(*window, hold.id, nano, now + self._hold_ns) for window in _windows(hold)]
            con.executemany("INSERT INTO hold VALUES (?, ?, ?, ?, ?, ?)", rows)
        return hold

    def settle(self, hold: Hold, nano: Nano) -> None:
        """Free the hold and book `nano`, what was really spent. Settling again does nothing."""
        with self._transaction() as con:
            held = con.execute("DELETE FROM hold WHERE id = ?", (hold.id,)).rowcount
            if not held or not nano:
                return
            rows = [(*window, nano) for window in _windows(hold)]
            con.executemany(
                "INSERT INTO spend VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET nano = nano + excluded.nano",
                rows,
            )

    def spent(self, scope: str, start: int, end: int) -> Nano:
        """What is booked for `scope` in the windows within `start` to `end` (ns)."""
        query = "SELECT SUM(nano) FROM spend WHERE scope = ? AND start >= ? AND end <= ?"
        with self._transaction() as con:
            (nano,) = con.execute(query, (scope, start, end)).fetchone()
        return nano or 0

    def held(self, scope: str, start: int, end: int, now: int) -> Nano:
        """What is set aside for `scope` in exactly this window at `now`."""
        with self._transaction() as con:
            return self._held(con, Claim(scope, 0, start, end), now)

    def close(self) -> None:
        """Close the file. May be called again; the next use opens it anew (in memory: empty). Holds of calls still
        under way count for `HOLD_S` only."""
        with self._lock:
            if self._con is not None:
                self._con.close()
            self._con = None
            if self._presence is not None:
                self._presence.end()
            self._presence = None

    def _holder(self) -> str:
        """The name under which this wallet's holds count while its process is there."""
        if self._path is None:
            return ""
        if self._presence is None:
            self._presence = Presence(self._path)
        return self._presence.name

    def _is_there(self, hold: str) -> bool:
        """Whether the wallet that made the hold of this id is in use."""
        name = hold.rpartition(":")[2]
        if self._path is None or (self._presence is not None and name == self._presence.name):
            return True
        return presence.there(self._path, name)

    def _check(self, con: sqlite3.Connection, claim: Claim, nano: Nano, now: int) -> None:
        query = "SELECT nano FROM spend WHERE scope = ? AND start = ? AND end = ?"
        row = con.execute(query, (claim.scope, claim.start, claim.end)).fetchone()
        spent: Nano = row[0] if row else 0
        held = self._held(con, claim, now)
        if spent + held + nano > claim.limit:
            raise BudgetExceeded(_refusal(claim, spent, held, nano), claim.scope)

    def _held(self, con: sqlite3.Connection, claim: Claim, now: int) -> Nano:
        window = claim.scope, claim.start, claim.end
        query = "SELECT SUM(nano), MIN(expires) FROM hold WHERE scope = ? AND start = ? AND end = ?"
        nano, first = con.execute(query, window).fetchone()
        if first is None or first > now:
            return nano or 0
        old = "SELECT id, nano FROM hold WHERE scope = ? AND start = ? AND end = ? AND expires <= ?"
        lost = [held for hold, held in con.execute(old, (*window, now)) if not self._is_there(hold)]
        return int(nano - sum(lost))

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection, None, None]:
        with self._lock:
            try:
                con = self._con = self._con or self._open()
                con.execute("BEGIN IMMEDIATE")
                yield con
                con.execute("COMMIT")
            except BaseException as error:  # why: even at Ctrl-C, the write lock must not stay taken
                if self._con is not None:
                    _roll_back(self._con)
                if isinstance(error, sqlite3.Error | OSError):
                    raise _unavailable(self._path, error) from error
                raise

    def _open(self) -> sqlite3.Connection:
        if self._path is not None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            private_file(self._path)
        name = ":memory:" if self._path is None else str(self._path)
        con = sqlite3.connect(name, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
        try:
            _prepare(con)
        except BaseException:
            con.close()
            raise
        return con

    def _prune(self, con: sqlite3.Connection, now: int) -> None:
        if now - self._pruned < PRUNE_NS:
            return
        self._pruned = now
        con.execute("DELETE FROM spend WHERE end < ?", (now - KEEP_NS,))
        con.execute("DELETE FROM hold WHERE expires < ?", (now - KEEP_NS,))
        if self._path is not None:
            presence.sweep(self._path)


def _windows(hold: Hold) -> set[tuple[str, int, int]]:
    """Two budgets with different limits may share a window; money counts there once."""
    return {(claim.scope, claim.start, claim.end) for claim in hold.claims}


def _prepare(con: sqlite3.Connection) -> None:
    _write_ahead(con)
    con.execute("PRAGMA synchronous = NORMAL")
    (version,) = con.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StoreUnavailable(f"budgets of version {version}; this costopt knows version {VERSION}")
    if version < VERSION:
        con.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")


def _write_ahead(con: sqlite3.Connection) -> None:
    """Turn on WAL. While another process does the same to a new file, SQLite fails at once, whatever its timeout."""
    until = time.monotonic() + WAIT_S
    while True:
        try:
            con.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.002)


def _refusal(claim: Claim, spent: Nano, held: Nano, nano: Nano) -> str:
    return (
        f"budget {claim.scope!r}: {exact(nano)} more would pass its limit of {exact(claim.limit)} "
        f"({exact(spent)} spent, {exact(held)} held by calls under way); {_resets(claim.end)}"
    )


def _resets(end: int) -> str:
    try:
        when = datetime.fromtimestamp(end / SECOND, UTC)
    except (OverflowError, ValueError, OSError):
        return "it never resets"
    return f"it resets at {when:%Y-%m-%d %H:%M:%S} UTC" if when.year < 2200 else "it never resets"


def _roll_back(con: sqlite3.Connection) -> None:
    if con.in_transaction:
        con.execute("ROLLBACK")


def _unavailable(path: Path | None, error: Exception) -> StoreUnavailable:
    return StoreUnavailable(f"budgets {path or 'in memory'}: {error}")
