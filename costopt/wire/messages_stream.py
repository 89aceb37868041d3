"""Anthropic Messages as events: put together, played back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from costopt.types import Json
from costopt.wire.base import Event
from costopt.wire.loose import count, decode, encode, items, mend, record, records, text
from costopt.wire.sse import event

_STOPS = ("stop_reason", "stop_sequence", "stop_details", "container")
"""Fields of the message that only its end tells."""


def complete(events: Sequence[Event]) -> bool:
    kinds = {_kind(event) for event in events}
    return "message_stop" in kinds and "error" not in kinds


def _kind(event: Event) -> str:
    return event.event or text(decode(event.data).get("type"))


def assemble(events: Sequence[Event]) -> Json:
    """The message that the events add up to. Tool input that was cut stays as text in `partial_json`."""
    message: Json = {}
    blocks: dict[int, Json] = {}
    for seen in events:
        _merge(message, blocks, decode(seen.data))
    if blocks or "content" in message:
        message["content"] = [_closed(blocks[index]) for index in sorted(blocks)]
    return message


def _merge(message: Json, blocks: dict[int, Json], seen: Json) -> None:
    index = count(seen.get("index"))
    match seen.get("type"):
        case "message_start":
            message |= record(seen.get("message"))
        case "content_block_start":
            blocks[index] = dict(record(seen.get("content_block")))
        case "content_block_delta":
            _grow(blocks.setdefault(index, {}), record(seen.get("delta")))
        case "message_delta":
            _end(message, seen)
        case "error":
            message["error"] = seen.get("error") or seen
            message.setdefault("type", "error")
        case _:
            pass


def _grow(block: Json, delta: Json) -> None:
    """Every delta names the fields it continues; unknown kinds are read by the same rule."""
    kind = delta.get("type")
    for key, value in delta.items():
        if key == "type":
            continue
        if kind == "citations_delta" and key == "citation":
            block["citations"] = [*items(block.get("citations")), value]
        elif kind != "signature_delta" and isinstance(value, str) and isinstance(block.get(key), str):
            block[key] += value
        elif isinstance(value, list) and isinstance(block.get(key), list):
            block[key] = items(block[key]) + items(value)
        else:
            block[key] = value


def _end(message: Json, seen: Json) -> None:
    """Counts of a message_delta are totals so far: they replace what the start said."""
    message |= record(seen.get("delta"))
    usage = {key: value for key, value in record(seen.get("usage")).items() if value is not None}
    if usage:
        message["usage"] = {**record(message.get("usage")), **usage}
    message |= {key: value for key, value in seen.items() if key not in ("type", "delta", "usage")}


def _closed(block: Json) -> Json:
    """Tool input arrives as pieces of JSON text; it becomes an object once all are there."""
    partial = block.get("partial_json")
    if not isinstance(partial, str):
        return block
    whole = {key: value for key, value in block.items() if key != "partial_json"}
    if not partial:
        return whole
    given = decode(mend(partial).encode())
    if given or partial.strip() == "{}":
        return {**whole, "input": given}
    return block


def replay(answer: Json) -> bytes:
    """An answer as the events of a message; each block's text in one delta."""
    if answer.get("type") == "error" or answer.get("error"):
        return event({"type": "error", "error": answer.get("error")}, "error")
    return b"".join(event(seen, seen["type"]) for seen in _events(answer))


def _events(answer: Json) -> Iterator[Json]:
    usage = record(answer.get("usage"))
    start: Json = {**answer, "content": [], **{key: None for key in _STOPS if key in answer}}
    start["usage"] = {"input_tokens": 0, **usage, "output_tokens": 0}
    yield {"type": "message_start", "message": start}
    for index, block in enumerate(records(answer.get("content"))):
        yield {"type": "content_block_start", "index": index, "content_block": _emptied(block)}
        for delta in _deltas(block):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    stops = {key: answer[key] for key in _STOPS if key in answer}
    yield {"type": "message_delta", "delta": stops, "usage": {"output_tokens": 0, **usage}}
    yield {"type": "message_stop"}


def _emptied(block: Json) -> Json:
    """A block as its start event has it: the fields that deltas will fill are empty."""
    match block.get("type"):
        case "text":
            cited: Json = {"citations": []} if items(block.get("citations")) else {}
            return {**block, "text": "", **cited}
        case "thinking":
            return {**block, "thinking": "", **({"signature": ""} if "signature" in block else {})}
        case _ if "input" in block:
            return {key: value for key, value in block.items() if key != "partial_json"} | {"input": {}}
        case _:
            return block


def _deltas(block: Json) -> Iterator[Json]:
    match block.get("type"):
        case "text":
            for citation in items(block.get("citations")):
                yield {"type": "citations_delta", "citation": citation}
            if text(block.get("text")):
                yield {"type": "text_delta", "text": block["text"]}
        case "thinking":
            if text(block.get("thinking")):
                yield {"type": "thinking_delta", "thinking": block["thinking"]}
            if text(block.get("signature")):
                yield {"type": "signature_delta", "signature": block["signature"]}
        case _ if "input" in block:
            yield {"type": "input_json_delta", "partial_json": _input(block)}
        case _:
            pass


def _input(block: Json) -> Any:
    return block["partial_json"] if "partial_json" in block else encode(block["input"]).decode()
