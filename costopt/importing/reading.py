"""JSON in the lines of a log: one value a line, or one document over many lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from typing import Any, NamedTuple, cast

import msgspec

from costopt.importing.words import Line, Unusable
from costopt.types import Json

_BOM = b"\xef\xbb\xbf"
#: What a line ends with where the JSON goes on in the next one.
_GOES_ON = (b"{", b"[", b",", b":")
_JSON: tuple[type[Exception], ...] = (ValueError, RecursionError)


class Item(NamedTuple):
    """A JSON object of a log and the line it begins on (of a document over many lines, the first)."""

    path: str
    number: int
    value: Json


def objects(lines: Iterable[Line]) -> Iterator[Item | Unusable]:
    """The JSON object of every line, those of a list one by one. Blank lines are none; the rest is Unusable."""
    for line in lines:
        if data := line.data.removeprefix(_BOM).strip():
            yield from _items(line, data)


def documents(lines: Iterable[Line]) -> Iterator[Item | Unusable]:
    """Like `objects`, and a file may also hold one indented JSON document, which is then in memory as a whole."""
    for _, group in groupby(lines, _path):
        yield from _of_file(group)


def _of_file(lines: Iterator[Line]) -> Iterator[Item | Unusable]:
    first = next(lines)
    if not _goes_on(first.data.removeprefix(_BOM).strip()):
        yield from objects(chain([first], lines))
        return
    held = [first, *_until_two_objects(lines)]
    whole = first._replace(data=b"\n".join(line.data for line in held))
    if _is_document(whole) or not any(_is_object(line) for line in held):
        yield from objects([whole])
    else:
        yield from objects(chain(held, lines))


def _until_two_objects(lines: Iterator[Line]) -> Iterator[Line]:
    """The lines of what may be a document: two objects in a row, without a comma, are lines of their own, and what
    came before them was cut off."""
    was_object = False
    for line in lines:
        yield line
        is_object = _is_object(line)
        if is_object and was_object:
            return
        was_object = is_object or (was_object and not line.data.strip())


def _is_document(whole: Line) -> bool:
    try:
        _decoded(whole.data.removeprefix(_BOM))
    except _JSON:
        return False
    return True


def _is_object(line: Line) -> bool:
    data = line.data.strip()
    return data.startswith(b"{") and data.endswith(b"}") and _is_document(line)


def _path(line: Line) -> str:
    return line.path


def _goes_on(data: bytes) -> bool:
    return data.endswith(_GOES_ON) and data.startswith((b"{", b"["))


def _items(line: Line, data: bytes) -> Iterator[Item | Unusable]:
    try:
        value = _decoded(data)
    except _JSON as error:
        yield Unusable(line.path, line.number, _trouble(data, error))
        return
    for each in cast("list[Any]", value) if isinstance(value, list) else [value]:
        if isinstance(each, dict):
            yield Item(line.path, line.number, cast(Json, each))
        else:
            yield Unusable(line.path, line.number, "no JSON object")


def _decoded(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # why: NaN, halves of surrogate pairs and broken UTF-8 are in real logs, and Python's reader takes them
        return json.loads(data.decode("utf-8", "replace"))


def _trouble(data: bytes, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "JSON nested too deep"
    if data[:1] in (b"{", b"[") and data[-1:] not in (b"}", b"]"):
        return "broken JSON: the line ends in the middle, as if it was cut off"
    return "no JSON"
