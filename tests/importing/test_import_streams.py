"""Streams in a log: as a list of chunks, as the text that came over the wire, line by line, cut off."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from import_material import answers, body, facts, imported, line


def chat_chunks() -> list[Any]:
    said = [({"role": "assistant", "content": "fo"}, None), ({"content": "ur\u2028"}, "stop")]
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-4o"}
    chunks = [
        {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": why}]} for delta, why in said
    ]
    return [*chunks, {**base, "choices": [], "usage": {"prompt_tokens": 2000, "completion_tokens": 100}}]


def claude_chunks() -> list[Any]:
    usage = {"input_tokens": 2000, "output_tokens": 1}
    message: Any = {
        "type": "message",
        "id": "msg_1",
        "model": "claude-sonnet-4-5",
        "content": [],
        "usage": usage,
    }
    return [
        {"type": "message_start", "message": {**message, "role": "assistant"}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "four\u2028"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 100}},
        {"type": "message_stop"},
    ]


def events(chunks: list[Any], end: str = "\n\n", name: str = "") -> str:
    told = [f"{name}data: {json.dumps(chunk, ensure_ascii=False)}{end}" for chunk in chunks]
    return "".join(told) + f"data: [DONE]{end}"


KEPT: list[Callable[[list[Any]], Any]] = [
    events,
    lambda chunks: events(chunks, end="\r\n\r\n"),
    lambda chunks: events(chunks, end="\n"),
    lambda chunks: events(chunks, name="event: chunk\n"),
    lambda chunks: f": processing\n\n{events(chunks)}",
    lambda chunks: events(chunks) + 'data: {"choices": [{"ind',
    lambda chunks: {"status_code": 200, "body": events(chunks)},
    lambda chunks: events(chunks, end="\n").split("\n"),
    lambda chunks: chunks,
]


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize(("chunks", "api"), [(chat_chunks(), "chat"), (claude_chunks(), "messages")])
def test_a_stream_is_read_however_it_was_kept(chunks: Any, api: str, kept: Any, tmp_path: Path) -> None:
    model = "gpt-4o" if api == "chat" else "claude-sonnet-4-5"
    done = imported(tmp_path, [line(request={**body(stream=True), "model": model}, response=kept(chunks))])
    assert (done.new, done.unusable) == (1, [])
    (fact,), (told,) = facts(tmp_path), answers(tmp_path)
    assert fact.usage is not None
    assert (fact.api, fact.finish, fact.usage.estimated) == (api, "stop", False)
    assert (fact.usage.input, fact.usage.output) == (2000, 100)
    content = told["content"][0]["text"] if api == "messages" else told["choices"][0]["message"]["content"]
    assert content == "four\u2028"


def test_an_answer_may_begin_like_a_stream(tmp_path: Path) -> None:
    imported(tmp_path, [line(response="data: none of it is JSON")])
    assert answers(tmp_path)[0]["choices"][0]["message"]["content"] == "data: none of it is JSON"
