"""POST /v1/responses, the simple part of it: text and function calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

from costopt.demo.speaker import Choice, Prompt, Said, pieces
from costopt.demo.voices import CREATED, sse, text_of, tool_of
from costopt.types import Json


class ResponsesVoice:
    def prompt(self, body: Json) -> Prompt:
        items: list[Json] = _items(body.get("input", ""))
        said = tuple(text_of([item]) for item in items)
        tools: list[Json] = [tool for tool in body.get("tools", ()) if tool.get("type") == "function"]
        form: Json = body.get("text", {}).get("format", {})
        system = text_of(body.get("instructions"))
        return Prompt(
            model=body["model"],
            parts=(
                *map(json.dumps, tools),
                system,
                *(f"{item.get('role', 'tool')}\n{text_of([item])}" for item in items),
            ),
            said=(system, *said),
            last_role="tool" if items and items[-1].get("type") == "function_call_output" else "user",
            tools=tuple(map(tool_of, tools)),
            force=tools[0]["name"] if tools and body.get("tool_choice") == "required" else "",
            schema=form.get("schema"),
            max_output=body.get("max_output_tokens"),
        )

    def answer(self, said: Said, body: Json) -> Json:
        return _response(said, body, "completed", [_item(said, said.choices[0])]) | {"usage": _usage(said)}

    def events(self, said: Said, body: Json) -> Iterator[bytes]:
        number = count()
        for kind, data in self._events(said, body):
            yield sse({"type": kind, "sequence_number": next(number)} | data, kind)

    def _events(self, said: Said, body: Json) -> Iterator[tuple[str, Json]]:
        item = _item(said, said.choices[0])
        started = {"response": _response(said, body, "in_progress", [])}
        yield "response.created", started
        yield "response.in_progress", started
        parts = _call_events(item) if said.choices[0].calls else _text_events(item)
        yield "response.output_item.added", {"output_index": 0, "item": _opening(item)}
        for kind, data in parts:
            yield kind, {"item_id": item["id"], "output_index": 0} | data
        yield "response.output_item.done", {"output_index": 0, "item": item}
        done = self.answer(said, body)
        yield f"response.{done['status']}", {"response": done}


def _items(given: Any) -> list[Json]:
    return [{"role": "user", "content": given}] if isinstance(given, str) else list(given)


def _response(said: Said, body: Json, status: str, output: list[Json]) -> Json:
    cut = status == "completed" and said.choices[0].finish == "length"
    return {
        "id": f"resp_{said.id[:48]}",
        "object": "response",
        "created_at": CREATED,
        "status": "incomplete" if cut else status,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "metadata": body.get("metadata", {}),
        "model": said.model,
        "output": output,
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "previous_response_id": body.get("previous_response_id"),
        "temperature": body.get("temperature", 1.0),
        "text": body.get("text", {"format": {"type": "text"}}),
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools", []),
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": None,
    }


def _usage(said: Said) -> Json:
    return {
        "input_tokens": said.prompt_tokens,
        "input_tokens_details": {"cached_tokens": said.cached_tokens},
        "output_tokens": said.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": said.prompt_tokens + said.output_tokens,
    }


def _item(said: Said, choice: Choice) -> Json:
    if choice.calls:
        call = choice.calls[0]
        named = {"call_id": call.id, "name": call.name, "arguments": call.arguments}
        return {"id": f"fc_{said.id[:48]}", "type": "function_call", "status": "completed"} | named
    text: Json = {"type": "output_text", "text": choice.text, "annotations": [], "logprobs": []}
    status = "incomplete" if choice.finish == "length" else "completed"
    return {
        "id": f"msg_{said.id[:48]}",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [text],
    }


def _opening(item: Json) -> Json:
    empty: Json = {"arguments": ""} if "arguments" in item else {"content": []}
    return item | {"status": "in_progress"} | empty


def _call_events(item: Json) -> Iterator[tuple[str, Json]]:
    for piece in pieces(item["arguments"]):
        yield "response.function_call_arguments.delta", {"delta": piece}
    yield "response.function_call_arguments.done", {"name": item["name"], "arguments": item["arguments"]}


def _text_events(item: Json) -> Iterator[tuple[str, Json]]:
    part = item["content"][0]
    at = {"content_index": 0}
    yield "response.content_part.added", at | {"part": part | {"text": ""}}
    for piece in pieces(part["text"]):
        yield "response.output_text.delta", at | {"delta": piece, "logprobs": []}
    yield "response.output_text.done", at | {"text": part["text"], "logprobs": []}
    yield "response.content_part.done", at | {"part": part}
