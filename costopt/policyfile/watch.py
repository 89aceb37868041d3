"""Hot reload: look at the file when asked, at most once a second, without a thread.

A file that is being written may be a policy at any moment: its beginning, with the budgets still to come. So it is
read once it lies still: when it was last changed a second ago or more by its own times, or, where these cannot be
trusted (a clock ahead of ours, a copy that keeps old times), when two looks a second apart find the same.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from costopt.errors import PolicyError
from costopt.policy import Policy
from costopt.policyfile.check import Known
from costopt.policyfile.read import load

EVERY_NS = 1_000_000_000
#: Last change of the content and of the file (ns), size, inode.
Stamp: TypeAlias = tuple[int, int, int, int]

log = logging.getLogger("costopt")


class Watcher:
    """The policy in `path`, as of the last good version of the file. Safe to share between threads.

    Raises PolicyError on construction when the file is wrong from the start; later mistakes are logged once
    each, and the old policy stays. What changed is logged at INFO, by the names of its keys.
    """

    def __init__(self, path: str | Path, *, known: Known | None = None) -> None:
        self.path = Path(path).expanduser().absolute()
        self._known = known
        self._taken = self._seen = self._look()
        #: As of the last look.
        self.policy = load(self.path, known=known)
        self._checked_ns: int | None = None
        self.renew_lock()

    def renew_lock(self) -> None:
        """In a forked child: whoever held the lock is not there."""
        self._lock = threading.Lock()

    def current(self, now_ns: int) -> Policy:
        """The policy to use at `now_ns`; the file is looked at when a second has passed since last time."""
        if self._due(now_ns):
            with self._lock:
                if self._due(now_ns):  # else another thread has just looked
                    self._checked_ns = now_ns
                    self._refresh(now_ns)
        return self.policy

    def _due(self, now_ns: int) -> bool:
        return self._checked_ns is None or abs(now_ns - self._checked_ns) >= EVERY_NS

    def _refresh(self, now_ns: int) -> None:
        before, self._seen = self._seen, self._look()
        if self._seen == self._taken or not (self._seen == before or _lies_still(self._seen, now_ns)):
            return
        try:
            policy, trouble = load(self.path, known=self._known), ""
        except PolicyError as error:
            policy, trouble = self.policy, "; ".join(str(error).splitlines())
        if self._look() != self._seen:  # written while it was read
            return
        self._taken = self._seen
        if trouble:
            log.warning("policy not reloaded, the old one stays: %s", trouble)
        elif changed := ", ".join(_differences(self.policy, policy)):
            log.info("costopt: policy reloaded from %s; changed: %s", self.path, changed)
            self.policy = policy

    def _look(self) -> Stamp | None:
        """What changes when the file does: editors that replace a file change the inode."""
        try:
            stat = self.path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino


def _lies_still(stamp: Stamp | None, now_ns: int) -> bool:
    """Whether the file was last changed a second ago or more. No time says when it was removed."""
    return stamp is not None and max(stamp[:2]) + EVERY_NS <= now_ns


def _differences(old: Policy, new: Policy) -> Iterator[str]:
    """The keys under which two policies differ, and no values: prices and tags may be nobody else's business."""
    for key in old.__struct_fields__:
        if getattr(old, key) != getattr(new, key):
            yield key
