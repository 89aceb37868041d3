"""How answers lie in both cache tiers: msgpack, packed once for the two of them."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from costopt.types import Entry

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


class Stored(Struct, frozen=True):
    """An entry and its bytes."""

    entry: Entry
    data: bytes


def pack(entry: Entry) -> Stored | None:
    """`entry` with its bytes; None if it holds integers above 64 bits and the like."""
    try:
        return Stored(entry, _encoder.encode(entry))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


def unpack(data: bytes) -> Entry | None:
    """The entry in `data`; None where a version with other words wrote it."""
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError:
        return None
