"""A line of the interchange format in its many spellings, sorted into what a call consists of.

Read as `request`: `input`, `body`, `params`; a list of messages or the text of one; a whole HTTP request (`url`,
`body`); JSON inside a string; or the line itself, where `model` and `messages` stand beside the answer. Read as
`response`: `output`, `completion`, `answer`; a whole HTTP response (`status_code`, `body`); the chunks of a stream,
also as the text that came over the wire (`data: {...}`); only the message of the answer, or its text.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from costopt.types import Json
from costopt.wire.loose import decode, items, record, text

_REQUEST = ("request", "input", "body", "params")
_RESPONSE = ("response", "output", "completion", "answer")
_STARTED = ("timestamp", "created", "created_at", "started", "start_time", "startTime", "time", "ts")
_ENDED = ("ended", "end_time", "endTime", "finished", "completed_at")
_URL = ("endpoint", "url")
_STATUS = ("status", "status_code")
_BESIDE = (
    "provider",
    "api",
    "id",
    "tags",
    "error",
    "usage",
    "cost",
    "service_tier",
    "headers",
    "method",
    "cache_hit",
)
#: What server-sent events begin with.
_EVENTS = ("data:", "event:", "id:", "retry:", ":")
#: Fields of a flat line that are no part of the request.
_OURS = frozenset({*_RESPONSE, *_STARTED, *_ENDED, *_URL, *_STATUS, *_BESIDE} - {"service_tier"})
#: What a body asks with.
_ASKS = frozenset({"messages", "input", "prompt"})


class Entry(Struct, frozen=True, kw_only=True):
    """One line. `said` is the answer, the message in it, the chunks of its stream, or None; `flat` says that the line
    itself is the request. All else is as the line has it."""

    body: Json
    said: Any
    url: str
    status: int
    error: str
    id: Any
    api: Any
    provider: Any
    tags: Any
    started: Any
    ended: Any
    usage: Any
    cost: Any
    tier: str
    hit: bool
    flat: bool


def entry_of(line: Json) -> Entry:
    """`line` sorted; `body` is empty where it holds no request."""
    asked, body = _request(line)
    got, said = _response(line)
    return Entry(
        body=body or {},
        said=said,
        url=text(_first(line, _URL)) or text(_first(asked, _URL)),
        status=_status(got) or _status(line) or 200,
        error=_error(line.get("error")) or _error(got.get("error")),
        id=line.get("id"),
        api=line.get("api"),
        provider=line.get("provider"),
        tags=line.get("tags"),
        started=_first(line, _STARTED),
        ended=_first(line, _ENDED),
        usage=line.get("usage"),
        cost=line.get("cost"),
        flat=_is_flat(line),
        hit=line.get("cache_hit") is True,
        tier="" if _is_flat(line) else text(line.get("service_tier")),
    )


def _request(line: Json) -> tuple[Json, Json | None]:
    """The HTTP request around the body, where there is one, and the body."""
    if _is_flat(line):
        return {}, {name: value for name, value in line.items() if name not in _OURS}
    asked = _decoded(_first(line, _REQUEST))
    if isinstance(asked, str):
        asked = [{"role": "user", "content": asked}]
    if isinstance(asked, list):
        return {}, {"messages": asked} if asked else None
    request = record(asked)
    inner = _decoded(request.get("body"))
    if isinstance(inner, dict) and not _ASKS & request.keys():
        return request, record(inner)
    return {}, request or None


def _is_flat(line: Json) -> bool:
    if "request" in line:
        return False
    if "messages" in line or "prompt" in line:
        return True
    return (
        "model" in line and "input" in line and "output" not in line and not isinstance(line["input"], dict)
    )


def _response(line: Json) -> tuple[Json, Any]:
    """The HTTP response around the answer, where there is one, and the answer."""
    said = _decoded(_first(line, _RESPONSE))
    response = record(said)
    if "body" in response:
        body = _decoded(response["body"])
        return response, _chunks(body) or body
    if chunks := _chunks(said):
        return {}, chunks
    several = items(said)
    return {}, several[0] if len(several) == 1 else said


def _chunks(said: Any) -> list[Json]:
    """The chunks of server-sent events that were kept as text, whole or line by line; none where it is no such text."""
    lines = items(said)
    if lines and all(isinstance(each, str) for each in lines):
        said = "\n".join(lines)
    if not isinstance(said, str) or not said.lstrip().startswith(_EVENTS):
        return []
    data = (row.partition("data:") for row in said.split("\n"))
    return [
        chunk for before, _, told in data if not before and (chunk := decode(told.encode(errors="replace")))
    ]


def _first(line: Json, names: tuple[str, ...]) -> Any:
    return next((line[name] for name in names if line.get(name) is not None), None)


def _decoded(value: Any) -> Any:
    """JSON that was put into a string, as many loggers do."""
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return value


def _status(value: Json) -> int:
    status = _first(value, _STATUS)
    if isinstance(status, str):
        return int(status) if status.isdigit() and len(status) == 3 else 500 if status == "error" else 0
    return status if isinstance(status, int) and 100 <= status <= 599 else 0


def _error(value: Any) -> str:
    """What went wrong, as one line."""
    if isinstance(value, str):
        return value
    told = record(value)
    kind = text(told.get("type")) or text(told.get("code"))
    message = text(told.get("message"))
    return f"{kind}: {message}" if kind and message else kind or message or ("error" if told else "")
