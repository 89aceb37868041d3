"""What was asked and said, in the three places where spans keep it."""

from __future__ import annotations

import json
from typing import Any

from otlp_material import BEGAN, calls_of, chat, pairs, span_of

from costopt.types import Json, Usage


def part(role: str, kind: str, **fields: Any) -> Json:
    """A message of one part."""
    return {"role": role, "parts": [{"type": kind, **fields}]}


def test_content_as_the_parts_of_the_conventions() -> None:
    asked = [
        part("user", "text", content="Weather in Bern?"),
        part("assistant", "tool_call", id="t1", name="weather", arguments={"at": "Bern"}),
        part("tool", "tool_call_response", id=" t1", result="rain"),
    ]
    said = [part("assistant", "text", content="Rain.") | {"finish_reason": "length"}]
    function = {"name": "weather", "parameters": {"type": "object"}}
    about = chat(gen_ai__response__id="chatcmpl-1") | {
        "gen_ai.input.messages": json.dumps(asked),
        "gen_ai.output.messages": said,
        "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be brief."}]),
        "gen_ai.tool.definitions": json.dumps([{"type": "function", **function}]),
    }
    (call,) = calls_of(span_of(about))
    called = {"name": "weather", "arguments": '{"at":"Bern"}'}
    assert call.body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather in Bern?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "t1", "type": "function", "function": called}],
        },
        {"role": "tool", "tool_call_id": "t1", "content": "rain"},
    ]
    assert call.body["tools"][0]["function"] == function
    assert call.answer is not None and call.answer["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": "Rain."}, "finish_reason": "length"}
    ]
    assert call.answer["id"] == "chatcmpl-1" and not call.partial


def event(name: str, **about: Any) -> Json:
    return {"name": name, "timeUnixNano": str(BEGAN), "attributes": pairs(about)}


def test_content_as_events_of_older_versions() -> None:
    calls = [{"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    events = [
        event("gen_ai.system.message", content="Be brief."),
        event("gen_ai.user.message", content="hi"),
        event("gen_ai.assistant.message", tool_calls=json.dumps(calls)),
        event("gen_ai.tool.message", id="t1", content="7"),
        event("gen_ai.choice", index=0, finish_reason="stop", message=json.dumps({"content": "seven"})),
        event("exception", **{"exception.message": "no"}),
    ]
    (call,) = calls_of(span_of(chat(), events=events))
    assert [each["role"] for each in call.body["messages"]] == ["system", "user", "assistant", "tool"]
    assert call.body["messages"][2]["tool_calls"] == calls
    assert call.body["messages"][3] == {"role": "tool", "content": "7", "tool_call_id": "t1"}
    assert call.answer and call.answer["choices"][0]["message"]["content"] == "seven"
    assert call.answer["choices"][0]["finish_reason"] == "stop"


def test_content_in_the_flat_form_of_openllmetry() -> None:
    about = chat() | {
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
    (call,) = calls_of(span_of(about))
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
    (call,) = calls_of(span_of(about))
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
    (call,) = calls_of(span_of(about))
    assert call.model == "gpt-4o-mini" and call.answer and call.answer["model"] == "gpt-4o-mini-2024-07-18"
    said = [part("assistant", "tool_call", name="f") | {"finish_reason": "tool_call"}]
    (call,) = calls_of(span_of(chat() | {"gen_ai.output.messages": json.dumps(said)}))
    assert call.answer and call.answer["choices"][0]["finish_reason"] == "tool_calls"


def test_the_providers_own_json_stays_as_it_is() -> None:
    whole = {"object": "chat.completion", "choices": [{"index": 0, "message": {"content": "4"}}]}
    asked = {"messages": [{"role": "user", "content": "2+2?"}], "model": "m"}
    about = {"openinference.span.kind": "LLM", "llm.model_name": "m", "output.value": json.dumps(whole)}
    (call,) = calls_of(span_of({**about, "input.value": json.dumps(asked)}))
    assert call.answer == whole and call.body["messages"] == asked["messages"]
