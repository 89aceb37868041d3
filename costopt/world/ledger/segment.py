"""One file of archived calls: small zstd frames behind an index, self-contained, with a checksum.

    magic "COSTSEG1" | frames | index (zstd msgpack) | offset of the index (8) | sha256 of all before it
    (32) | magic

A frame holds about 16 KB of parts or of facts before compression, so reading one message unpacks one
frame. All frames share a dictionary trained on this file's own parts, where there are enough of them.
Numbers are big-endian.
"""

from __future__ import annotations

import os
import sys
from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import msgspec
import zstandard
from msgspec import Struct

from costopt.errors import LedgerError
from costopt.world.ledger.parts import digest, pack, request_hash, unpack
from costopt.world.ledger.words import Fact

MAGIC = b"COSTSEG1"
VERSION = 1
FRAME_BYTES = 16 * 1024
LEVEL = 12
DICTIONARY_BYTES = 64 * 1024
#: Part hashes remembered by number, about 3 MB.
REMEMBERED = 20_000
_TAIL = 8 + 32 + len(MAGIC)
_NONE = b""


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


class Segment:
    """Reads one file. Raises LedgerError where it is missing, damaged or from a newer version."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file: BinaryIO = path.open("rb")
        except OSError as error:
            raise LedgerError(f"{path}: archived calls are missing: {error.strerror}") from error
        try:
            self._index = self._read_index()
        except BaseException:
            self._file.close()
            raise
        dictionary = self._index.dictionary
        self._unzip = zstandard.ZstdDecompressor(
            dict_data=zstandard.ZstdCompressionDict(dictionary) if dictionary else None
        )
        self._part_frame, self._part_start = (
            _unpacked(self._index.part_frame),
            _unpacked(self._index.part_start),
        )
        self._part_size, self._by_hash = _unpacked(self._index.part_size), _unpacked(self._index.by_hash)
        self._starts = _starts(self._index.hashes, self._by_hash)
        self._hashes = _Hashes(self._index.hashes)
        self._recent: OrderedDict[int, bytes] = OrderedDict()

    @property
    def first(self) -> int:
        return self._index.first

    @property
    def last(self) -> int:
        return self._index.last

    def close(self) -> None:
        self._file.close()

    def ids(self, prefix: str = "") -> list[str]:
        """Ids of the calls in it that begin with `prefix`, in file order."""
        return [name for name in self._index.ids if name.startswith(prefix)]

    def facts(self) -> Iterator[Fact]:
        for frame, _ in self._index.fact_frames:
            yield from self.page(frame)

    def frames(self, since: int, until: int) -> list[int]:
        """The frames that hold calls started in [since, until), for `page`."""
        frames = [frame for frame, _ in self._index.fact_frames]
        first = bisect_left(frames, since, key=self._last_start) if since > self.first else 0
        end = bisect_left(frames, until, key=self._first_start) if until <= self.last else len(frames)
        return frames[first:end]

    def page(self, frame: int, wanted: Callable[[Fact], bool] = lambda _: True) -> list[Fact]:
        """The calls of one frame that are wanted, in order."""
        return [self._fact(kept) for kept in self._kept(frame) if wanted(kept.fact)]

    def _first_start(self, frame: int) -> int:
        return self._kept(frame)[0].fact.started

    def _last_start(self, frame: int) -> int:
        return self._kept(frame)[-1].fact.started

    def fact(self, call: str) -> Fact:
        position = self._index.ids.index(call)
        for frame, count in self._index.fact_frames:
            if position < count:
                return self._fact(self._kept(frame)[position])
            position -= count
        raise LedgerError(f"{self.path}: call {call} is missing")

    def holds(self, key: bytes) -> bool:
        return self._find(key) is not None

    def size(self, key: bytes) -> int:
        """Bytes of the part with this hash, also of one that was withheld."""
        size = self._part_size[self._at(key)]
        return size if size >= 0 else -1 - size

    def kept(self, key: bytes) -> bytes | None:
        """The bytes with this sha256, None where they were withheld. Raises LedgerError where damaged."""
        at = self._at(key)
        size = self._part_size[at]
        if size < 0:
            return None
        start = self._part_start[at]
        data = self._frame(self._part_frame[at])[start : start + size]
        if digest(data) != key:
            raise LedgerError(f"{self.path}: damaged: a part does not match its hash")
        return data

    def _at(self, key: bytes) -> int:
        if (at := self._find(key)) is None:
            raise LedgerError(f"{self.path}: part {key.hex()[:12]} is missing")
        return at

    def _find(self, key: bytes) -> int | None:
        start = int.from_bytes(key[:8], "big")
        place = bisect_left(self._starts, start)
        while place < len(self._starts) and self._starts[place] == start:
            at = self._by_hash[place]
            if self._index.hashes[at * 32 : at * 32 + 32] == key:
                return at
            place += 1
        return None

    def verify(
        self, facts: Iterable[Fact], parts: Mapping[bytes, bytes | None], sizes: Mapping[bytes, int]
    ) -> None:
        """Raise LedgerError unless the file holds just these facts and parts, and its checksum is right."""
        if self.checksum() != self._stored_checksum():
            raise LedgerError(f"{self.path}: damaged: wrong checksum")
        if list(self.facts()) != list(facts):
            raise LedgerError(f"{self.path}: does not hold the calls it was given")
        for key, data in parts.items():
            if not self.holds(key) or self.kept(key) != data or self.size(key) != sizes[key]:
                raise LedgerError(f"{self.path}: does not hold the texts it was given")

    def checksum(self) -> bytes:
        whole = sha256()
        self._file.seek(0)
        left = self.path.stat().st_size - _TAIL + 8
        while left > 0 and (data := self._file.read(min(left, 1 << 20))):
            whole.update(data)
            left -= len(data)
        return whole.digest()

    def _stored_checksum(self) -> bytes:
        self._file.seek(-_TAIL + 8, os.SEEK_END)
        return self._file.read(32)

    def _read_index(self) -> Index:
        try:
            self._file.seek(-_TAIL, os.SEEK_END)
            end, tail = self._file.tell(), self._file.read(_TAIL)
            if tail[-len(MAGIC) :] != MAGIC:
                raise LedgerError(f"{self.path}: not a segment of archived calls, or cut short")
            offset = min(int.from_bytes(tail[:8], "big"), end)
            self._file.seek(offset)
            packed = zstandard.ZstdDecompressor().decompress(self._file.read(end - offset))
            version = msgspec.msgpack.decode(packed)["version"]
            if version > VERSION:
                raise LedgerError(f"{self.path}: written by a newer costopt; upgrade costopt")
            return msgspec.msgpack.decode(packed, type=Index)
        except (OSError, zstandard.ZstdError, msgspec.MsgspecError, KeyError, TypeError) as error:
            raise LedgerError(f"{self.path}: damaged ({type(error).__name__})") from error

    def _frame(self, number: int) -> bytes:
        if number not in self._recent:
            offset, length = self._index.frames[number]
            self._file.seek(offset)
            try:
                self._recent[number] = self._unzip.decompress(self._file.read(length))
            except zstandard.ZstdError as error:
                raise LedgerError(f"{self.path}: damaged ({error})") from error
            if len(self._recent) > 32:
                self._recent.popitem(last=False)
        self._recent.move_to_end(number)
        return self._recent[number]

    def _kept(self, frame: int) -> list[Kept]:
        return msgspec.msgpack.decode(self._frame(frame), type=list[Kept])

    def _fact(self, kept: Kept) -> Fact:
        hashed = self._hashes.__getitem__
        groups = tuple([tuple(map(hashed, group)) for group in unpack(kept.refs)])
        shape = hashed(kept.shape)
        return msgspec.structs.replace(
            kept.fact,
            shape=shape,
            parts=groups,
            request_hash=request_hash(shape, groups),
            reply_body=hashed(kept.reply_body) if kept.reply_body else None,
            reply_events=hashed(kept.reply_events) if kept.reply_events else None,
        )


class _Hashes(dict[int, bytes]):
    """Hashes of parts by number, from 1; a conversation's calls share theirs."""

    def __init__(self, hashes: bytes) -> None:
        self._all = hashes

    def __missing__(self, number: int) -> bytes:
        if len(self) >= REMEMBERED:
            self.clear()
        key = self[number] = self._all[(number - 1) * 32 : number * 32]
        return key


def write(
    path: Path, facts: list[Fact], parts: Mapping[bytes, bytes | None], sizes: Mapping[bytes, int]
) -> None:
    """Write a new file with these calls and all parts they name (None: withheld), and fsync it."""
    dictionary = _train([data for data in parts.values() if data])
    numbers = {key: i for i, key in enumerate(parts, 1)}
    with open(path, "xb", opener=_private) as file:  # Path.open takes no opener
        out = _Frames(file, dictionary)
        places = list(_place_parts(out, parts, sizes))
        fact_frames = list(_place_facts(out, [_keep(fact, numbers) for fact in facts]))
        index = Index(
            version=VERSION,
            dictionary=dictionary,
            frames=out.frames,
            hashes=b"".join(parts),
            part_frame=_packed(frame for frame, _, _ in places),
            part_start=_packed(start for _, start, _ in places),
            part_size=_packed(size for _, _, size in places),
            by_hash=_packed(at for _, at in sorted((key, at) for at, key in enumerate(parts))),
            fact_frames=fact_frames,
            ids=[fact.id for fact in facts],
            first=min((fact.started for fact in facts), default=0),
            last=max((fact.started for fact in facts), default=0),
        )
        out.finish(msgspec.msgpack.encode(index))
        file.flush()
        os.fsync(file.fileno())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class _Frames:
    """Appends frames to a file and sums it up at the end."""

    def __init__(self, file: BinaryIO, dictionary: bytes) -> None:
        self.frames: list[tuple[int, int]] = []
        self._file = file
        self._sum = sha256()
        self._at = 0
        dict_data = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
        self._zstd = zstandard.ZstdCompressor(level=LEVEL, dict_data=dict_data, write_dict_id=False)
        self._put(MAGIC)

    def add(self, data: bytes) -> int:
        packed = self._zstd.compress(data)
        self.frames.append((self._at, len(packed)))
        self._put(packed)
        return len(self.frames) - 1

    def finish(self, index: bytes) -> None:
        at = self._at
        self._put(zstandard.ZstdCompressor(level=LEVEL).compress(index))
        self._put(at.to_bytes(8, "big"))
        self._file.write(self._sum.digest() + MAGIC)

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._sum.update(data)
        self._at += len(data)


def _packed(numbers: Iterable[int]) -> bytes:
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


def _place_parts(
    out: _Frames, parts: Mapping[bytes, bytes | None], sizes: Mapping[bytes, int]
) -> Iterator[tuple[int, int, int]]:
    """Frame, start and size of each part; neighbours share a frame."""
    frame, number = bytearray(), len(out.frames)
    for key, data in parts.items():
        yield (number, len(frame), -1 - sizes[key] if data is None else len(data))
        frame += data or _NONE
        if len(frame) >= FRAME_BYTES:
            number = out.add(bytes(frame)) + 1
            frame.clear()
    if frame:
        out.add(bytes(frame))


def _place_facts(out: _Frames, facts: list[Kept]) -> Iterator[tuple[int, int]]:
    for at in range(0, len(facts), 64):
        some = facts[at : at + 64]
        yield out.add(msgspec.msgpack.encode(some)), len(some)


def _keep(fact: Fact, numbers: Mapping[bytes, int]) -> Kept:
    bare = msgspec.structs.replace(
        fact, shape=b"", parts=(), request_hash=b"", reply_body=None, reply_events=None
    )
    return Kept(
        fact=bare,
        shape=numbers[fact.shape],
        refs=pack([[numbers[part] for part in group] for group in fact.parts]),
        reply_body=numbers[fact.reply_body] if fact.reply_body else 0,
        reply_events=numbers[fact.reply_events] if fact.reply_events else 0,
    )


def _train(samples: list[bytes]) -> bytes:
    """A dictionary for these texts, or none where they are too few to teach one or to pay for it."""
    total = sum(map(len, samples))
    size = min(DICTIONARY_BYTES, total // 32)
    if len(samples) < 64 or size < 2048:
        return b""
    some: list[bytes | bytearray | memoryview] = list(samples[:: max(1, total // (8 << 20))])
    try:
        return zstandard.train_dictionary(size, some).as_bytes()
    except zstandard.ZstdError:
        return b""
