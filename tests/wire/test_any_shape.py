"""Whatever shape a request or an answer has, reading it never raises and rebuilding it loses nothing."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from costopt import wire
from costopt.types import Api, Finish, Reply, Usage
from costopt.wire import demands, sse

APIS = list(get_args(Api))
KEYS = [
    *("messages", "input", "system", "instructions", "role", "content", "type", "text", "tool_calls", "id"),
    *(
        "function",
        "arguments",
        "name",
        "tool_call_id",
        "tool_use_id",
        "call_id",
        "output",
        "summary",
        "usage",
    ),
    *("choices", "message", "delta", "index", "finish_reason", "model", "prompt", "data", "n", "max_tokens"),
    *("prompt_tokens", "input_tokens", "prompt_tokens_details", "cached_tokens", "cache_creation", "refusal"),
    *(
        "output_index",
        "content_index",
        "item",
        "part",
        "response",
        "status",
        "error",
        "content_block",
        "source",
    ),
    *(
        "partial_json",
        "citation",
        "logprobs",
        "audio",
        "image_url",
        "url",
        "stop_reason",
        "tools",
        "thinking",
    ),
    *(
        "response_format",
        "reasoning",
        "custom",
        "annotations",
        "stream_options",
        "completion_tokens",
        "function_call",
    ),
]
WORDS = [
    *(
        "user",
        "assistant",
        "system",
        "tool",
        "function",
        "developer",
        "message",
        "reasoning",
        "function_call",
    ),
    *("function_call_output", "text", "tool_result", "tool_use", "image_url", "image", "input_audio", "stop"),
    *(
        "message_start",
        "content_block_start",
        "content_block_delta",
        "message_delta",
        "message_stop",
        "error",
    ),
    *("response.created", "response.completed", "response.output_item.added", "response.output_text.delta"),
    *(
        "response.function_call_arguments.done",
        "response.reasoning_summary_text.delta",
        "text_delta",
        "thinking",
    ),
    *(
        "input_json_delta",
        "citations_delta",
        "incomplete",
        "length",
        "data:image/png;base64,iVBORw0KGgo=",
        "é",
        "12",
    ),
    *("base64", "document", "custom_tool_call", "item_reference", "input_image", "completed", "call_1", ""),
]
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 2**40),
    st.floats(allow_nan=False),
    st.sampled_from(WORDS),
    st.text(max_size=5),
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
    ),
    max_leaves=25,
)
BODIES = st.dictionaries(st.sampled_from(KEYS), JSON, max_size=7)


def is_sound(usage: Usage | None) -> bool:
    if usage is None:
        return True
    buckets = [value for value in msgspec.structs.asdict(usage).values() if type(value) is int]
    parts_fit = usage.audio_input + usage.image_input <= usage.input and usage.reasoning <= usage.output
    return min(buckets) >= 0 and parts_fit and usage.audio_output <= usage.output


@pytest.mark.parametrize("api", APIS)
@settings(max_examples=40, deadline=None)
@given(body=BODIES)
def test_any_request_is_understood_or_left_as_it_is(api: Api, body: dict[str, Any]) -> None:
    dialect = wire.dialect(api)
    before = msgspec.json.encode(body)
    turns = dialect.turns(body)
    assert dialect.with_turns(body, turns) == body
    assert dialect.with_model(body, "m") == {**body, "model": "m"}
    dialect.needs(body)
    dialect.max_output(body)
    assert dialect.choices(body) > 0
    assert demands.read(body).sound >= 0
    assert isinstance(dialect.tools_text(body), str)
    for turn in turns:
        assert isinstance(turn.text, str) and turn.extra_tokens >= 0
        said = dialect.outputs(turn)
        assert turn.role == "tool" or not said
        assert dialect.with_outputs(turn, said).raw == turn.raw
        short = dialect.with_outputs(turn, [f"short {at}" for at in range(len(said))])
        assert dialect.outputs(short) == [f"short {at}" for at in range(len(said))]
    dialect.with_turns(body, turns[1:])
    assert msgspec.json.encode(body) == before


@pytest.mark.parametrize("api", APIS)
@settings(max_examples=40, deadline=None)
@given(body=BODIES, status=st.sampled_from([200, 400, 500]))
def test_any_answer_is_kept_and_played(api: Api, body: dict[str, Any], status: int) -> None:
    encoded = msgspec.json.encode(body)
    reply = wire.read_body(api, status, (), encoded)
    assert reply.finish in get_args(Finish) and is_sound(reply.usage)
    assert reply.body == encoded
    said = wire.output_text(api, reply).strip()
    assert said or reply.finish != "stop" or api in ("embeddings", "completions")
    wire.written_text(api, reply)
    for request in ({}, {"stream_options": {"include_usage": True}}):
        played = wire.answer_stream(api, reply, request)
        wire.read_events(api, status, (), played)


@pytest.mark.parametrize("api", APIS)
@settings(max_examples=40, deadline=None)
@given(bodies=st.lists(BODIES, max_size=6), junk=st.binary(max_size=20))
def test_any_stream_is_kept_and_put_together(api: Api, bodies: list[dict[str, Any]], junk: bytes) -> None:
    raw = b"".join(sse.event(body) for body in bodies) + junk
    reply, _ = wire.read_events(api, 200, (), raw)
    assert reply.events == raw and is_sound(reply.usage)
    wire.output_text(api, reply)
    msgspec.json.decode(wire.answer_body(api, reply))
    for request in ({}, {"stream_options": {"include_usage": True}}):
        wire.answer_stream(api, reply, request)


@pytest.mark.parametrize("api", APIS)
@example(body=b'"\x80"')
@given(body=st.one_of(st.binary(max_size=40), st.sampled_from([b"", b"[]", b"null", b"{", b"[" * 99_999])))
def test_what_is_no_json_object_is_an_error(api: Api, body: bytes) -> None:
    reply = wire.read_body(api, 200, (), body)
    assert (reply.body, reply.usage) == (body, None)
    if not body.startswith(b"{"):
        assert reply.finish == "error"
    wire.answer_stream(api, reply, {})
    wire.output_text(api, Reply(body=body))
