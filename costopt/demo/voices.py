"""APIs of a simulated provider: each reads a request as a `Prompt` and writes a `Said` as JSON or events."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, cast

from costopt.demo.speaker import Choice, Prompt, Said, Tool, pieces
from costopt.types import Json

CREATED = 1_767_225_600  # 2026-01-01: the same answer each time, the date included


class Voice(Protocol):
    def prompt(self, body: Json) -> Prompt: ...
    def answer(self, said: Said, body: Json) -> Json: ...
    def events(self, said: Said, body: Json) -> Iterator[bytes]: ...


def sse(data: Json, event: str = "") -> bytes:
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def text_of(content: Any) -> str:
    """All text in a message's content, whichever form it has."""
    if isinstance(content, str):
        return content
    parts = cast("Iterable[Any]", content) if isinstance(content, list) else ()
    return "\n".join(filter(None, map(_part_text, parts)))


def _part_text(part: Any) -> str:
    if not isinstance(part, dict):
        return str(part)
    for name in ("text", "output", "content", "arguments"):
        if name in part:
            return text_of(part[name])
    return json.dumps(part["input"]) if "input" in part else ""


def chat_usage(said: Said) -> Json:
    return {
        "prompt_tokens": said.prompt_tokens,
        "completion_tokens": said.output_tokens,
        "total_tokens": said.prompt_tokens + said.output_tokens,
        "prompt_tokens_details": {"cached_tokens": said.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


class ChatVoice:
    """POST /v1/chat/completions."""

    def prompt(self, body: Json) -> Prompt:
        messages: list[Json] = body["messages"]
        tools = [tool.get("function", {}) for tool in body.get("tools", ())]
        form: Json = body.get("response_format") or {}
        return Prompt(
            model=body["model"],
            parts=tuple(json.dumps(tool) for tool in tools) + tuple(map(_chat_part, messages)),
            said=tuple(text_of(message.get("content")) for message in messages),
            last_role=messages[-1]["role"] if messages else "user",
            tools=() if body.get("tool_choice") == "none" else tuple(map(tool_of, tools)),
            force=_forced(body.get("tool_choice"), tools),
            schema=form.get("json_schema", {}).get("schema")
            or ({} if form.get("type") == "json_object" else None),
            max_output=body.get("max_completion_tokens") or body.get("max_tokens"),
            choices=body.get("n") or 1,
        )

    def answer(self, said: Said, body: Json) -> Json:
        choices = [
            {"index": index, "message": _message(choice), "logprobs": None, "finish_reason": choice.finish}
            for index, choice in enumerate(said.choices)
        ]
        return self._frame(said, "chat.completion", choices) | {"usage": chat_usage(said)}

    def events(self, said: Said, body: Json) -> Iterator[bytes]:
        options: Json = body.get("stream_options") or {}
        counted = bool(options.get("include_usage"))
        more: Json = {"usage": None} if counted else {}
        for index, choice in enumerate(said.choices):
            for delta, finish in _deltas(choice):
                part = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
                yield sse(self._frame(said, "chat.completion.chunk", [part]) | more)
        if counted:
            yield sse(self._frame(said, "chat.completion.chunk", []) | {"usage": chat_usage(said)})
        yield b"data: [DONE]\n\n"

    def _frame(self, said: Said, kind: str, choices: list[Any]) -> Json:
        return {
            "id": f"chatcmpl-{said.id[:29]}",
            "object": kind,
            "created": CREATED,
            "model": said.model,
            "choices": choices,
            "service_tier": "default",
            "system_fingerprint": "fp_simulator",
        }


def _chat_part(message: Json) -> str:
    calls = [call.get("function") for call in message.get("tool_calls") or ()]
    return f"{message['role']}\n{text_of(message.get('content'))}" + (json.dumps(calls) if calls else "")


def tool_of(function: Json) -> Tool:
    return Tool(function.get("name", ""), function.get("parameters") or function.get("input_schema") or {})


def _forced(choice: Any, tools: list[Json]) -> str:
    if isinstance(choice, dict):
        named = cast(Json, choice)
        return str(named.get("function", named).get("name", ""))
    return str(tools[0].get("name", "")) if tools and choice in ("required", "any") else ""


def _message(choice: Choice) -> Json:
    message: Json = {"role": "assistant", "content": choice.text or None, "refusal": None, "annotations": []}
    return message | ({"tool_calls": _calls(choice)} if choice.calls else {})


def _calls(choice: Choice) -> list[Json]:
    return [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in choice.calls
    ]


def _deltas(choice: Choice) -> Iterable[tuple[Json, str | None]]:
    if not choice.calls:
        yield {"role": "assistant", "content": "", "refusal": None}, None
        for piece in pieces(choice.text):
            yield {"content": piece}, None
    for number, call in enumerate(_calls(choice)):
        arguments = call["function"]["arguments"]
        opening = call | {"index": number, "function": call["function"] | {"arguments": ""}}
        yield {"role": "assistant", "content": None, "tool_calls": [opening]}, None
        for piece in pieces(arguments):
            yield {"tool_calls": [{"index": number, "function": {"arguments": piece}}]}, None
    yield {}, choice.finish
