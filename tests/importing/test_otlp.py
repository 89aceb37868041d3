"""OpenTelemetry spans: three vocabularies, three places for content, every call once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from import_material import facts, imported

from costopt.importing.otlp import read
from costopt.importing.words import Found, Imported, Line, Options, Unusable
from costopt.types import Json, Usage
from costopt.wire.loose import items, record

BEGAN = 1_793_525_400 * 10**9 + 321


def _any(value: Any) -> Json:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case list():
            return {"arrayValue": {"values": [_any(each) for each in items(value)]}}
        case dict():
            return {"kvlistValue": {"values": _pairs(record(value))}}
        case _:
            return {"stringValue": value}


def _pairs(attributes: Json) -> list[Json]:
    return [{"key": key, "value": _any(value)} for key, value in attributes.items()]


def _span(attributes: Json, name: str = "s1", parent: str = "", start: int = 0, **fields: Any) -> Json:
    return {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": name,
        "parentSpanId": parent,
        "name": "chat gpt-4o-mini",
        "startTimeUnixNano": str(BEGAN + start),
        "endTimeUnixNano": str(BEGAN + start + 10**9),
        "attributes": _pairs(attributes),
        **fields,
    }


def _request(*spans: Json) -> Json:
    resource = {"attributes": _pairs({"service.name": "shop"})}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {}, "spans": list(spans)}]}]}


def _read(*requests: Json) -> list[Found]:
    lines = [Line("t.jsonl", number, json.dumps(each).encode()) for number, each in enumerate(requests, 1)]
    return list(read(lines, Options()))


def _calls(*spans: Json) -> list[Imported]:
    return [found for found in _read(_request(*spans)) if isinstance(found, Imported)]


def _chat(**more: Any) -> Json:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
        "gen_ai.usage.input_tokens": 2000,
        "gen_ai.usage.output_tokens": 7,
        **{key.replace("__", "."): value for key, value in more.items()},
    }


def test_a_span_is_read_whole() -> None:
    (call,) = _calls(
        _span(
            _chat(
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
    (call,) = _calls(_span({**old, **counts, **cached}))
    assert call.provider == "anthropic"
    assert call.usage == Usage(input=10, cache_read=200, cache_write=30, output=7)
    (call,) = _calls(
        _span({**old, **counts, "gen_ai.usage.cache_read_input_tokens": 4, "llm.usage.total_tokens": 21})
    )
    assert call.usage == Usage(input=10, cache_read=4, output=7)
    (call,) = _calls(
        _span({**old, **counts, "gen_ai.usage.cache_read_input_tokens": 4, "llm.usage.total_tokens": 17})
    )
    assert call.usage == Usage(input=6, cache_read=4, output=7)


def test_content_as_the_parts_of_the_conventions() -> None:
    asked = [
        {"role": "user", "parts": [{"type": "text", "content": "Weather in Bern?"}]},
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "t1", "name": "weather", "arguments": {"at": "Bern"}}],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": " t1", "result": "rain"}]},
    ]
    said = [{"role": "assistant", "parts": [{"type": "text", "content": "Rain."}], "finish_reason": "length"}]
    told = [{"type": "text", "content": "Be brief."}]
    schema = [{"type": "function", "name": "weather", "parameters": {"type": "object"}}]
    about = _chat(gen_ai__response__id="chatcmpl-1") | {
        "gen_ai.input.messages": json.dumps(asked),
        "gen_ai.output.messages": said,
        "gen_ai.system_instructions": json.dumps(told),
        "gen_ai.tool.definitions": json.dumps(schema),
    }
    (call,) = _calls(_span(about))
    assert call.body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather in Bern?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "t1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"at":"Bern"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "t1", "content": "rain"},
    ]
    assert call.body["tools"][0]["function"] == {"name": "weather", "parameters": {"type": "object"}}
    assert call.answer is not None and call.answer["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": "Rain."}, "finish_reason": "length"}
    ]
    assert call.answer["id"] == "chatcmpl-1" and not call.partial


def _event(name: str, **about: Any) -> Json:
    return {"name": name, "timeUnixNano": str(BEGAN), "attributes": _pairs(about)}


def test_content_as_events_of_older_versions() -> None:
    calls = [{"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    events = [
        _event("gen_ai.system.message", content="Be brief."),
        _event("gen_ai.user.message", content="hi"),
        _event("gen_ai.assistant.message", tool_calls=json.dumps(calls)),
        _event("gen_ai.tool.message", id="t1", content="7"),
        _event("gen_ai.choice", index=0, finish_reason="stop", message=json.dumps({"content": "seven"})),
        _event("exception", **{"exception.message": "no"}),
    ]
    (call,) = _calls(_span(_chat(), events=events))
    assert [each["role"] for each in call.body["messages"]] == ["system", "user", "assistant", "tool"]
    assert call.body["messages"][2]["tool_calls"] == calls
    assert call.body["messages"][3] == {"role": "tool", "content": "7", "tool_call_id": "t1"}
    assert call.answer and call.answer["choices"][0]["message"]["content"] == "seven"
    assert call.answer["choices"][0]["finish_reason"] == "stop"


def test_content_in_the_flat_form_of_openllmetry() -> None:
    about = _chat() | {
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": "hi",
        "gen_ai.prompt.1.role": "assistant",
        "gen_ai.prompt.1.tool_calls.0.id": "t1",
        "gen_ai.prompt.1.tool_calls.0.name": "f",
        "gen_ai.prompt.1.tool_calls.0.arguments": '{"a": 1}',
        "gen_ai.prompt.2.role": "tool",
        "gen_ai.prompt.2.content": "7",
        "gen_ai.prompt.2.tool_call_id": "t1",
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.content": "seven",
        "gen_ai.completion.0.finish_reason": "stop",
        "llm.request.functions.0.name": "f",
        "llm.request.functions.0.parameters": '{"type": "object"}',
    }
    (call,) = _calls(_span(about))
    asked = call.body["messages"]
    assert asked[0] == {"role": "user", "content": "hi"}
    assert asked[1]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a": 1}'}
    assert asked[2]["tool_call_id"] == "t1"
    assert call.body["tools"][0]["function"] == {"name": "f", "parameters": {"type": "object"}}
    assert call.answer and call.answer["choices"][0]["message"]["content"] == "seven"


def test_content_in_the_form_of_openinference() -> None:
    about = {
        "openinference.span.kind": "LLM",
        "llm.provider": "openai",
        "llm.model_name": "gpt-4o-mini",
        "llm.invocation_parameters": '{"temperature": 0.1, "max_tokens": null, "api_key": "sk-live-1"}',
        "llm.token_count.prompt": 229,
        "llm.token_count.completion": 21,
        "llm.token_count.prompt_details.cache_read": 128,
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.contents.0.message_content.type": "text",
        "llm.input_messages.0.message.contents.0.message_content.text": "hi",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.tool_calls.0.tool_call.id": "t1",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "f",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": "{}",
        "llm.tools.0.tool.json_schema": '{"type": "function", "function": {"name": "f"}}',
    }
    (call,) = _calls(_span(about))
    assert call.usage == Usage(input=101, cache_read=128, output=21)
    assert call.body["messages"][0]["content"] == [{"type": "text", "text": "hi"}]
    assert call.body["tools"] == [{"type": "function", "function": {"name": "f"}}]
    assert "api_key" not in call.body and call.body["temperature"] == 0.1
    assert call.answer and call.answer["choices"][0]["finish_reason"] == "tool_calls"
    assert call.answer["choices"][0]["message"]["tool_calls"][0]["id"] == "t1"


def test_the_model_asked_for_stands_in_the_request_and_tool_calls_are_the_reason() -> None:
    about = {
        "openinference.span.kind": "LLM",
        "llm.model_name": "gpt-4o-mini-2024-07-18",
        "llm.invocation_parameters": '{"model": "gpt-4o-mini"}',
        "llm.output_messages.0.message.content": "four",
        "llm.token_count.prompt": 4,
    }
    (call,) = _calls(_span(about))
    assert call.model == "gpt-4o-mini" and call.answer and call.answer["model"] == "gpt-4o-mini-2024-07-18"
    said = [
        {"role": "assistant", "parts": [{"type": "tool_call", "name": "f"}], "finish_reason": "tool_call"}
    ]
    (call,) = _calls(_span(_chat() | {"gen_ai.output.messages": json.dumps(said)}))
    assert call.answer and call.answer["choices"][0]["finish_reason"] == "tool_calls"


def test_the_providers_own_json_stays_as_it_is() -> None:
    whole = {"object": "chat.completion", "choices": [{"index": 0, "message": {"content": "4"}}]}
    asked = {"messages": [{"role": "user", "content": "2+2?"}], "model": "m"}
    about = {"openinference.span.kind": "LLM", "llm.model_name": "m", "output.value": json.dumps(whole)}
    (call,) = _calls(_span({**about, "input.value": json.dumps(asked)}))
    assert call.answer == whole and call.body["messages"] == asked["messages"]


def test_an_sdk_span_inside_a_framework_span_is_one_call_in_any_order_and_over_lines() -> None:
    spans = [
        _span(_chat(), "framework"),
        _span({"http.request.method": "POST"}, "http", "framework", 5),
        _span(_chat(), "sdk", "http", 9),
    ]
    for order in (spans, spans[::-1]):
        assert [call.id.partition(":")[2] for call in _calls(*order)] == ["sdk"]
        found = _read(*map(_request, order))
        assert [each.id.partition(":")[2] for each in found if isinstance(each, Imported)] == ["sdk"]


def test_agents_tools_and_workflows_are_no_calls_and_what_they_call_is() -> None:
    spans = [
        _span(_chat(gen_ai__operation__name="invoke_agent"), "agent"),
        _span(_chat(), "one", "agent", 1),
        _span({"gen_ai.operation.name": "execute_tool"}, "tool", "one", 2),
        _span(_chat(), "two", "tool", 3),
        _span({"gen_ai.operation.name": "invoke_workflow", "gen_ai.usage.input_tokens": 9}, "flow"),
    ]
    assert [call.id.partition(":")[2] for call in _calls(*spans)] == ["one", "two"]


def test_side_by_side_spans_of_one_answer_are_one_call_and_gateway_ids_do_not_collapse() -> None:
    about = _chat(gen_ai__response__id="chatcmpl-9")
    bare = {key: value for key, value in about.items() if "usage" not in key}
    same = [_span(bare, "framework", "root"), _span(about, "sdk", "root", 5)]
    assert [call.id.partition(":")[2] for call in _calls(*same)] == ["sdk"]
    later = _span(about, "later", "root", 10 * 10**9)
    other = _span(about | {"gen_ai.usage.output_tokens": 9}, "other", "root", 5)
    assert len(_calls(*same, later, other)) == 3


def test_the_same_span_exported_twice_is_in_the_ledger_once(tmp_path: Any) -> None:
    line = _request(_span(_chat()))
    imported(tmp_path, [line, line], "otlp")
    imported(tmp_path, [line], "otlp")
    (fact,) = facts(tmp_path)
    assert fact.cost == 2000 * 150 + 7 * 600


def test_embeddings_and_text_completions() -> None:
    about = {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "text-embedding-3-small"}
    (call,) = _calls(_span({**about, "gen_ai.usage.input_tokens": 4}))
    assert (call.api, call.usage, call.partial) == ("embeddings", Usage(input=4), True)
    (call,) = _calls(_span({**about, "embedding.embeddings.0.embedding.text": "a"}))
    assert (call.body["input"], call.partial) == (["a"], False)
    about = _chat(gen_ai__operation__name="text_completion") | {
        "gen_ai.prompt": "once",
        "gen_ai.completion": "upon",
    }
    (call,) = _calls(_span(about))
    assert (call.api, call.body["prompt"]) == ("completions", "once")
    assert call.answer and call.answer["choices"][0]["text"] == "upon"


def test_failures_keep_status_and_kind() -> None:
    about = {key: value for key, value in _chat().items() if "usage" not in key} | {
        "error.type": "RateLimitError"
    }
    status = {"code": 2, "message": "Error code: 429 - key sk-live-1 has no money left"}
    (call,) = _calls(_span(about, status=status))
    assert (call.status, call.error, call.usage) == (429, "RateLimitError", None)
    (call,) = _calls(_span(_chat(), status={"code": "STATUS_CODE_ERROR"}))
    assert call.status == 200 and not call.error


def test_console_spans_and_snake_case() -> None:
    console = {
        "name": "chat m",
        "context": {"trace_id": "0x1", "span_id": "0x2"},
        "parent_id": None,
        "start_time": "2026-11-01T09:30:00Z",
        "end_time": "2026-11-01T09:30:01Z",
        "status": {"status_code": "OK"},
        "attributes": _chat(),
    }
    raw = _span(_chat())
    snake = {
        "trace_id": raw["traceId"],
        "span_id": "s",
        "start_time_unix_nano": str(BEGAN),
        "attributes": raw["attributes"],
    }
    found = _read(console, {"resource_spans": [{"scope_spans": [{"spans": [snake]}]}]})
    assert len(found) == 2 and all(isinstance(each, Imported) for each in found)


def test_other_signals_are_nothing_and_what_is_no_otlp_is_told() -> None:
    assert _read({"resourceLogs": []}, {"resourceMetrics": []}) == []
    (found,) = _read({"spans": "?"})
    assert isinstance(found, Unusable) and "resourceSpans" in found.why
    (found,) = _read(_request(_span(_chat(), startTimeUnixNano="0")))
    assert isinstance(found, Unusable) and "start time" in found.why
    (found,) = _read(_request(_span(_chat(gen_ai__operation__name="image_generation"))))
    assert isinstance(found, Unusable)


def test_tokens_of_any_key_that_is_no_token_are_ignored() -> None:
    odd = _chat(gen_ai__usage__input_tokens="many", gen_ai__usage__output_tokens=-3)
    (found,) = _read(_request(_span(odd)))
    assert isinstance(found, Unusable) and "token counts" in found.why
    (call,) = _calls(_span({**odd, "gen_ai.prompt": "hi"}))
    assert call.usage is None and not call.partial


@given(
    fresh=st.integers(1, 10**6),
    read_=st.integers(0, 10**6),
    wrote=st.integers(0, 10**6),
    out=st.integers(0, 10**6),
)
def test_no_token_is_lost_or_counted_twice(fresh: int, read_: int, wrote: int, out: int) -> None:
    about = _chat() | {
        "gen_ai.usage.input_tokens": fresh + read_ + wrote,
        "gen_ai.usage.output_tokens": out,
        "gen_ai.usage.cache_read.input_tokens": read_,
        "gen_ai.usage.cache_creation.input_tokens": wrote,
    }
    (call,) = _calls(_span(about))
    assert call.usage == Usage(input=fresh, cache_read=read_, cache_write=wrote, output=out)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
_KEYS = st.sampled_from(
    [
        *_chat(),
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


@given(st.dictionaries(_KEYS, _JSON | _JSON.map(json.dumps), max_size=6))
def test_whatever_an_attribute_holds_nothing_breaks(odd: Json) -> None:
    raw = _span({})
    console = {**raw, "attributes": {**_chat(), **odd}, "context": {}}
    assert len(_read(_request(raw), console)) <= 1


@pytest.mark.parametrize("field", ["spans", "scopeSpans", "resource", "attributes", "events", "status"])
@given(odd=_JSON)
def test_whatever_a_document_holds_nothing_breaks(field: str, odd: Any) -> None:
    span = _span(_chat())
    request = _request({**span, field: odd} if field in ("attributes", "events", "status") else span)
    resource = request["resourceSpans"][0]
    if field in ("scopeSpans", "resource"):
        resource[field] = odd
    if field == "spans":
        resource["scopeSpans"][0]["spans"] = odd
    _read(request)
