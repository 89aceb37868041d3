"""An answer in the shape of Chat Completions, put back into that of Anthropic's Messages."""

from __future__ import annotations

from costopt.importing.chatform import parsed
from costopt.types import Json, Usage
from costopt.wire.loose import record, records, text

_STOPS = {"tool_calls": "tool_use", "length": "max_tokens", "content_filter": "refusal"}


def anthropic(answer: Json, usage: Usage | None) -> Json:
    """The first choice of `answer` as a message; `usage` in Anthropic's words."""
    choice = next(iter(records(answer.get("choices"))), record(None))
    message = record(choice.get("message"))
    built: Json = {
        "id": answer.get("id"),
        "type": "message",
        "role": "assistant",
        "model": answer.get("model"),
        "content": _thoughts(message) + _texts(message) + _calls(message),
        "stop_reason": _STOPS.get(text(choice.get("finish_reason")), "end_turn"),
    }
    return {**built, "usage": _usage(usage)} if usage else built


def _thoughts(message: Json) -> list[Json]:
    """The blocks as they were, where litellm kept them; they are signed, so nothing is made up here."""
    return records(message.get("thinking_blocks"))


def _texts(message: Json) -> list[Json]:
    said = text(message.get("content"))
    return [{"type": "text", "text": said}] if said else []


def _calls(message: Json) -> list[Json]:
    return [
        {
            "type": "tool_use",
            "id": call.get("id"),
            "name": record(call.get("function")).get("name"),
            "input": parsed(record(call.get("function")).get("arguments")) or {},
        }
        for call in records(message.get("tool_calls"))
    ]


def _usage(usage: Usage) -> Json:
    return {
        "input_tokens": usage.input,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation_input_tokens": usage.cache_write + usage.cache_write_1h,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "output_tokens": usage.output,
    }
