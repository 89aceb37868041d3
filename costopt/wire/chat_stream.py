"""Chat Completions as chunks: put together, played back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from costopt.types import Json
from costopt.wire import chunks, usage_chunks
from costopt.wire.base import Event
from costopt.wire.loose import count, items, record, records, text
from costopt.wire.sse import event

_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")
"""String fields of a delta that continue the same field of the message."""
_LISTS = ("annotations", "reasoning_details", "images", "citations")
"""List fields of a delta whose entries are added to those before."""
_HEAD = ("id", "created", "model", "service_tier", "system_fingerprint")
"""What every chunk repeats."""


def assemble(events: Sequence[Event]) -> Json:
    """The answer that the chunks add up to; choices that were cut have no finish reason."""
    answer = chunks.answer_of(events, lambda index: {"index": index, "message": {}}, _merge_choice)
    if "choices" not in answer:
        return answer
    return {**answer, "object": "chat.completion", "choices": list(map(_finished, answer["choices"]))}


def _finished(choice: Json) -> Json:
    choice.setdefault("finish_reason", None)
    for call in records(choice["message"].get("tool_calls")):
        call.pop("index", None)
    return choice


def _merge_choice(choice: Json, part: Json) -> None:
    for key, value in part.items():
        if key == "delta":
            _merge_delta(choice["message"], record(value))
        elif key == "logprobs":
            _merge_logprobs(choice, value)
        elif value or key not in choice:
            choice[key] = value


def _merge_delta(message: Json, delta: Json) -> None:
    for key, value in delta.items():
        held = message.get(key)
        if key in _TEXTS and isinstance(value, str):
            message[key] = text(held) + value
        elif key == "tool_calls" and value:
            _merge_calls(message, records(value))
        elif key == "function_call" and value:
            message[key] = _merged_function(record(held), record(value))
        elif key == "audio" and value:
            message[key] = _merged_audio(record(held), record(value))
        elif isinstance(value, list) and (key in _LISTS or key == "content"):
            message[key] = _merged_list(items(held), items(value))
        elif value is not None or key not in message:
            message[key] = value


def _merge_calls(message: Json, deltas: list[Json]) -> None:
    calls: list[Json] = records(message.get("tool_calls"))
    message["tool_calls"] = calls
    for delta in deltas:
        call = _open_call(calls, delta)
        for key, value in delta.items():
            if key in ("function", "custom") and isinstance(value, dict):
                call[key] = _merged_function(record(call.get(key)), record(value))
            elif value is not None and (value or key not in call):
                call[key] = value


def _open_call(calls: list[Json], delta: Json) -> Json:
    """The call that `delta` continues, or a new one. Gemini gives every parallel call index 0: there the id
    decides. A delta without an index continues the last call unless it brings another id."""
    index, name = delta.get("index"), delta.get("id")
    for call in reversed(calls):
        same_index = index is None or call.get("index") == index
        if same_index and (not name or not call.get("id") or call["id"] == name):
            return call
    calls.append({})
    return calls[-1]


def _merged_function(held: Json, delta: Json) -> Json:
    """A function call continued: arguments grow; a name that is merely repeated does not."""
    merged = {**held}
    for key, value in delta.items():
        before = merged.get(key)
        if isinstance(before, str) and isinstance(value, str) and not (key == "name" and before == value):
            merged[key] = before + value
        elif value is not None or key not in merged:
            merged[key] = value
    return merged


def _merged_audio(held: Json, delta: Json) -> Json:
    grown: Json = {
        key: text(held.get(key)) + text(delta[key]) for key in ("data", "transcript") if key in delta
    }
    return {**held, **delta, **grown}


def _merged_list(held: list[Any], more: list[Any]) -> list[Any]:
    """Entries one after the other; text of entries that share an index and a type grows (OpenRouter)."""
    merged = list(held)
    for entry in more:
        last = record(merged[-1]) if merged else {}
        if "index" in last and _same(last, record(entry)):
            merged[-1] = _grown(last, record(entry))
        else:
            merged.append(entry)
    return merged


def _same(last: Json, entry: Json) -> bool:
    return (last["index"], last.get("type")) == (entry.get("index"), entry.get("type"))


def _grown(last: Json, entry: Json) -> Json:
    fields = ("text", "summary", "data", "signature")
    texts = {key: text(last.get(key)) + text(entry[key]) for key in fields if text(entry.get(key))}
    return {**last, **{key: value for key, value in entry.items() if value is not None}, **texts}


def _merge_logprobs(choice: Json, value: Any) -> None:
    held, more = record(choice.get("logprobs")), record(value)
    if not more:
        choice.setdefault("logprobs", None)
        return
    lists = {key: items(held.get(key)) + items(more[key]) for key in more if isinstance(more[key], list)}
    choice["logprobs"] = {**more, **held, **lists}


def replay(answer: Json, request: Json) -> bytes:
    """An answer as chunks: per choice its role, each text whole, each tool call, its finish reason; then
    usage if `request` asks for it."""
    if answer.get("error"):
        return event({"error": answer["error"]})
    parts = [part for choice in records(answer.get("choices")) for part in _parts(choice)]
    head = {key: answer[key] for key in _HEAD if key in answer}
    head["object"] = "chat.completion.chunk"
    once = {key: value for key, value in answer.items() if key not in (*head, "choices", "usage")}
    spoken = [{**head, "choices": [part]} for part in parts] or [{**head, "choices": []}]
    spoken[0] |= once
    return chunks.stream(usage_chunks.added(spoken, answer.get("usage"), request))


def _parts(choice: Json) -> Iterator[Json]:
    """The chunk choices of one choice. Log probabilities go with the finish reason: they belong to all of
    it."""
    index = count(choice.get("index"))
    rest = {key: value for key, value in choice.items() if key not in ("index", "message")}
    for delta in _deltas(record(choice.get("message"))):
        yield {"index": index, "delta": delta, "finish_reason": None}
    yield {"finish_reason": None, **rest, "index": index, "delta": {}}


def _deltas(message: Json) -> Iterator[Json]:
    grown = {key: message[key] for key in _TEXTS if text(message.get(key))}
    calls = items(message.get("tool_calls"))
    yield {
        key: "" if key in grown else value
        for key, value in message.items()
        if key != "tool_calls" or not calls
    }
    for key in sorted(grown, key=("reasoning", "reasoning_content", "content", "refusal").index):
        yield {key: grown[key]}
    for index, call in enumerate(calls):
        yield {"tool_calls": [{"index": index, **record(call)}]}
