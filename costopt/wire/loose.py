"""Reading JSON that may have any shape: every function answers with an empty value where the shape is
wrong."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from costopt.types import Json

MOST = 10**12
"""No real count is larger; it keeps sums inside 64 bits whatever a provider sends."""


def record(value: Any) -> Json:
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]


def records(value: Any) -> list[Json]:
    return [record(item) for item in items(value) if isinstance(item, dict)]


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def count(value: Any) -> int:
    """A number of things: whole, 0 or more. Digits in a string count; anything else is 0."""
    if value is None:
        return 0
    if type(value) is int:
        return value if 0 <= value <= MOST else MOST * (value > 0)
    return _count_oddly(value)


def _count_oddly(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        return count(int(value))
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return count(int(value[:20]))
    return 0


def first_count(*values: Any) -> int:
    """The first that is a positive count, else 0: one fact under the several names providers give it."""
    for value in values:
        if number := count(value):
            return number
    return 0


def decode(data: bytes) -> Json:
    """The object in `data`, or {} where there is none. Takes what strict JSON forbids and providers send all
    the same: NaN, Infinity and halves of surrogate pairs (an emoji cut in two by a chunk boundary)."""
    if not data:
        return {}
    try:
        return record(msgspec.json.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_leniently(data)


def _decode_leniently(data: bytes) -> Json:
    try:
        return record(json.loads(data))
    except (ValueError, RecursionError):
        return {}


def encode(value: Any) -> bytes:
    """JSON bytes; two halves of a surrogate pair that were joined again become one character."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def mend(joined: str) -> str:
    """The same text with surrogate halves paired up, and lonely ones replaced, so that it can be encoded."""
    try:
        joined.encode()
    except UnicodeEncodeError:
        return joined.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return joined
