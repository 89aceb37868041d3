"""Well-formed requests, answers and streams with one thing in them broken: still nothing raises, nothing is
lost."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costopt import wire
from costopt.types import Api, Json
from costopt.wire import sse

JUNK = [
    None,
    True,
    -3,
    7,
    1.5,
    "",
    "x",
    "12",
    [],
    [None],
    ["x"],
    [{}],
    {},
    {"type": "text"},
    {"type": 3},
    [[1]],
    10**30,
]
IMAGE = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}

REQUESTS: list[tuple[Api, Json]] = [
    (
        "chat",
        {
            "model": "gpt-4o-mini",
            "n": 2,
            "max_tokens": 5,
            "messages": [
                {"role": "developer", "content": "Terse."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is it?"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}},
                    ],
                },
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                        {"id": "c2", "type": "custom", "custom": {"name": "sh", "input": "ls"}},
                    ],
                },
                {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "yes"}]},
                {"role": "tool", "tool_call_id": "c2", "content": "no"},
                {"role": "assistant", "content": "So", "function_call": {"name": "g", "arguments": "1"}},
                {"role": "function", "name": "g", "content": "2"},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
            "modalities": ["text", "audio"],
            "stream_options": {"include_usage": True},
        },
    ),
    (
        "responses",
        {
            "model": "gpt-5",
            "instructions": "Terse.",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "hi"}, {"type": "input_image"}]},
                {"type": "reasoning", "id": "r1", "summary": [{"type": "summary_text", "text": "hm"}]},
                {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
                {"type": "custom_tool_call", "call_id": "c2", "name": "f", "input": "ls"},
                {"type": "function_call_output", "call_id": "c1", "output": "yes"},
                {
                    "type": "custom_tool_call_output",
                    "call_id": "c2",
                    "output": [{"type": "input_text", "text": "n"}],
                },
                {"type": "item_reference", "id": "m1"},
                {"type": "computer_call", "call_id": "c3", "action": {"type": "click"}},
                {"type": "computer_call_output", "call_id": "c3", "output": {"type": "computer_screenshot"}},
            ],
            "text": {"format": {"type": "json_schema", "schema": {}}},
            "reasoning": {"effort": "low"},
            "previous_response_id": "resp_0",
        },
    ),
    (
        "messages",
        {
            "model": "claude-haiku-4-5",
            "max_tokens": 9,
            "system": [{"type": "text", "text": "Terse.", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image", "source": IMAGE}, {"type": "text", "text": "?"}],
                },
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "hm", "signature": "s"},
                        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
                        {"type": "tool_use", "id": "t2", "name": "f", "input": {}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "tool_use_id": "t1",
                            "content": [{"type": "text", "text": "yes"}],
                        },
                        {"type": "tool_result", "tool_use_id": "t2", "content": "no", "is_error": True},
                        {
                            "type": "document",
                            "source": {"type": "content", "content": [{"type": "text", "text": "d"}]},
                        },
                        {"type": "text", "text": "go on"},
                    ],
                },
            ],
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "output_config": {"format": {"type": "json_schema", "schema": {}}},
        },
    ),
    ("embeddings", {"model": "e", "input": ["a", "b"]}),
    ("embeddings", {"model": "e", "input": [[1, 2], [3]]}),
    ("completions", {"model": "d", "prompt": ["a"], "max_tokens": 3, "n": 2}),
]

USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 4,
    "total_tokens": 13,
    "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 1},
}
CALL = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{"}}
STREAMS: list[tuple[Api, list[Json]]] = [
    (
        "chat",
        [
            {
                "id": "1",
                "model": "m",
                "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}],
            },
            {
                "choices": [
                    {
                        "index": 0,
                        "delta": {"content": "a", "reasoning_content": "b"},
                        "logprobs": {"content": [{}]},
                    }
                ]
            },
            {
                "choices": [
                    {"index": 1, "delta": {"tool_calls": [CALL], "audio": {"data": "A", "transcript": "t"}}}
                ]
            },
            {
                "choices": [
                    {"index": 1, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}}
                ]
            },
            {"choices": [{"index": 0, "delta": {"function_call": {"name": "f", "arguments": "1"}}}]},
            {
                "choices": [
                    {"index": 0, "delta": {"reasoning_details": [{"index": 0, "type": "t", "text": "x"}]}}
                ]
            },
            {
                "choices": [
                    {"index": 0, "delta": {"reasoning_details": [{"index": 0, "type": "t", "text": "y"}]}}
                ]
            },
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": None},
            {"choices": [], "usage": USAGE},
        ],
    ),
    (
        "messages",
        [
            {"type": "message_start", "message": {"model": "c", "content": [], "usage": {"input_tokens": 3}}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "citations_delta", "citation": {"a": 1}},
            },
            {
                "type": "content_block_start",
                "index": 1,
                "content_block": {"type": "tool_use", "id": "t", "input": {}},
            },
            {
                "type": "content_block_delta",
                "index": 1,
                "delta": {"type": "input_json_delta", "partial_json": '{"a":'},
            },
            {
                "type": "content_block_delta",
                "index": 1,
                "delta": {"type": "input_json_delta", "partial_json": "1}"},
            },
            {"type": "content_block_delta", "index": 2, "delta": {"type": "new_delta", "new": ["a"]}},
            {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}},
            {"type": "message_stop"},
        ],
    ),
    (
        "responses",
        [
            {
                "type": "response.created",
                "response": {"id": "r", "model": "m", "status": "in_progress", "output": []},
            },
            {
                "type": "response.output_item.added",
                "output_index": 0,
                "item": {"type": "message", "content": []},
            },
            {
                "type": "response.content_part.added",
                "output_index": 0,
                "content_index": 0,
                "part": {"type": "output_text"},
            },
            {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "a"},
            {
                "type": "response.output_text.annotation.added",
                "output_index": 0,
                "content_index": 0,
                "annotation": {},
            },
            {
                "type": "response.output_item.added",
                "output_index": 1,
                "item": {"type": "function_call", "arguments": ""},
            },
            {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{"},
            {
                "type": "response.reasoning_summary_part.added",
                "output_index": 2,
                "summary_index": 0,
                "part": {},
            },
            {
                "type": "response.reasoning_summary_text.delta",
                "output_index": 2,
                "summary_index": 0,
                "delta": "s",
            },
            {
                "type": "response.completed",
                "response": {
                    "status": "completed",
                    "model": "m",
                    "usage": {"input_tokens": 4, "output_tokens": 2},
                    "output": [{"type": "message", "content": [{"type": "output_text", "text": "a"}]}],
                },
            },
        ],
    ),
    (
        "completions",
        [{"choices": [{"index": 0, "text": "a", "logprobs": {"tokens": ["a"]}}]}, {"usage": USAGE}],
    ),
    ("embeddings", [{"data": [{"embedding": [0.1]}], "usage": {"prompt_tokens": 1}}]),
]


def paths(value: Any) -> list[tuple[Any, ...]]:
    """Where something could be broken: every place inside `value`."""
    inside: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inside = list(value.items())
    elif isinstance(value, list):
        inside = list(enumerate(value))
    return [(key, *rest) for key, item in inside for rest in [(), *paths(item)]]


@st.composite
def damaged(draw: st.DrawFn, whole: list[tuple[Api, Any]]) -> tuple[Api, Any]:
    api, value = draw(st.sampled_from(whole))
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(paths(value) or [()]))
        if not path:
            continue
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = copy.deepcopy(draw(st.sampled_from(JUNK)))
    return api, value


@pytest.mark.parametrize(("api", "body"), REQUESTS)
def test_a_sound_request_is_itself_again(api: Api, body: Json) -> None:
    assert wire.dialect(api).with_turns(body, wire.dialect(api).turns(body)) == body


@settings(max_examples=300, deadline=None)
@given(case=damaged(REQUESTS))
def test_a_damaged_request_loses_nothing_to_an_edit(case: tuple[Api, Json]) -> None:
    api, body = case
    dialect = wire.dialect(api)
    turns = dialect.turns(body)
    assert dialect.with_turns(body, turns) == body
    assert isinstance(dialect.tools_text(body), str) and dialect.needs(body) is not None
    assert dialect.max_output(body) is None or dialect.max_output(body) >= 0  # type: ignore[operator]
    for turn in turns:
        said = dialect.outputs(turn)
        assert turn.role == "tool" or not said
        assert dialect.with_outputs(turn, said).raw == turn.raw
        short = dialect.with_outputs(turn, [f"short {at}" for at in range(len(said))])
        assert dialect.outputs(short) == [f"short {at}" for at in range(len(said))]


@settings(max_examples=300, deadline=None)
@given(case=damaged(STREAMS), cut=st.integers(0, 2000), asked=st.booleans())
def test_a_damaged_stream_comes_to_the_same_answer_twice(
    case: tuple[Api, list[Json]], cut: int, asked: bool
) -> None:
    api, chunks = case
    raw = b"".join(sse.event(chunk) for chunk in chunks if isinstance(chunk, dict))[:cut]
    reply, _ = wire.read_events(api, 200, (), raw)
    body = msgspec.json.decode(wire.answer_body(api, reply))
    wire.output_text(api, reply)
    wire.written_text(api, reply)
    request = {"stream_options": {"include_usage": asked}}
    wire.answer_stream(api, reply, request)
    again = wire.read_body(api, 200, (), msgspec.json.encode(body))
    # why: only a stream tells that its counts are not of all there was
    whole = reply.usage and msgspec.structs.replace(reply.usage, estimated=False)
    assert (again.usage, again.finish, again.model) == (whole, reply.finish, reply.model)
    wire.read_events(api, 200, (), wire.answer_stream(api, again, request))


def test_a_stream_with_a_hole_in_it_is_not_complete() -> None:
    whole = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": word}}]}
        for word in ("Do", " not")
    ]
    end = sse.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}) + b"data: [DONE]\n\n"
    first, second = map(sse.event, whole)
    assert wire.read_events("chat", 200, (), first + b": comment\n\n" + second + end)[1]
    torn = second[: len(second) // 2] + b"\n\n"
    reply, complete = wire.read_events("chat", 200, (), first + torn + end)
    assert (reply.finish, complete) == ("stop", False)
