"""OpenAI Responses as events: put together, played back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from costopt.types import Json
from costopt.wire.base import Event
from costopt.wire.loose import count, decode, items, record, records, text
from costopt.wire.sse import event

_LAST = ("response.completed", "response.incomplete", "response.failed")
_ENDINGS = {
    "completed": "response.completed",
    "incomplete": "response.incomplete",
    "failed": "response.failed",
}
_FIELDS = {
    "response.function_call_arguments": "arguments",
    "response.mcp_call_arguments": "arguments",
    "response.custom_tool_call_input": "input",
    "response.code_interpreter_call_code": "code",
}
"""Events that grow a string of an item: `.delta` continues it, `.done` brings it whole."""
_PARTS = {
    "response.output_text": "text",
    "response.refusal": "refusal",
    "response.reasoning_text": "text",
}
"""Events that grow a string of a content part."""


def complete(events: Sequence[Event]) -> bool:
    """Whether the closing event came. A failed response is closed, yet no complete answer."""
    return any(_kind(event) in _LAST[:2] for event in reversed(events[-4:]))


def _kind(event: Event) -> str:
    return event.event or text(decode(event.data).get("type"))


def assemble(events: Sequence[Event]) -> Json:
    """The response of the closing event; of a cut stream, what its pieces add up to, its status as it last
    was."""
    if closed := _closed(events):
        return closed
    return _pieced(events)


def _closed(events: Sequence[Event]) -> Json:
    """The closing event's response. Some servers leave its output out after streaming it."""
    for seen in reversed(events[-4:]):
        data = decode(seen.data)
        if data.get("type") in _LAST and (response := record(data.get("response"))):
            return response if response.get("output") else {**response, "output": _pieced(events)["output"]}
    return {}


def _pieced(events: Sequence[Event]) -> Json:
    response: Json = {}
    output: dict[int, Json] = {}
    for seen in events:
        data = decode(seen.data)
        if data.get("type") == "error":
            response |= {"status": "failed", "error": data.get("error") or data}
        elif "response" in data:
            response = dict(record(data["response"])) or response
        elif "output_index" in data:
            _merge(output, data)
    if not response and not output:
        return _error(events)
    response["output"] = [output[index] for index in sorted(output)] or items(response.get("output"))
    return response


def _error(events: Sequence[Event]) -> Json:
    """The error that came in place of a response; empty output where nothing came at all."""
    nothing: Json = {"output": []}
    return next((error for seen in events if (error := decode(seen.data)).get("error")), nothing)


def _merge(output: dict[int, Json], data: Json) -> None:
    kind, _, step = text(data.get("type")).rpartition(".")
    item = output.setdefault(count(data["output_index"]), {})
    if kind == "response.output_item":
        item |= record(data.get("item"))
    elif kind in _FIELDS:
        _grow(item, _FIELDS[kind], step, data)
    elif kind in _PARTS:
        _grow(_part(item, "content", data.get("content_index")), _PARTS[kind], step, data)
    elif kind == "response.reasoning_summary_text":
        _grow(_part(item, "summary", data.get("summary_index")), "text", step, data)
    elif kind == "response.content_part":
        _set(_part(item, "content", data.get("content_index")), data)
    elif kind == "response.reasoning_summary_part":
        _set(_part(item, "summary", data.get("summary_index")), data)
    elif kind == "response.output_text.annotation":
        part = _part(item, "content", data.get("content_index"))
        part["annotations"] = [*items(part.get("annotations")), data.get("annotation")]


def _grow(held: Json, field: str, step: str, data: Json) -> None:
    if step == "delta":
        held[field] = text(held.get(field)) + text(data.get("delta"))
    elif step == "done" and isinstance(data.get(field), str):
        held[field] = data[field]


def _set(held: Json, data: Json) -> None:
    held |= record(data.get("part"))


def _part(item: Json, field: str, index: Any) -> Json:
    """The part at `index`, made where it is missing; ours to change, never the event's own."""
    held = [dict(part) for part in records(item.get(field))]
    held += [{} for _ in range(min(count(index), 10_000) + 1 - len(held))]
    item[field] = held
    return held[min(count(index), 10_000)]


def replay(answer: Json) -> bytes:
    """An answer as the events of a response, numbered; each text in one delta."""
    if not answer.get("output") and answer.get("error") and not answer.get("status"):
        return event({"type": "error", "sequence_number": 0, **record(answer["error"])}, "error")
    numbered = enumerate(_events(answer))
    return b"".join(event({**seen, "sequence_number": number}, seen["type"]) for number, seen in numbered)


def _events(answer: Json) -> Iterator[Json]:
    blank: Json = {
        key: None for key in ("usage", "completed_at", "incomplete_details", "error") if key in answer
    }
    started: Json = {**answer, "status": "in_progress", "output": [], **blank}
    yield {"type": "response.created", "response": started}
    yield {"type": "response.in_progress", "response": started}
    for index, item in enumerate(records(answer.get("output"))):
        yield {"type": "response.output_item.added", "output_index": index, "item": _emptied(item)}
        where = {"item_id": text(item.get("id")), "output_index": index}
        for seen in _inside(item):
            yield {**seen, **where}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": _ENDINGS.get(text(answer.get("status")), _LAST[0]), "response": answer}


def _emptied(item: Json) -> Json:
    """An item as it is added: open, the fields that deltas will fill empty."""
    blank: Json = {"status": "in_progress"} if "status" in item else {}
    match item.get("type"):
        case "message":
            blank["content"] = []
        case "function_call":
            blank["arguments"] = ""
        case "custom_tool_call":
            blank["input"] = ""
        case "reasoning":
            blank["summary"] = []
            blank |= {"content": []} if item.get("content") else {}
        case _:
            pass
    return {**item, **blank}


def _inside(item: Json) -> Iterator[Json]:
    match item.get("type"):
        case "message":
            yield from _contents(item)
        case "reasoning":
            yield from _summaries(item)
            yield from _contents(item)
        case "function_call":
            yield from _whole(
                "response.function_call_arguments", "arguments", item, {"name": item.get("name")}
            )
        case "custom_tool_call":
            yield from _whole("response.custom_tool_call_input", "input", item, {})
        case _:
            pass


def _contents(item: Json) -> Iterator[Json]:
    for index, part in enumerate(records(item.get("content"))):
        at = {"content_index": index}
        yield {"type": "response.content_part.added", "part": _emptied_part(part), **at}
        yield from ({**seen, **at} for seen in _part_events(part))
        yield {"type": "response.content_part.done", "part": part, **at}


def _emptied_part(part: Json) -> Json:
    return {
        **part,
        **{key: type(part[key])() for key in ("text", "refusal", "annotations", "logprobs") if part.get(key)},
    }


def _part_events(part: Json) -> Iterator[Json]:
    match part.get("type"):
        case "output_text":
            logprobs = {"logprobs": items(part.get("logprobs"))}
            yield {"type": "response.output_text.delta", "delta": text(part.get("text")), **logprobs}
            for index, note in enumerate(items(part.get("annotations"))):
                noted = {"annotation": note, "annotation_index": index}
                yield {"type": "response.output_text.annotation.added", **noted}
            yield {"type": "response.output_text.done", "text": text(part.get("text")), **logprobs}
        case "refusal":
            yield from _whole("response.refusal", "refusal", part, {})
        case "reasoning_text":
            yield from _whole("response.reasoning_text", "text", part, {})
        case _:
            pass


def _summaries(item: Json) -> Iterator[Json]:
    for index, part in enumerate(records(item.get("summary"))):
        at = {"summary_index": index}
        yield {"type": "response.reasoning_summary_part.added", "part": _emptied_part(part), **at}
        yield from _whole("response.reasoning_summary_text", "text", part, at)
        yield {"type": "response.reasoning_summary_part.done", "part": part, **at}


def _whole(kind: str, field: str, held: Json, extra: Json) -> Iterator[Json]:
    """A string in one delta, then whole."""
    yield {"type": kind + ".delta", "delta": text(held.get(field)), **extra}
    yield {"type": kind + ".done", field: text(held.get(field)), **extra}
