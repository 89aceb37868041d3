"""The first cache tier: encoded answers in memory, bounded in bytes, least recently used out first."""

from __future__ import annotations

import threading
from collections import OrderedDict

from msgspec import Struct

from costopt.types import Entry
from costopt.world.stored import Stored, unpack
from costopt.world.waiting import after_fork

#: Bytes one entry takes besides its key's characters and its data: objects, dict and list slots (tracemalloc on
#: CPython 3.11: 471 with 20,000 entries).
OVERHEAD = 480
#: No entry may take more than this share of the cache, so that one answer cannot push out all others.
LARGEST = 8


class _Item(Struct, frozen=True):
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
        """The entry under `key` as it was put, if there is one not expired at `now` (ns)."""
        with self._lock:
            item = self._items.get(key)
            if item is None:
                return None
            if item.expires <= now:
                self._drop(key)
                return None
            self._items.move_to_end(key)
        return unpack(item.data)

    def put(self, key: str, stored: Stored | None) -> bool:
        """Keep `stored`; False, and whatever was there is gone, when it is None or too large."""
        size = len(key) + len(stored.data) + OVERHEAD if stored else 0
        with self._lock:
            if key in self._items:
                self._drop(key)
            if stored is None or size > self.max_bytes // LARGEST:
                return False
            self._items[key] = _Item(stored.data, stored.entry.expires, size)
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
        self._size -= self._items.pop(key).size
