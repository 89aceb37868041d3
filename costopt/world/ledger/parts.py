"""A request body as parts that are stored once, and back.

The *shape* says what stands under each key, in the body's own order: a small value itself, one part, or a
list of parts. Messages (`messages`, `input`) are split item by item, so a conversation that grows by two
messages stores two; any other value above 64 bytes (tools, system, a schema) is one part. Pure functions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import accumulate
from typing import Any, TypeAlias, TypeVar, cast

import msgspec
from msgspec import Struct

from costopt.types import Json
from costopt.wire import hosted
from costopt.wire.loose import records

T = TypeVar("T")
#: Parts per key that is not inline, in shape order.
Groups: TypeAlias = list[list[bytes]]

SPLIT = frozenset({"messages", "input"})
#: Parameters, beside the model, whose texts are words of the API, never of a prompt.
WORDS = frozenset({"service_tier", "encoding_format", "prompt_cache_retention"})
INLINE_BYTES = 64
INLINE, ONE, MANY = 0, 1, 2

#: One number as `pack` writes it: seven bits a byte, the lowest first, the high bit on all but the last.
_VARINT = re.compile(rb"[\x80-\xff]*[\x00-\x7f]")

#: A tool's type such as `web_search_20260209`, or none.
_KIND = re.compile(r"[a-z0-9_.-]{0,48}")

_encode = msgspec.json.Encoder().encode


def encode(value: Any) -> bytes:
    """Compact JSON, keys in the order they were sent."""
    try:
        return _encode(value)
    except (UnicodeError, OverflowError, TypeError):
        # lone surrogates and integers above 64 bits are legal JSON to Python's own encoder
        return json.dumps(value, separators=(",", ":"), default=str).encode()


def decode(data: bytes) -> Any:
    return json.loads(data)


def digest(data: bytes) -> bytes:
    return sha256(data).digest()


def split(body: Json, *, private: bool = False) -> tuple[bytes, Groups]:
    """Shape and parts of `body`. With `private`, the shape holds no texts but the model, `WORDS` and the types of
    tools."""
    shape: list[tuple[str, int, Any]] = []
    groups: Groups = []
    for key, value in body.items():
        if key in SPLIT and _is_list_of_items(value):
            shape.append((key, MANY, None))
            groups.append([encode(item) for item in value])
        elif _stays_inline(key, value, private):
            shape.append((key, INLINE, value))
        else:
            shape.append((key, ONE, _kinds(value) if private and key == "tools" else None))
            groups.append([encode(value)])
    return encode(shape), groups


def _kinds(tools: Any) -> list[str]:
    """The types of tools: whether an answer may be cached depends on them."""
    kinds = {hosted.kind(tool) for tool in records(tools)}
    return sorted({kind if _KIND.fullmatch(kind) else "other" for kind in kinds})


class Outline(Struct, frozen=True):
    """What a shape says of a body: `values` stand in it, in body order; the values of `keys` lie in parts, one
    group a key, in body order. `lists` are those keys whose value is a list with one part an item (messages).
    `kinds` are the types of tools where the tools themselves are withheld."""

    values: Json
    keys: tuple[str, ...]
    lists: frozenset[str]
    kinds: tuple[str, ...] = ()

    def named(self, groups: Iterable[Sequence[T]]) -> list[tuple[str, Sequence[T]]]:
        """Each key with its parts, or with whatever stands for them (hashes, sizes)."""
        return list(zip(self.keys, groups, strict=True))


def outline(shape: bytes) -> Outline:
    """A shape without its parts: parameters are to be had without putting the body together.

    With `private` that is numbers, booleans, the model and `WORDS`; else also what is at most 64 bytes long.
    """
    items: list[tuple[str, int, Any]] = decode(shape)
    return Outline(
        {key: value for key, kind, value in items if kind == INLINE},
        tuple(key for key, kind, _ in items if kind != INLINE),
        frozenset(key for key, kind, _ in items if kind == MANY),
        next((tuple(value) for key, kind, value in items if kind == ONE and key == "tools" and value), ()),
    )


def join(shape: bytes, groups: Iterable[Sequence[bytes]]) -> Json:
    """The body that `split` took apart."""
    rest = iter(groups)
    return dict(_items(shape, rest))


def _items(shape: bytes, groups: Iterator[Sequence[bytes]]) -> Iterator[tuple[str, Any]]:
    for key, kind, value in decode(shape):
        if kind == INLINE:
            yield key, value
        elif kind == ONE:
            yield key, decode(next(groups)[0])
        else:
            yield key, [decode(part) for part in next(groups)]


def _is_list_of_items(value: object) -> bool:
    if not isinstance(value, list):
        return False
    return all(isinstance(item, (dict, list, str)) for item in cast("list[object]", value))


def _stays_inline(key: str, value: object, private: bool) -> bool:
    if _is_plain(value) or (private and key == "model"):
        return True
    return (not private or key in WORDS) and len(encode(value)) <= INLINE_BYTES


def _is_plain(value: Any) -> bool:
    """Whether there can be no text in it."""
    if isinstance(value, int):
        return abs(value) < 2**53
    return value is None or isinstance(value, float) or value in ({}, [], "")


def pack(groups: Iterable[Iterable[int]]) -> bytes:
    """Part numbers as bytes. Neighbours in a conversation have near numbers, so most take one byte."""
    out = bytearray()
    last = 0
    for group in groups:
        ids = list(group)
        _varint(out, len(ids))
        for part in ids:
            step = part - last
            _varint(out, step * 2 if step >= 0 else -step * 2 - 1)
            last = part
    return bytes(out)


def unpack(refs: bytes) -> list[list[int]]:
    """What `pack` packed."""
    coded: list[bytes] = _VARINT.findall(refs)
    groups: list[list[int]] = []
    at = last = 0
    while at < len(coded):
        end = at + 1 + _varint_of(coded[at])
        group = list(accumulate(map(_STEPS.__getitem__, coded[at + 1 : end]), initial=last))
        last = group[-1]
        groups.append(group[1:])
        at = end
    return groups


def _varint(out: bytearray, number: int) -> None:
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)


def _varint_of(data: bytes) -> int:
    number = 0
    for byte in reversed(data):
        number = number << 7 | byte & 127
    return number


class _Steps(dict[bytes, int]):
    """Steps from one part number to the next, as `pack` codes them; those of one byte are ready."""

    def __missing__(self, coded: bytes) -> int:
        step = _varint_of(coded)
        return -((step + 1) >> 1) if step & 1 else step >> 1


_STEPS = _Steps((bytes([n]), -((n + 1) >> 1) if n & 1 else n >> 1) for n in range(128))


def request_hash(shape: bytes, groups: Iterable[Iterable[bytes]]) -> bytes:
    """One hash for a whole body, from the hashes of its shape and parts."""
    pieces = [shape]
    for group in map(tuple, groups):
        pieces.append(len(group).to_bytes(4, "big"))
        pieces += group
    return digest(b"".join(pieces))
