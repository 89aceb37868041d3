"""OpenTelemetry spans as calls: names, counts, failures, and whatever else an attribute may hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from otlp_material import BEGAN, calls_of, chat, read_all, request_of, span_of

from costopt.importing.words import Unusable
from costopt.types import Json, Usage


def test_a_span_is_read_whole() -> None:
    (call,) = calls_of(
        span_of(
            chat(
                gen_ai__request__temperature=0.5,
                gen_ai__request__max_tokens=50,
                gen_ai__request__stop_sequences=["END"],
                gen_ai__conversation__id="c1",
                gen_ai__usage__cache_read__input_tokens=1024,
                gen_ai__usage__reasoning__output_tokens=5,
            )
        )
    )
    assert (call.api, call.provider, call.model) == ("chat", "openai", "gpt-4o-mini")
    assert (call.at, call.ended) == (BEGAN, BEGAN + 10**9)
    assert call.usage == Usage(input=976, cache_read=1024, output=7, reasoning=5)
    assert call.body["temperature"] == 0.5 and call.body["max_tokens"] == 50 and call.body["stop"] == ["END"]
    assert call.tags == {"session": "c1", "service": "shop"}
    assert call.partial and call.answer is None


def test_older_names_and_exclusive_counts() -> None:
    old = {
        "gen_ai.system": "Anthropic",
        "llm.request.type": "chat",
        "gen_ai.request.model": "claude-sonnet-4-5",
    }
    counts = {"gen_ai.usage.prompt_tokens": 10, "gen_ai.usage.completion_tokens": 7}
    cached = {"gen_ai.usage.cache_read_input_tokens": 200, "gen_ai.usage.cache_creation_input_tokens": 30}
    (call,) = calls_of(span_of({**old, **counts, **cached}))
    assert call.provider == "anthropic"
    assert call.usage == Usage(input=10, cache_read=200, cache_write=30, output=7)
    (call,) = calls_of(
        span_of({**old, **counts, "gen_ai.usage.cache_read_input_tokens": 4, "llm.usage.total_tokens": 21})
    )
    assert call.usage == Usage(input=10, cache_read=4, output=7)
    (call,) = calls_of(
        span_of({**old, **counts, "gen_ai.usage.cache_read_input_tokens": 4, "llm.usage.total_tokens": 17})
    )
    assert call.usage == Usage(input=6, cache_read=4, output=7)


def test_embeddings_and_text_completions() -> None:
    about = {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "text-embedding-3-small"}
    (call,) = calls_of(span_of({**about, "gen_ai.usage.input_tokens": 4}))
    assert (call.api, call.usage, call.partial) == ("embeddings", Usage(input=4), True)
    (call,) = calls_of(span_of({**about, "embedding.embeddings.0.embedding.text": "a"}))
    assert (call.body["input"], call.partial) == (["a"], False)
    about = chat(gen_ai__operation__name="text_completion") | {
        "gen_ai.prompt": "once",
        "gen_ai.completion": "upon",
    }
    (call,) = calls_of(span_of(about))
    assert (call.api, call.body["prompt"]) == ("completions", "once")
    assert call.answer and call.answer["choices"][0]["text"] == "upon"


def test_failures_keep_status_and_kind() -> None:
    about = {key: value for key, value in chat().items() if "usage" not in key} | {
        "error.type": "RateLimitError"
    }
    status = {"code": 2, "message": "Error code: 429 - key sk-live-1 has no money left"}
    (call,) = calls_of(span_of(about, status=status))
    assert (call.status, call.error, call.usage) == (429, "RateLimitError", None)
    (call,) = calls_of(span_of(chat(), status={"code": "STATUS_CODE_ERROR"}))
    assert call.status == 200 and not call.error


def test_tokens_of_any_key_that_is_no_token_are_ignored() -> None:
    odd = chat(gen_ai__usage__input_tokens="many", gen_ai__usage__output_tokens=-3)
    (found,) = read_all(request_of(span_of(odd)))
    assert isinstance(found, Unusable) and "token counts" in found.why
    (call,) = calls_of(span_of({**odd, "gen_ai.prompt": "hi"}))
    assert call.usage is None and not call.partial


@given(
    fresh=st.integers(1, 10**6),
    read_=st.integers(0, 10**6),
    wrote=st.integers(0, 10**6),
    out=st.integers(0, 10**6),
)
def test_no_token_is_lost_or_counted_twice(fresh: int, read_: int, wrote: int, out: int) -> None:
    about = chat() | {
        "gen_ai.usage.input_tokens": fresh + read_ + wrote,
        "gen_ai.usage.output_tokens": out,
        "gen_ai.usage.cache_read.input_tokens": read_,
        "gen_ai.usage.cache_creation.input_tokens": wrote,
    }
    (call,) = calls_of(span_of(about))
    assert call.usage == Usage(input=fresh, cache_read=read_, cache_write=wrote, output=out)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    [
        *chat(),
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.system_instructions",
        "gen_ai.tool.definitions",
        "gen_ai.prompt.0.role",
        "gen_ai.prompt.0",
        "gen_ai.completion.x",
        "llm.input_messages.0.message.contents.0",
        "llm.input_messages.99999999999.message.tool_calls.0.tool_call.function",
        "input.value",
        "output.value",
    ]
)


@given(st.dictionaries(KEYS, JSON | JSON.map(json.dumps), max_size=6))
def test_whatever_an_attribute_holds_nothing_breaks(odd: Json) -> None:
    raw = span_of({})
    console = {**raw, "attributes": {**chat(), **odd}, "context": {}}
    assert len(read_all(request_of(raw), console)) <= 1


@pytest.mark.parametrize("field", ["spans", "scopeSpans", "resource", "attributes", "events", "status"])
@given(odd=JSON)
def test_whatever_a_document_holds_nothing_breaks(field: str, odd: Any) -> None:
    span = span_of(chat())
    request = request_of({**span, field: odd} if field in ("attributes", "events", "status") else span)
    resource = request["resourceSpans"][0]
    if field in ("scopeSpans", "resource"):
        resource[field] = odd
    if field == "spans":
        resource["scopeSpans"][0]["spans"] = odd
    read_all(request)
