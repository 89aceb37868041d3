"""A provider batch's input and output files: two lines with one `custom_id` are one call, at the batch price.

OpenAI: {"custom_id", "method", "url", "body"} with {"id", "custom_id", "response": {"status_code", "request_id",
"body"}, "error"}. Anthropic: {"custom_id", "params"} with {"custom_id", "result": {"type", "message" | "error"}}.
The files may come in any order. A `custom_id` that several batches use is joined first come, first served.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from costopt.importing.reading import Item
from costopt.importing.words import Unusable
from costopt.types import Json
from costopt.wire.loose import record, text

_ASKED, _ANSWERED = ("body", "params"), ("response", "result")
_ALONE = {
    True: "a batch's request without an answer: no line of its output file has this custom_id",
    False: "a batch's answer without a request: no line of its input file has this custom_id",
}


def is_half(line: Json) -> bool:
    if "custom_id" not in line or "request" in line or "messages" in line:
        return False
    return _has(line, _ASKED) != _has(line, _ANSWERED)


def _has(line: Json, names: tuple[str, ...]) -> bool:
    return any(name in line for name in names)


class Halves:
    """Holds each half until the other comes."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, bool], deque[Item]] = {}

    def join(self, item: Item) -> Item | None:
        """The call as an interchange line, or None as long as its other half is missing."""
        name, asks = str(item.value["custom_id"]), _has(item.value, _ASKED)
        others = self._waiting.get((name, not asks))
        if not others:
            self._waiting.setdefault((name, asks), deque()).append(item)
            return None
        other = others.popleft()
        if not others:
            del self._waiting[name, not asks]
        request, answer = (item, other) if asks else (other, item)
        return item._replace(value=_joined(request.value, answer.value))

    def alone(self) -> Iterator[Unusable]:
        """What never found its other half."""
        for (_, asks), waiting in self._waiting.items():
            yield from (Unusable(item.path, item.number, _ALONE[asks]) for item in waiting)


def _joined(request: Json, answer: Json) -> Json:
    line: Json = {
        "service_tier": "batch",
        "url": request.get("url") or "",
        "timestamp": answer.get("timestamp"),
    }
    if "params" in request:
        return {**line, **_of_anthropic(request, record(answer.get("result")))}
    response = record(answer.get("response"))
    name = answer.get("id") or response.get("request_id")
    told = {"id": name, "response": response or None, "error": answer.get("error")}
    return {**line, **told, "request": record(request.get("body"))}


def _of_anthropic(request: Json, result: Json) -> Json:
    kind, message = text(result.get("type")), record(result.get("message"))
    failed = None if kind == "succeeded" else result.get("error") or kind or "no result"
    api = {"api": "messages", "provider": "anthropic"}
    return {**api, "request": record(request.get("params")), "response": message or None, "error": failed}
