"""The rows of a Langfuse export: JSON arrays, JSON lines, pages of the API, and CSV files.

Column names differ (`startTime`, `start_time`, `Start Time`): rows have them in small letters without marks. In CSV
files objects are JSON texts, and so are some columns of blob exports.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain, groupby

from costopt.importing.reading import Item, documents
from costopt.importing.words import Line, Unusable
from costopt.types import Json
from costopt.wire.loose import items, record, records, text

_HEADER = re.compile(rb"start[_ ]?time", re.IGNORECASE)
_FIELD = re.compile(r'(?:"([^"]*(?:""[^"]*)*)"|([^,]*))(?:,|$)')
_MARKS = re.compile(r"[^a-z0-9]")
_TRACE = ("userId", "sessionId", "tags", "environment", "release")
_ENDINGS = (".gz", ".zst")


def rows(lines: Iterable[Line]) -> Iterator[Item | Unusable]:
    """One Item per row, its fields by plain name; files may be of different kinds."""
    for _, group in groupby(lines, _path):
        yield from _of_file(group)


def _path(line: Line) -> str:
    return line.path


def _of_file(lines: Iterator[Line]) -> Iterator[Item | Unusable]:
    first = next(lines)
    if _is_csv(first):
        yield from _table(first, lines)
        return
    for item in documents(chain([first], lines)):
        yield from [item] if isinstance(item, Unusable) else _plain_rows(item)


def _is_csv(first: Line) -> bool:
    name = first.path
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    head = first.data.removeprefix(b"\xef\xbb\xbf").lstrip()
    return name.endswith(".csv") or (
        head[:1] not in (b"{", b"[") and b"," in head and bool(_HEADER.search(head))
    )


# JSON


def _plain_rows(item: Item) -> Iterator[Item]:
    for row in _opened(item.value):
        yield item._replace(value=_plain(row))


def _opened(value: Json) -> list[Json]:
    """The observations of a page of the API, or of a trace with the trace's own fields; else the row itself."""
    if isinstance(value.get("data"), list) and "type" not in value:
        return [row for page in items(value["data"]) for row in _opened(record(page))]
    if records(value.get("observations")):
        shared = {key: value[key] for key in _TRACE if value.get(key)}
        return [{**shared, **row} for row in records(value["observations"])]
    return [value]


def _plain(row: Json) -> Json:
    return {_MARKS.sub("", key.lower()): value for key, value in row.items()}


# CSV (RFC 4180)


def _table(first: Line, rest: Iterable[Line]) -> Iterator[Item | Unusable]:
    names: list[str] = []
    for line in _whole(chain([first], rest)):
        if isinstance(line, Unusable):
            yield line
            continue
        fields = _fields(line.data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace"))
        if not names:
            names = [_MARKS.sub("", name.lower()) for name in fields]
        elif len(fields) == len(names):
            yield Item(line.path, line.number, dict(zip(names, fields, strict=True)))
        elif any(fields):
            yield Unusable(line.path, line.number, "a row with more or fewer columns than the table has")


def _whole(lines: Iterable[Line]) -> Iterator[Line | Unusable]:
    """Rows may go on over several lines: inside of quotes."""
    begun: Line | None = None
    held: list[bytes] = []
    is_open = False
    for line in lines:
        begun = begun or line
        held.append(line.data)
        is_open ^= bool(line.data.count(b'"') % 2)
        if not is_open:
            yield begun._replace(data=b"\n".join(held))
            begun, held = None, []
    if begun:
        yield Unusable(begun.path, begun.number, "the row is cut off: its quotes do not end")


def _fields(row: str) -> list[str]:
    found: list[str] = []
    for match in _FIELD.finditer(row):
        quoted, bare = match.groups()
        found.append(text(bare) if quoted is None else quoted.replace('""', '"'))
        if match.end() == len(row) and not match.group().endswith(","):
            break
    return found
