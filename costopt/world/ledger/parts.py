"""A request body as parts that are stored once, and back.

The *shape* says what stands under each key, in the body's own order: a small value itself, one part, or a
list of parts. Messages (`messages`, `input`) are split item by item, so a conversation that grows by two
messages stores two; any other value above 64 bytes (tools, system, a schema) is one part. Pure functions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any, TypeAlias, cast

import msgspec

from costopt.types import Json

#: Parts per key that is not inline, in shape order.
Groups: TypeAlias = list[list[bytes]]

SPLIT = frozenset({"messages", "input"})
INLINE_BYTES = 64
INLINE, ONE, MANY = 0, 1, 2

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
    """Shape and parts of `body`. With `private`, the shape holds numbers, booleans and the model's name
    only."""
    shape: list[tuple[str, int, Any]] = []
    groups: Groups = []
    for key, value in body.items():
        if key in SPLIT and _is_list_of_items(value):
            shape.append((key, MANY, None))
            groups.append([encode(item) for item in value])
        elif _stays_inline(key, value, private):
            shape.append((key, INLINE, value))
        else:
            shape.append((key, ONE, None))
            groups.append([encode(value)])
    return encode(shape), groups


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
    return not private and len(encode(value)) <= INLINE_BYTES


def _is_plain(value: Any) -> bool:
    return (
        value is None or isinstance(value, (bool, float)) or (isinstance(value, int) and abs(value) < 2**53)
    )


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
    numbers = _varints(refs)
    groups: list[list[int]] = []
    last = 0
    for count in numbers:
        group: list[int] = []
        for _ in range(count):
            coded = next(numbers)
            last += coded >> 1 if coded % 2 == 0 else -((coded + 1) >> 1)
            group.append(last)
        groups.append(group)
    return groups


def _varint(out: bytearray, number: int) -> None:
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)


def _varints(data: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in data:
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            yield number
            number = shift = 0


def request_hash(shape: bytes, groups: Iterable[Iterable[bytes]]) -> bytes:
    """One hash for a whole body, from the hashes of its shape and parts."""
    counted = (piece for group in map(tuple, groups) for piece in (len(group).to_bytes(4, "big"), *group))
    return digest(b"".join((shape, *counted)))
