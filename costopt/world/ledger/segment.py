"""Reads one file of archived calls; `segment_index` says what it looks like."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import msgspec
import zstandard

from costopt.errors import LedgerError
from costopt.world.ledger.parts import digest, request_hash, unpack
from costopt.world.ledger.segment_index import MAGIC, TAIL, VERSION, Index, Kept, Parts
from costopt.world.ledger.words import Fact


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
            self._parts = self._read_parts()
        except BaseException:
            self._file.close()
            raise
        dictionary = self._index.dictionary
        self._unzip = zstandard.ZstdDecompressor(
            dict_data=zstandard.ZstdCompressionDict(dictionary) if dictionary else None
        )
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
        return self._parts.find(key) is not None

    def size(self, key: bytes) -> int:
        """Bytes of the part with this hash, also of one that was withheld."""
        return self._parts.size(self._at(key))

    def kept(self, key: bytes) -> bytes | None:
        """The bytes with this sha256, None where they were withheld. Raises LedgerError where damaged."""
        lies = self._parts.lies(self._at(key))
        if lies is None:
            return None
        frame, start, end = lies
        data = self._frame(frame)[start:end]
        if digest(data) != key:
            raise LedgerError(f"{self.path}: damaged: a part does not match its hash")
        return data

    def _at(self, key: bytes) -> int:
        if (at := self._parts.find(key)) is None:
            raise LedgerError(f"{self.path}: part {key.hex()[:12]} is missing")
        return at

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
        left = self.path.stat().st_size - TAIL + 8
        while left > 0 and (data := self._file.read(min(left, 1 << 20))):
            whole.update(data)
            left -= len(data)
        return whole.digest()

    def _stored_checksum(self) -> bytes:
        self._file.seek(-TAIL + 8, os.SEEK_END)
        return self._file.read(32)

    def _read_index(self) -> Index:
        try:
            self._file.seek(-TAIL, os.SEEK_END)
            end, tail = self._file.tell(), self._file.read(TAIL)
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

    def _read_parts(self) -> Parts:
        try:
            return Parts(self._index)
        except (ValueError, IndexError) as error:
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
        hashed = self._parts.hashed
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
