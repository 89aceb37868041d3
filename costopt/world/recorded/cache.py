"""The two tiers of the cache as sizes and times only: what would still be there, not the bytes of it."""

from __future__ import annotations

from collections import OrderedDict

from msgspec.structs import replace

from costopt.types import Entry, Tier
from costopt.world.memory import LARGEST, OVERHEAD


class _Tier:
    """At most `room` bytes; the first in order goes first."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.items: OrderedDict[str, tuple[Entry, int]] = OrderedDict()
        self._used = 0

    def put(self, key: str, entry: Entry, size: int) -> None:
        self.drop(key)
        if size > self.room // LARGEST:
            return
        self.items[key] = (entry, size)
        self._used += size
        while self._used > self.room:
            self.drop(next(iter(self.items)))

    def drop(self, key: str) -> None:
        gone = self.items.pop(key, None)
        if gone:
            self._used -= gone[1]


class RecordedCache:
    """Memory (least recently used out first) over disk (oldest out first), as one process would have them."""

    def __init__(self, memory: int, disk: int) -> None:
        self._memory = _Tier(memory)
        self._disk = _Tier(disk)

    def get(self, key: str, now: int) -> Entry | None:
        """The entry under `key` not expired at `now` (ns), its reply's tier set to where it was found."""
        found = self._memory.items.get(key)
        if found is not None:
            self._memory.items.move_to_end(key)
            return self._alive(key, found[0], now, "memory")
        found = self._disk.items.get(key)
        if found is None:
            return None
        entry = self._alive(key, found[0], now, "disk")
        if entry is not None:
            self._memory.put(key, *found)
        return entry

    def put(self, key: str, entry: Entry, size: int) -> None:
        """Keep `entry`, whose answer has `size` bytes, in both tiers."""
        self._memory.put(key, entry, size + len(key) + OVERHEAD)
        if self._disk.room:
            self._disk.put(key, entry, size + len(key) + OVERHEAD)

    def _alive(self, key: str, entry: Entry, now: int, tier: Tier) -> Entry | None:
        if entry.expires > now:
            return replace(entry, reply=replace(entry.reply, tier=tier))
        self._memory.drop(key)
        self._disk.drop(key)
        return None
