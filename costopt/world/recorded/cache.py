"""The two tiers of the cache as sizes and times only: what would still be there, not the bytes of it."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from costopt.types import Entry, Tier
from costopt.world.memory import LARGEST, OVERHEAD

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode


class _Kept(NamedTuple):
    """An entry, packed: a month of them must fit. `size` is what it took when it was live."""

    data: bytes
    expires: int
    size: int


class _Tier:
    """At most `room` bytes; the first in order goes first."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.items: OrderedDict[str, _Kept] = OrderedDict()
        self._used = 0

    def put(self, key: str, kept: _Kept) -> None:
        self.drop(key)
        if kept.size > self.room // LARGEST:
            return
        self.items[key] = kept
        self._used += kept.size
        while self._used > self.room:
            self.drop(next(iter(self.items)))

    def drop(self, key: str) -> None:
        gone = self.items.pop(key, None)
        if gone:
            self._used -= gone.size


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
            return self._alive(key, found, now, "memory")
        found = self._disk.items.get(key)
        if found is None:
            return None
        entry = self._alive(key, found, now, "disk")
        if entry is not None:
            self._memory.put(key, found)
        return entry

    def put(self, key: str, entry: Entry, size: int) -> None:
        """Keep `entry`, whose answer has `size` bytes, in both tiers. What it says is read no more."""
        bare = replace(entry, reply=replace(entry.reply, body=b"", events=b""))
        kept = _Kept(_encode(bare), entry.expires, size + len(key) + OVERHEAD)
        self._memory.put(key, kept)
        if self._disk.room:
            self._disk.put(key, kept)

    def _alive(self, key: str, kept: _Kept, now: int, tier: Tier) -> Entry | None:
        if kept.expires > now:
            entry = _decode(kept.data)
            return replace(entry, reply=replace(entry.reply, tier=tier))
        self._memory.drop(key)
        self._disk.drop(key)
        return None
