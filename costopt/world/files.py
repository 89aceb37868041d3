"""Where files lie, those that only their owner may read, and the error for files that cannot be used."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from costopt.errors import LedgerError


class StoreUnavailable(OSError):
    """A cache or budget file is unusable: disk full or read-only, locked for long, corrupt, newer version."""


def expanded(path: str | Path) -> Path:
    """`path` from the root on, with `~` as the home folder, so that it names the same place after a `chdir`.

    Raises LedgerError where there is no such home or the working folder is gone.
    """
    try:
        return Path(path).expanduser().absolute()
    except OSError as error:
        mend = "write a whole path"
        raise LedgerError(f"{path}: the working folder cannot be used ({error}); {mend}") from None
    except RuntimeError:
        raise LedgerError(
            f"{path}: there is no such home folder (is HOME set?); write a whole path"
        ) from None


def private_folder(folder: Path) -> None:
    """Make `folder` with mode 0700, also where it is there already. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o777 != 0o700:
        folder.chmod(0o700)


def private_file(path: Path) -> None:
    """Make `path` an empty file of mode 0600, or give that mode to the file that is there. Raises OSError.

    SQLite gives its -wal and -shm files the mode of the database. A file that is there is never opened: closing it
    would drop the locks of every connection this process has to it (sqlite.org/howtocorrupt.html, 2.2).
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    if path.stat().st_mode & 0o777 != 0o600:
        path.chmod(0o600)
