"""What an answer says, piece by piece, as its reader takes it: each text that must be JSON where JSON was asked for,
and each function call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from costopt.types import Api, Json
from costopt.wire.loose import encode, record, records, text


def texts(api: Api, answer: Json) -> list[str]:
    """One per choice of a chat answer; one per text part of a Responses or Messages answer, whose SDKs read each
    alone. No reasoning, no tool calls, no refusals, and no comments on the way to a final answer."""
    if api == "chat":
        return [_content(message.get("content")) for message in _messages(answer)]
    if api == "responses":
        said = [part for item in _final(answer) for part in records(item.get("content"))]
        return [text(part.get("text")) for part in said if part.get("type") == "output_text"]
    if api == "messages":
        return [text(b.get("text")) for b in records(answer.get("content")) if b.get("type") == "text"]
    return []


def _final(answer: Json) -> list[Json]:
    """The items of a Responses answer without messages of another phase than the final one, which SDKs do not read
    as what was asked for (openai 3.54, `lib/_parsing/_responses.py`). All of them where no message is final."""
    items = records(answer.get("output"))
    final = [item for item in items if item.get("phase") in (None, "final_answer")]
    return final if any(item.get("type") == "message" for item in final) else items


def calls(api: Api, answer: Json) -> list[tuple[str, str]]:
    """Name and arguments, JSON text as sent, of every function called; not the free text of custom tools."""
    if api == "chat":
        functions = [function for message in _messages(answer) for function in _functions(message)]
        return [_named(function, "arguments") for function in functions]
    if api == "responses":
        items = records(answer.get("output"))
        return [_named(item, "arguments") for item in items if item.get("type") == "function_call"]
    if api == "messages":
        return [_used(b) for b in records(answer.get("content")) if b.get("type") == "tool_use"]
    return []


def _messages(answer: Json) -> list[Json]:
    return [record(choice.get("message")) for choice in records(answer.get("choices"))]


def _content(content: Any) -> str:
    """A string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    return "".join([text(part.get("text")) for part in records(content) if part.get("type") == "text"])


def _functions(message: Json) -> Iterator[Json]:
    for call in records(message.get("tool_calls")):
        if "custom" not in call:
            yield record(call.get("function"))
    if legacy := record(message.get("function_call")):
        yield legacy


def _named(function: Json, field: str) -> tuple[str, str]:
    return text(function.get("name")), text(function.get(field))


def _used(block: Json) -> tuple[str, str]:
    """Streamed input that was no JSON stands as text in `partial_json`."""
    if "partial_json" in block:
        return _named(block, "partial_json")
    return text(block.get("name")), encode(block.get("input")).decode()
