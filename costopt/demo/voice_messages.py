"""POST /v1/messages as Anthropic has it, the simple part: text and tool use.

Its prompt cache works only where the request has `cache_control` marks: written once, read afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from costopt.demo.speaker import Choice, Prompt, Said, pieces
from costopt.demo.voices import sse, text_of, tool_of
from costopt.types import Json

STOP = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens", "content_filter": "refusal"}


class MessagesVoice:
    def prompt(self, body: Json) -> Prompt:
        messages: list[Json] = body["messages"]
        tools: list[Json] = [tool for tool in body.get("tools", ()) if "input_schema" in tool]
        choice: Json = body.get("tool_choice") or {}
        system = text_of(body.get("system"))
        forced = tools[0]["name"] if tools and choice.get("type") == "any" else choice.get("name", "")
        return Prompt(
            model=body["model"],
            parts=(
                *map(json.dumps, tools),
                system,
                *(f"{turn['role']}\n{text_of(turn['content'])}" for turn in messages),
            ),
            said=(system, *(text_of(turn["content"]) for turn in messages)),
            last_role="tool" if messages and _has_result(messages[-1]) else "user",
            tools=() if choice.get("type") == "none" else tuple(map(tool_of, tools)),
            force=forced,
            max_output=body.get("max_tokens"),
        )

    def answer(self, said: Said, body: Json) -> Json:
        choice = said.choices[0]
        ended = {"content": _content(choice), "stop_reason": STOP[choice.finish], "stop_sequence": None}
        return _frame(said) | ended | {"usage": _usage(said, body) | {"output_tokens": choice.tokens}}

    def events(self, said: Said, body: Json) -> Iterator[bytes]:
        for data in self._events(said, body):
            yield sse(data, data["type"])

    def _events(self, said: Said, body: Json) -> Iterator[Json]:
        choice = said.choices[0]
        yield {
            "type": "message_start",
            "message": _frame(said) | {"usage": _usage(said, body) | {"output_tokens": 1}},
        }
        block = _content(choice)[0]
        empty: Json = {"input": {}} if choice.calls else {"text": ""}
        opening = block | empty
        yield {"type": "content_block_start", "index": 0, "content_block": opening}
        yield {"type": "ping"}
        name, key = ("input_json_delta", "partial_json") if choice.calls else ("text_delta", "text")
        for piece in pieces(choice.calls[0].arguments if choice.calls else choice.text):
            yield {"type": "content_block_delta", "index": 0, "delta": {"type": name, key: piece}}
        yield {"type": "content_block_stop", "index": 0}
        stop = {"stop_reason": STOP[choice.finish], "stop_sequence": None}
        yield {"type": "message_delta", "delta": stop, "usage": {"output_tokens": choice.tokens}}
        yield {"type": "message_stop"}


def _has_result(turn: Json) -> bool:
    content: Any = turn["content"]
    parts = cast("list[Json]", content) if isinstance(content, list) else []
    return any(part.get("type") == "tool_result" for part in parts)


def _frame(said: Said) -> Json:
    return {
        "id": f"msg_{said.id[:24]}",
        "type": "message",
        "role": "assistant",
        "model": said.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _content(choice: Choice) -> list[Json]:
    if not choice.calls:
        return [{"type": "text", "text": choice.text}]
    return [
        {
            "type": "tool_use",
            "id": f"toolu_{call.id[5:]}",
            "name": call.name,
            "input": json.loads(call.arguments),
        }
        for call in choice.calls
    ]


def _usage(said: Said, body: Json) -> Json:
    """Without a `cache_control` mark nothing is written or read."""
    marked = "cache_control" in json.dumps(body)
    read = said.cached_tokens if marked else 0
    written = said.prompt_tokens - read if marked and said.prompt_tokens >= 1024 else 0
    return {
        "input_tokens": said.prompt_tokens - read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        "service_tier": "standard",
    }
