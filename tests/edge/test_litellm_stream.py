"""litellm's chunks as bytes and back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from edge.litellm_material import litellm, said
from hypothesis import given, settings
from hypothesis import strategies as st
from litellm.types.utils import Usage

from costopt import wire
from costopt.edge.litellm.reply import HEADERS, answer_of, chunks_of, reply_of
from costopt.edge.litellm.stream import SyncChunks, Tap
from costopt.types import Reply, Request

REQUEST = Request(
    id="call-1",
    api="chat",
    model="gpt-4o-mini",
    body={"model": "gpt-4o-mini", "stream": True},
    endpoint="https://x",
    provider="openai",
    stream=True,
)


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> Any:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return litellm.ModelResponseStream(id="c1", created=1, model="gpt-4o-mini", choices=[choice], **more)


texts = st.text(max_size=5)
calls = st.builds(
    lambda index, name, text: [
        {
            "index": index,
            "id": f"call_{index}" if name else None,
            "type": "function",
            "function": {"name": name, "arguments": text},
        }
    ],
    st.integers(0, 2),
    st.none() | st.just("look"),
    texts,
)
deltas = st.fixed_dictionaries(
    {},
    optional={
        "content": texts,
        "role": st.just("assistant"),
        "reasoning_content": texts,
        "tool_calls": calls,
        "provider_specific_fields": st.just({"signature": "x", "nothing": None}),
    },
)
endings = st.sampled_from(["stop", "length", "tool_calls"])


def recorded(chunks: list[Any]) -> Reply:
    return wire.read_events("chat", 200, HEADERS, b"".join(Tap(iter(chunks)).encoded()))[0]


@settings(deadline=None)
@given(st.lists(deltas, max_size=6), endings)
def test_chunks_survive_the_way_through_bytes(parts: list[dict[str, Any]], ending: str) -> None:
    chunks = [*map(chunk, parts), chunk({}, ending)]
    back = list(chunks_of(litellm, REQUEST, recorded(chunks)))
    assert [said(one) for one in back] == [said(one) for one in chunks]


@settings(deadline=None)
@given(st.lists(deltas, min_size=1, max_size=6), endings)
def test_a_recorded_stream_is_a_plain_answer_too(parts: list[dict[str, Any]], ending: str) -> None:
    chunks = [*map(chunk, parts), chunk({}, ending)]
    answer = answer_of(litellm, REQUEST, recorded(chunks))
    text = "".join(part.get("content", "") for part in parts)
    assert (answer.choices[0].message.content or "") == text
    reasons = {"length": {"length"}, "stop": {"stop", "tool_calls"}, "tool_calls": {"tool_calls"}}
    assert answer.choices[0].finish_reason in reasons[ending]


def test_chunks_are_drawn_one_by_one() -> None:
    drawn: list[int] = []

    def source() -> Iterator[Any]:
        for number in range(3):
            drawn.append(number)
            yield chunk({"content": str(number)})

    tap = Tap(source())
    objects = tap.objects(tap.encoded())
    assert next(objects).choices[0].delta.content == "0"
    assert drawn == [0]
    assert [one.choices[0].delta.content for one in objects] == ["1", "2"]


async def test_async_chunks_are_drawn_one_by_one() -> None:
    drawn: list[int] = []

    async def source() -> AsyncIterator[Any]:
        for number in range(3):
            drawn.append(number)
            yield chunk({"content": str(number)})

    tap = Tap(source())
    objects = tap.aobjects(tap.aencoded())
    assert (await anext(objects)).choices[0].delta.content == "0"
    assert drawn == [0]
    assert [one.choices[0].delta.content async for one in objects] == ["1", "2"]


def test_a_stream_without_a_word() -> None:
    assert b"".join(Tap(iter(())).encoded()) == b"data: [DONE]\n\n"


def test_hidden_usage_is_written_once() -> None:
    last = chunk({}, "stop")
    last._hidden_params["usage"] = Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5)
    content = b"".join(Tap(iter([chunk({"content": "Hi"}), last])).encoded())
    assert content.count(b'"usage"') == 1
    reply, complete = wire.read_events("chat", 200, HEADERS, content)
    assert complete and reply.usage is not None and (reply.usage.prompt, reply.usage.output) == (3, 2)


def test_a_chunk_without_json_form_reaches_the_caller_and_is_not_kept() -> None:
    tap = Tap(iter([chunk({"content": "Hi"}), object(), chunk({}, "stop")]))
    parts = list(tap.encoded())
    assert len(parts) == 4
    assert not wire.read_events("chat", 200, HEADERS, b"".join(parts))[1]


def test_an_answer_without_json_form_reaches_the_caller() -> None:
    reply = reply_of("chat", object())
    assert reply.body == b"" and reply.finish == "unknown"


def test_attributes_of_the_real_stream_shine_through() -> None:
    class Real:
        model = "gpt-4o-mini"

    stream: Any = SyncChunks(iter(()), Real, lambda: {"a": 1}, None, Real())
    assert stream.model == "gpt-4o-mini" and isinstance(stream, Real) and stream._hidden_params == {"a": 1}
    with pytest.raises(AttributeError):
        _ = stream.nothing


def on_flex(answer: Any) -> Any:
    """As litellm tells that Gemini answered on its cheaper tier: nowhere but here."""
    answer._hidden_params["provider_specific_fields"] = {"traffic_type": "ON_DEMAND_FLEX"}
    return answer


def test_the_service_tier_of_gemini_is_in_the_hidden_params() -> None:
    counts = Usage(prompt_tokens=3, completion_tokens=1, total_tokens=4)
    usage = reply_of("chat", on_flex(litellm.ModelResponse(model="gemini-2.5-flash", usage=counts))).usage
    assert usage is not None and (usage.prompt, usage.service_tier) == (3, "flex")


@pytest.mark.parametrize("asked", [True, False])
def test_the_first_chunk_tells_the_service_tier_of_all(asked: bool) -> None:
    counts = Usage(prompt_tokens=3, completion_tokens=1, total_tokens=4)
    first, last = on_flex(chunk({"content": "a"})), chunk({}, "stop")
    if asked:
        last.usage = counts
    else:
        last._hidden_params["usage"] = counts
    raw = b"".join(Tap(iter([first, last])).encoded())
    usage = wire.read_events("chat", 200, (), raw)[0].usage
    assert usage is not None and (usage.prompt, usage.service_tier) == (3, "flex")
