"""Hot reload: look at the file when asked, at most once a second, without a thread."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from costopt.errors import PolicyError
from costopt.policy import Policy
from costopt.policyfile.check import Known
from costopt.policyfile.read import load

EVERY_NS = 1_000_000_000
Stamp = tuple[int, int, int]

log = logging.getLogger("costopt")


class Watcher:
    """The policy in `path`, as of the last good version of the file. Safe to share between threads.

    Raises PolicyError on construction when the file is wrong from the start; later mistakes are logged once
    each, and the old policy stays.
    """

    def __init__(self, path: str | Path, *, known: Known | None = None) -> None:
        self.path = Path(path).expanduser()
        self._known = known
        self._lock = threading.Lock()
        self._stamp = self._look()
        self._policy = load(self.path, known=known)
        self._checked_ns: int | None = None

    def current(self, now_ns: int) -> Policy:
        """The policy to use at `now_ns`; the file is looked at when a second has passed since last time."""
        if self._checked_ns is None or abs(now_ns - self._checked_ns) >= EVERY_NS:
            with self._lock:
                self._refresh(now_ns)
        return self._policy

    def _refresh(self, now_ns: int) -> None:
        self._checked_ns = now_ns
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._policy = load(self.path, known=self._known)
        except PolicyError as error:
            log.warning("policy not reloaded, the old one stays: %s", "; ".join(str(error).splitlines()))

    def _look(self) -> Stamp | None:
        """What changes when the file does: editors that replace a file change the inode."""
        try:
            stat = self.path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino
