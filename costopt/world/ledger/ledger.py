"""The ledger: what was called, what it cost, what each lever saved. Written by one thread, read by anyone.

Several processes may write one ledger. A killed process leaves a valid file and loses at most what the
writer had not taken yet. Nothing here keeps request
headers (of a variant only its hash) or the user of a URL; of reply headers only `batch.KEPT` are.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from costopt.types import Record
from costopt.world.ledger import schema
from costopt.world.ledger.batch import Batch
from costopt.world.ledger.intern import Interner
from costopt.world.ledger.schema import transaction
from costopt.world.waiting import follow_forks
from costopt.world.writer import Partial

#: What a value raises that no row can hold: too large an integer, broken text, a foreign type.
_UNSTORABLE = (ValueError, TypeError, OverflowError, sqlite3.ProgrammingError, sqlite3.InterfaceError)


class Ledger:
    """The ledger in the folder `path`. `content="hashed"` keeps hashes and counts, and no prompt or answer
    text.

    A hash is no secret keeper: who guesses a whole message can confirm the guess.
    """

    def __init__(self, path: Path, content: Literal["full", "hashed"] = "full") -> None:
        self.path = path
        #: May be set at any time, from any thread: records are kept by it from the next transaction on.
        self.content: Literal["full", "hashed"] = content
        self._private = content == "hashed"
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        self._interner: Interner | None = None
        self._inode = 0
        follow_forks(self)

    def open(self) -> None:
        """Open or create the file now and see that it can be written; `write` does so by itself.

        Raises LedgerError.
        """
        with self._lock:
            try:
                with transaction(self._opened()):
                    pass
            except sqlite3.Error as error:
                self._drop()
                raise schema.unreadable(self.path / schema.NAME, error) from error

    def write(self, records: Sequence[Record]) -> None:
        """Append facts in one transaction; a call id that is already there is left as it is.

        Raises LedgerError when the file cannot be used, sqlite3.Error when it is full or locked (nothing is
        written then), and Partial when single records cannot be stored (all others are).
        """
        with self._lock:
            try:
                self._write(records)
            except _UNSTORABLE as error:
                if len(records) == 1:
                    raise Partial(1, error) from error
                self._write_each(records, error)

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _write(self, records: Sequence[Record]) -> None:
        db = self._opened()
        assert self._interner is not None
        try:
            with transaction(db):
                self._interner.begin()
                Batch(db, self._interner, private=self._private).write(records)
        except BaseException:
            self._drop()  # and with it every number remembered from the rolled back transaction
            raise

    def _write_each(self, records: Sequence[Record], cause: Exception) -> None:
        lost = 0
        for record in records:
            try:
                self._write([record])
            except _UNSTORABLE as error:
                lost, cause = lost + 1, error
        if lost:
            raise Partial(lost, cause)

    def _opened(self) -> sqlite3.Connection:
        """The connection; a new one where the file was moved away or replaced under us, or keeps other content."""
        private = self.content == "hashed"
        if self._db is not None and self._inode == _inode(self.path) and private is self._private:
            return self._db
        self._drop()
        self._private = private
        self._db = schema.connect(self.path)
        self._interner = Interner(self._db, withhold=self._private)
        self._inode = _inode(self.path)
        return self._db

    def _drop(self) -> None:
        if self._db is not None:
            self._db.close()
        self._db = self._interner = None

    def before_fork(self) -> None:
        # an SQLite connection that exists in two processes corrupts the file when one of them uses it
        self._lock.acquire()
        self._drop()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        self._lock = threading.RLock()


def _inode(folder: Path) -> int:
    try:
        return (folder / schema.NAME).stat().st_ino
    except OSError:
        return 0
