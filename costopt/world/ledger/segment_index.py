"""One file of archived calls: small zstd frames behind an index, self-contained, with a checksum.

    magic "COSTSEG1" | frames | index (zstd msgpack) | offset of the index (8) | sha256 of all before it
    (32) | magic

A frame holds about 16 KB of parts or of facts before compression, so reading one message unpacks one
frame. All frames share a dictionary trained on this file's own parts, where there are enough of them.
Numbers are big-endian.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable

from msgspec import Struct

from costopt.world.ledger.words import Fact

MAGIC = b"COSTSEG1"
VERSION = 1
TAIL = 8 + 32 + len(MAGIC)
#: Part hashes remembered by number, about 3 MB.
REMEMBERED = 20_000


class Kept(Struct, frozen=True, array_like=True):
    """A fact as it lies in a file: part hashes replaced by numbers into `Index.hashes`, 0 is none."""

    fact: Fact
    shape: int
    refs: bytes
    reply_body: int
    reply_events: int


class Index(Struct, frozen=True):
    """`frames` are (offset, length); part i lies in frame `part_frame[i]` at `part_start[i]`,
    `part_size[i]` long, or -1 - `part_size[i]` where it was withheld. `by_hash` holds part numbers in the
    order of their hashes. These four are signed 64-bit numbers.

    `ids` are in file order, `fact_frames` says how many facts each frame holds.
    """

    version: int
    dictionary: bytes
    frames: list[tuple[int, int]]
    hashes: bytes
    part_frame: bytes
    part_start: bytes
    part_size: bytes
    by_hash: bytes
    fact_frames: list[tuple[int, int]]
    ids: list[str]
    first: int
    last: int


class Parts:
    """Where the parts of a file lie, by hash. Raises ValueError where the index makes no sense."""

    def __init__(self, index: Index) -> None:
        self._hashes = index.hashes
        self._frame, self._start = _unpacked(index.part_frame), _unpacked(index.part_start)
        self._size, self._by_hash = _unpacked(index.part_size), _unpacked(index.by_hash)
        self._starts = _starts(index.hashes, self._by_hash)
        self.hashed = _Hashes(index.hashes).__getitem__

    def find(self, key: bytes) -> int | None:
        """The place of the part with this hash, from 0; None where it is not in the file."""
        start = int.from_bytes(key[:8], "big")
        place = bisect_left(self._starts, start)
        while place < len(self._starts) and self._starts[place] == start:
            at = self._by_hash[place]
            if self._hashes[at * 32 : at * 32 + 32] == key:
                return at
            place += 1
        return None

    def size(self, at: int) -> int:
        """Bytes of a part, also of one that was withheld."""
        size = self._size[at]
        return size if size >= 0 else -1 - size

    def lies(self, at: int) -> tuple[int, int, int] | None:
        """Frame, first byte and end in it; None where the part was withheld."""
        start, size = self._start[at], self._size[at]
        return None if size < 0 else (self._frame[at], start, start + size)


class _Hashes(dict[int, bytes]):
    """Hashes of parts by number, from 1; a conversation's calls share theirs."""

    def __init__(self, hashes: bytes) -> None:
        self._all = hashes

    def __missing__(self, number: int) -> bytes:
        if len(self) >= REMEMBERED:
            self.clear()
        key = self[number] = self._all[(number - 1) * 32 : number * 32]
        return key


def packed(numbers: Iterable[int]) -> bytes:
    packed = array("q", numbers)
    if sys.byteorder == "little":
        packed.byteswap()
    return packed.tobytes()


def _unpacked(packed: bytes) -> array[int]:
    numbers = array("q", packed)
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


def _starts(hashes: bytes, by_hash: array[int]) -> array[int]:
    """The first eight bytes of each hash as a number, in order: a plain array is searched ten times faster than
    bytes cut out one by one."""
    starts = array("Q", hashes)[::4]
    if sys.byteorder == "little":
        starts.byteswap()
    return array("Q", map(starts.__getitem__, by_hash))
