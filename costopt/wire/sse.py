"""Server-sent events, taken apart without losing a byte: the raw bytes of all events plus `rest` are the
input.

An event is everything up to and including its blank line; comments and stray blank lines travel with the
event that follows them. Line ends are LF, CRLF or CR (WHATWG HTML, "Parsing an event stream"). Where a blank
line ends in a CR with nothing after it, the event waits for the next chunk: an LF there would still belong to
it.
"""

from __future__ import annotations

import re

from costopt.types import Json
from costopt.wire.base import Event
from costopt.wire.loose import encode

_BOM = b"\xef\xbb\xbf"
_BLANK = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_OVERLAP = 3
"""How many bytes before a new chunk may be the start of a blank line: `CR LF CR`."""


class Parser:
    """Incremental parser; feed it chunks of any size, cut anywhere."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._returns = False  # whether a CR was ever seen: without one a plain find is enough

    @property
    def rest(self) -> bytes:
        """Bytes seen that do not make a whole event yet."""
        return bytes(self._pending)

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes, in order."""
        pending = self._pending
        seen = max(0, len(pending) - _OVERLAP)
        pending += chunk
        self._returns = self._returns or b"\r" in chunk
        find = _any_blank_line if self._returns else _plain_blank_line
        events: list[Event] = []
        start = 0
        while (end := find(pending, max(start, seen))) >= 0:
            events.append(_read(bytes(pending[start:end])))
            start = end
        if start:
            del pending[:start]
        return events

    def flush(self) -> list[Event]:
        """The unterminated tail as one last event (empty list: there is none); `rest` is empty afterwards."""
        tail = self.rest
        self._pending.clear()
        return [_read(tail)] if tail else []


def parse(data: bytes) -> list[Event]:
    """All events of `data`, an unterminated tail included as the last one."""
    parser = Parser()
    return parser.feed(data) + parser.flush()


def last(data: bytes, many: int) -> list[Event]:
    """The last events of `data`, at most `many`, found from its end."""
    if b"\r" in data:
        return parse(data)[-many:]
    start = len(data)
    for _ in range(many + 1):
        start = max(0, data.rfind(b"\n\n", 0, start))
    return parse(data[start + 2 :] if start else data)[-many:]


def event(data: Json | bytes, name: str = "") -> bytes:
    """One event on the wire: `data` as JSON, or bytes as they are, one `data:` field per line."""
    payload = data if isinstance(data, bytes) else encode(data)
    head = b"event: " + name.encode() + b"\n" if name else b""
    if b"\n" in payload or b"\r" in payload:
        payload = b"\ndata: ".join(re.split(rb"\r\n|\n|\r", payload))
    return b"%bdata: %b\n\n" % (head, payload)


def _plain_blank_line(pending: bytearray, start: int) -> int:
    """Where the first blank line from `start` on ends, or -1 as long as that is not certain."""
    found = pending.find(b"\n\n", start)
    return found + 2 if found >= 0 else -1


def _any_blank_line(pending: bytearray, start: int) -> int:
    blank = _BLANK.search(pending, start)
    if blank is None or (blank.end() == len(pending) and pending.endswith(b"\r")):
        return -1
    return blank.end()


def _read(raw: bytes) -> Event:
    lines = raw.splitlines()
    if len(lines) == 2 and raw.startswith(b"data: "):
        return Event(raw, "", lines[0][6:])  # nearly every event of the OpenAI APIs
    return _fields(raw, lines)


def _fields(raw: bytes, lines: list[bytes]) -> Event:
    name = ""
    data: list[bytes] = []
    for line in lines:
        field, _, value = line.removeprefix(_BOM).partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ").decode("utf-8", "replace")
    return Event(raw, name, b"\n".join(data))
