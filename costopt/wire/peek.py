"""Decoding only what a summary needs, and never failing because of the shape."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from costopt.types import Json
from costopt.wire.loose import decode as decode_any

T = TypeVar("T")


class Answer(Struct):
    """What an answer of any API may have."""

    model: Any = None
    usage: Any = None
    error: Any = None


def decode(data: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Encoded JSON as far as the decoder's type reads it, whatever does not fit left at its default.
    Raises ValueError where `data` is no JSON object."""
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, RecursionError):
        body = decode_any(data)
        if not body:
            raise ValueError("the answer is not a JSON object") from None
        return convert(body, decoder.type)


def convert(body: Json, kind: type[T]) -> T:
    """`body` as far as `kind` can read it; fields that do not fit are left at their defaults."""
    try:
        return msgspec.convert(body, kind)
    except (msgspec.ValidationError, RecursionError):
        return kind(**{name: value for name, value in body.items() if _fits(name, value, kind)})


def _fits(name: str, value: Any, kind: type[Any]) -> bool:
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    if name not in fields:
        return False
    try:
        msgspec.convert(value, fields[name])
    except (msgspec.ValidationError, RecursionError):
        return False
    return True
