"""Usage in a chunk stream, for who asks otherwise than the request it answered, or nobody knows how that asked:
exactly when he asks for it (`stream_options.include_usage`). Then every chunk has a `usage` field, null but for the
last, which has no choices; otherwise there is neither. Chunks that hold usage and choices at once stay as they were:
their providers send them to everybody."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from costopt.types import Json
from costopt.wire.base import Event
from costopt.wire.chunks import decoded, is_done
from costopt.wire.loose import decode, items, record
from costopt.wire.sse import event

_NULL_USAGE = re.compile(rb',\s*"usage"\s*:\s*null|"usage"\s*:\s*null\s*,\s*')

_LAST_FIELD = b',"usage":null}\n\n'
"""Before the closing brace it can only be a field of the chunk itself."""


def wanted(request: Json) -> bool:
    return record(request.get("stream_options")).get("include_usage") is True


def added(chunks: list[Json], usage: Any, request: Json) -> list[Json]:
    """New chunks as `request` wants them."""
    if not wanted(request) or not chunks:
        return chunks
    spoken = [{**chunk, "usage": None} for chunk in chunks]
    return [*spoken, {**chunks[-1], "choices": [], "usage": usage}] if usage else spoken


def restream(events: Sequence[Event], request: Json) -> bytes:
    """Recorded events as `request` wants them; every byte that is not about usage as recorded."""
    edit = _asked if wanted(request) else _not_asked
    return b"".join([edit(event) for event in events])


def fits(ending: Sequence[Event], request: Json) -> bool:
    """Whether the recording is already what `request` wants, told from its last chunk: a usage chunk stands
    there and nowhere else."""
    last = next(decoded(tuple(reversed(ending))), record(None))
    if wanted(request):
        return bool(last.get("usage")) and not last.get("choices")
    return "usage" not in last


def carried(events: Sequence[Event]) -> bool:
    """Whether some chunk holds real usage. It stands at the end, so look from there."""
    return any(
        b'"usage"' in event.data and bool(record(decode(event.data).get("usage")))
        for event in reversed(events)
    )


def inserted(events: Sequence[Event], usage: Json) -> list[Event]:
    """The events with a usage chunk before the end marker, in the name of the last chunk."""
    last = next(decoded(tuple(reversed(events))), None)
    if last is None:
        return list(events)
    raw = event({**last, "choices": [], "usage": usage})
    end = next((at for at, seen in enumerate(events) if is_done(seen)), len(events))
    return [*events[:end], Event(raw, "", raw[6:-2]), *events[end:]]


def _not_asked(recorded: Event) -> bytes:
    if b'"usage"' not in recorded.data:
        return recorded.raw
    if recorded.raw.endswith(_LAST_FIELD):
        return recorded.raw[: -len(_LAST_FIELD)] + b"}\n\n"
    chunk = decode(recorded.data)
    if "usage" not in chunk:
        return recorded.raw
    if chunk["usage"] is None:
        return _without_null(recorded, chunk)
    return recorded.raw if items(chunk.get("choices")) else b""


def _without_null(recorded: Event, chunk: Json) -> bytes:
    """Cut `"usage": null` out of the bytes; write the event anew where that would cut something else."""
    rest = {key: value for key, value in chunk.items() if key != "usage"}
    if decode(_NULL_USAGE.sub(b"", recorded.data)) == rest:
        return _NULL_USAGE.sub(b"", recorded.raw)
    return event(rest, recorded.event)


def _asked(recorded: Event) -> bytes:
    """Add `"usage": null` at the end of the chunk's bytes where a chunk with choices has no such field."""
    chunk = decode(recorded.data) if recorded.data.startswith(b"{") else {}
    if "usage" in chunk or not chunk.get("choices") or b"\n" in recorded.data:
        return recorded.raw
    end = recorded.raw.rfind(b"}")
    return b'%b,"usage":null%b' % (recorded.raw[:end], recorded.raw[end:])
