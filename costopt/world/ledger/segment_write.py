"""Writes a file of archived calls, whole or not at all; `segment_index` says what it looks like."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import msgspec
import zstandard

from costopt.world.ledger.parts import pack
from costopt.world.ledger.segment_index import MAGIC, VERSION, Index, Kept, packed
from costopt.world.ledger.words import Fact

FRAME_BYTES = 16 * 1024
LEVEL = 12
DICTIONARY_BYTES = 64 * 1024
_NONE = b""


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
            part_frame=packed(frame for frame, _, _ in places),
            part_start=packed(start for _, start, _ in places),
            part_size=packed(size for _, _, size in places),
            by_hash=packed(at for _, at in sorted((key, at) for at, key in enumerate(parts))),
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
