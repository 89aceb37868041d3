"""The first cache tier: encoded answers in memory, bounded in bytes, least recently used out first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

import msgspec

from costopt.types import Entry
from costopt.world.waiting import after_fork

#: Bytes one entry takes besides its key's characters and its data: objects, dict and list slots (tracemalloc on
#: CPython 3.11: 471 with 20,000 entries).
OVERHEAD = 480
#: No entry may take more than this share of the cache, so that one answer cannot push out all others.
LARGEST = 8

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


class _Item(NamedTuple):
    data: bytes
    expires: int
    size: int


class MemoryCache:
    """At most `max_bytes` of answers. Every hit is decoded anew: who changes a reply changes only its own."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._reset()
        after_fork(self._renew_lock)

    def _reset(self) -> None:
        self._items: OrderedDict[str, _Item] = OrderedDict()
        self._size = 0
        self._renew_lock()

    def _renew_lock(self) -> None:
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def size(self) -> int:
        """Bytes in use."""
        return self._size

    def get(self, key: str, now: int) -> Entry | None:
        """The entry under `key` if there is one not expired at `now` (ns); its reply's tier is `memory`."""
        with self._lock:
            item = self._items.get(key)
            if item is None:
                return None
            if item.expires <= now:
                self._drop(key)
                return None
            self._items.move_to_end(key)
        return _decoder.decode(item.data)

    def put(self, key: str, entry: Entry) -> bool:
        """Keep `entry`; False, and whatever was there is gone, when it is too large or cannot be encoded."""
        data = encode(entry)
        size = len(key) + len(data) + OVERHEAD if data else self.max_bytes
        with self._lock:
            self._drop(key)
            if data is None or size > self.max_bytes // LARGEST:
                return False
            self._items[key] = _Item(data, entry.expires, size)
            self._size += size
            while self._size > self.max_bytes:
                self._drop(next(iter(self._items)))
        return True

    def close(self) -> None:
        """Forget everything. May be called again."""
        with self._lock:
            self._items.clear()
            self._size = 0

    def _drop(self, key: str) -> None:
        item = self._items.pop(key, None)
        if item is not None:
            self._size -= item.size


def encode(entry: Entry) -> bytes | None:
    """`entry` as msgpack, its tier set to `memory`; None if it holds integers above 64 bits."""
    reply = msgspec.structs.replace(entry.reply, tier="memory")
    try:
        return _encoder.encode(Entry(reply, entry.created, entry.expires))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None
