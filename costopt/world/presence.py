"""Whether another process is still there: each keeps a file locked, and the system lets go of it when the process ends.

A lock (`flock`) needs no clock, no thread and no renewal, and it knows of other containers, of process ids used again
and of a machine that slept. Where there is none (Windows, some network file systems) nobody counts as there.
"""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl


class Presence:
    """That whoever made it is there, under `name`, for all who share the file `beside`: an empty file next to it.

    Make it, and ask for others, under one lock of all of them (SQLite's write lock), as nobody must be asked for
    between making the file and locking it.
    """

    def __init__(self, beside: Path) -> None:
        self.name = secrets.token_hex(8)
        self._path = _path(beside, self.name)
        self._file: int | None = None
        with suppress(OSError):
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            _lock(self._file)

    def end(self) -> None:
        """From now on nobody is there under this name. So it ends, too, when it is itself forgotten."""
        if self._file is not None:
            self.forget()
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    __del__ = end

    def forget(self) -> None:
        """The same in a forked child, whose parent is still there."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def there(beside: Path, name: str) -> bool:
    """Whether the one under `name` is there."""
    return _held(_path(beside, name)) is True


def sweep(beside: Path) -> None:
    """Remove the files of all who are not there any more."""
    for path in beside.parent.glob(_path(beside, "*").name):
        if _held(path) is False:
            path.unlink(missing_ok=True)


def _path(beside: Path, name: str) -> Path:
    return beside.with_name(f"{beside.name}-holder-{name}")


def _held(path: Path) -> bool | None:
    """Whether somebody has the file at `path` locked; None where that cannot be told, or there is no file."""
    try:
        file = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        _lock(file)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(file)
    return False


def _lock(file: int) -> None:
    if sys.platform == "win32":
        raise OSError("no flock on Windows")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
