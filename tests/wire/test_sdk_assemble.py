"""Streams cut into deltas at random: we put together what the real SDKs put together."""

from __future__ import annotations

import importlib
import importlib.util
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costopt import wire
from costopt.types import Json
from costopt.wire import sse

openai = pytest.importorskip("openai")

PIECES = st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=4), max_size=6)


def openai_sees(chunks: list[Json]) -> Json:
    state = importlib.import_module("openai.lib.streaming.chat").ChatCompletionStreamState()
    chunk_type = importlib.import_module("openai.types.chat").ChatCompletionChunk
    for chunk in chunks:
        state.handle_chunk(chunk_type.model_validate(chunk))
    whole: Json = state.current_completion_snapshot.to_dict()
    return whole


def called(arguments: list[list[str]], order: Any) -> list[Json]:
    """Calls that are opened one after another; the pieces of their arguments then come mixed, each call's in order."""
    opened = [
        {"index": n, "id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": ""}}
        for n in range(len(arguments))
    ]
    places = [n for n, pieces in enumerate(arguments) for _ in pieces]
    order.shuffle(places)
    left = [iter(pieces) for pieces in arguments]
    grown = [{"index": n, "function": {"arguments": next(left[n])}} for n in places]
    return [{"tool_calls": [call]} for call in (*opened, *grown)]


@settings(max_examples=60, deadline=None)
@given(
    content=PIECES,
    refusal=PIECES,
    arguments=st.lists(PIECES, max_size=3),
    order=st.randoms(use_true_random=False),
)
def test_chunks_of_chat_are_put_together_as_openai_does(
    content: list[str], refusal: list[str], arguments: list[list[str]], order: Any
) -> None:
    texts = [{"content": piece} for piece in content] + [{"refusal": piece} for piece in refusal]
    deltas: list[Json] = [{"role": "assistant"}, *texts, *called(arguments, order), {}]
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    last = len(deltas) - 1
    chunks = [
        {**head, "choices": [{"index": 0, "delta": it, "finish_reason": "stop" if at == last else None}]}
        for at, it in enumerate(deltas)
    ]
    ours = wire.dialect("chat").assemble(sse.parse(b"".join(map(sse.event, chunks))))
    theirs = openai_sees(chunks)["choices"][0]
    message = ours["choices"][0]["message"]
    assert message.get("content") == theirs["message"].get("content")
    assert message.get("refusal") == theirs["message"].get("refusal")
    assert [(call["id"], call["function"]) for call in message.get("tool_calls", [])] == [
        (call["id"], {key: call["function"][key] for key in ("name", "arguments")})
        for call in theirs["message"].get("tool_calls") or []
    ]
    assert ours["choices"][0]["finish_reason"] == theirs["finish_reason"]


@pytest.mark.skipif(importlib.util.find_spec("anthropic") is None, reason="anthropic is not installed")
@settings(max_examples=60, deadline=None)
@given(text=PIECES, thinking=PIECES, partial=st.lists(st.integers(0, 30), max_size=4))
def test_events_of_messages_are_put_together_as_anthropic_does(
    text: list[str], thinking: list[str], partial: list[int]
) -> None:
    arguments = '{"city": "Zürich", "n": [1, 2]}'
    edges = [0, *sorted(partial), len(arguments)]
    deltas: list[list[Json]] = [
        [{"type": "thinking_delta", "thinking": it} for it in thinking]
        + [{"type": "signature_delta", "signature": "s"}],
        [{"type": "text_delta", "text": it} for it in text],
        [{"type": "input_json_delta", "partial_json": arguments[a:b]} for a, b in pairwise(edges)],
    ]
    starts = [
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "text", "text": ""},
        {"type": "tool_use", "id": "t", "name": "f", "input": {}},
    ]
    message = {"id": "m", "type": "message", "role": "assistant", "model": "c", "content": []}
    usage = {"input_tokens": 3, "output_tokens": 1}
    stop = {"stop_reason": None, "stop_sequence": None}
    events: list[Json] = [{"type": "message_start", "message": {**message, **stop, "usage": usage}}]
    for index, start in enumerate(starts):
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        events += [{"type": "content_block_delta", "index": index, "delta": it} for it in deltas[index]]
        events.append({"type": "content_block_stop", "index": index})
    end = {"stop_reason": "tool_use", "stop_sequence": None}
    events += [
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ]
    ours = wire.dialect("messages").assemble(sse.parse(b"".join(sse.event(it, it["type"]) for it in events)))
    assert ours == anthropic_sees(events)


def anthropic_sees(events: list[Json]) -> Json:
    streaming = importlib.import_module("anthropic.lib.streaming._messages")
    snapshot, pieces = None, {}
    for event in events:
        snapshot = streaming.accumulate_event(event=event, current_snapshot=snapshot, json_bufs=pieces)
    assert snapshot is not None
    whole: Json = snapshot.to_dict()
    whole.pop("stop_details", None)
    return whole
