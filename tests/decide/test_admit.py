"""Which answers the cache may keep."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from costopt import wire
from costopt.decide.accept import Check
from costopt.decide.admit import cacheable, lasting, passes, storable
from costopt.policy import Cache
from costopt.types import Api, Reply, Request, Usage

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
#: What asks each API for an answer that follows SCHEMA.
ASKING: list[tuple[Api, dict[str, Any]]] = [
    ("chat", {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}}),
    ("responses", {"text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}}}),
    ("messages", {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}),
    ("messages", {"output_format": {"type": "json_schema", "schema": SCHEMA}}),
]
#: A function `look` that takes SCHEMA, in the words of each API.
TOOLS: list[tuple[Api, dict[str, Any]]] = [
    ("chat", {"tools": [{"type": "function", "function": {"name": "look", "parameters": SCHEMA}}]}),
    ("chat", {"functions": [{"name": "look", "parameters": SCHEMA}]}),
    ("responses", {"tools": [{"type": "function", "name": "look", "parameters": SCHEMA}]}),
    ("messages", {"tools": [{"name": "look", "input_schema": SCHEMA}]}),
]


def request(api: Api, body: dict[str, Any]) -> Request:
    return Request("call-1", api, "m", {"model": "m", **body}, "https://api.example/v1")


def reply(api: Api, *texts: str) -> Reply:
    """Complete answers: choices of a chat, items of Responses, blocks of a message."""
    body: dict[str, Any]
    if api == "chat":
        said = [{"role": "assistant", "content": text} for text in texts]
        body = {"choices": [{"message": each, "finish_reason": "stop"} for each in said]}
    elif api == "responses":
        parts = [[{"type": "output_text", "text": text}] for text in texts]
        output = [{"type": "message", "role": "assistant", "content": part} for part in parts]
        body = {"status": "completed", "output": [{"type": "reasoning", "summary": []}, *output]}
    else:
        blocks = [{"type": "text", "text": text} for text in texts]
        body = {"stop_reason": "end_turn", "content": [{"type": "thinking", "thinking": "hm"}, *blocks]}
    return wire.read_body(api, 200, (), msgspec.json.encode(body))


def calling(api: Api, asked: dict[str, Any], arguments: str) -> Reply:
    called = {"name": "look", "arguments": arguments}
    body: dict[str, Any]
    if api == "responses":
        body = {"status": "completed", "output": [{"type": "function_call", "call_id": "c", **called}]}
    elif "functions" in asked:
        body = {"choices": [{"message": {"function_call": called}, "finish_reason": "function_call"}]}
    else:
        call = {"id": "c", "type": "function", "function": called}
        body = {"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    return wire.read_body(api, 200, (), msgspec.json.encode(body))


def using(arguments: str) -> Reply:
    """A streamed message that calls `look`."""
    events = [
        {"type": "message_start", "message": {"id": "m", "content": []}},
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "tool_use", "name": "look", "input": {}},
        },
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "input_json_delta", "partial_json": arguments},
        },
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
        {"type": "message_stop"},
    ]
    data = b"".join(
        f"event: {event['type']}\ndata: ".encode() + msgspec.json.encode(event) + b"\n\n" for event in events
    )
    return wire.read_events("messages", 200, (), data)[0]


def kept(asked: Request, given: Reply, **rules: Any) -> bool:
    return not storable(asked, given, Cache(**rules))


@pytest.mark.parametrize(("api", "body"), ASKING)
def test_an_answer_that_misses_the_schema_asked_for_is_not_kept(api: Api, body: dict[str, Any]) -> None:
    asked = request(api, body)
    assert kept(asked, reply(api, '{"n": 1}'))
    assert kept(asked, reply(api, '{"n": 1}', '{"n": 2}'))
    for wrong in ("{}", '{"n": "1"}', "Sure! Here it is: {", '```json\n{"n": 1}\n```'):
        assert storable(asked, reply(api, wrong), Cache()) == "it is not the JSON that was asked for"
        assert not kept(asked, reply(api, '{"n": 1}', wrong))
        assert kept(request(api, {}), reply(api, wrong)), "nothing was asked for"


@pytest.mark.parametrize(
    ("api", "body"),
    [
        ("chat", {"response_format": {"type": "json_object"}}),
        ("responses", {"text": {"format": {"type": "json_object"}}}),
    ],
)
def test_json_without_a_schema_must_be_json(api: Api, body: dict[str, Any]) -> None:
    assert kept(request(api, body), reply(api, '{"any": "thing"}'))
    assert not kept(request(api, body), reply(api, "Sure! Here is the JSON: {"))
    free = {"response_format": {"type": "text"}, "text": {"format": {"type": "text"}}}
    assert kept(request(api, free), reply(api, "plain words"))


def phased(*said: tuple[str | None, str]) -> Reply:
    """A Responses answer of messages, each of a phase."""
    output = [
        {"type": "message", "phase": phase, "content": [{"type": "output_text", "text": text}]}
        for phase, text in said
    ]
    return wire.read_body(
        "responses", 200, (), msgspec.json.encode({"status": "completed", "output": output})
    )


def test_only_the_final_answer_need_be_what_was_asked_for() -> None:
    asked = request("responses", ASKING[1][1])
    thought = ("commentary", "Let me think.")
    assert kept(asked, phased(thought, ("final_answer", '{"n": 1}')))
    assert kept(asked, phased(thought, (None, '{"n": 1}')))
    assert not kept(asked, phased(thought, ("final_answer", "{}")))
    assert not kept(asked, phased((None, "{}"), ("final_answer", '{"n": 1}')))
    assert not kept(asked, phased(thought)), "no answer came"


@pytest.mark.parametrize(("api", "body"), ASKING)
def test_a_cascade_asks_of_an_answer_what_the_cache_asks(api: Api, body: dict[str, Any]) -> None:
    asked, good = request(api, body), '{"n": 1}'
    checks: tuple[Check, ...] = ("json", "json_schema", "non_empty")
    for check in checks:
        assert passes(asked, reply(api, good), check)
        assert passes(asked, reply(api, good, good), check)
        assert not passes(asked, reply(api), check)
    assert not passes(asked, reply(api, good, "{}"), "json_schema")
    assert not passes(asked, reply(api, good, "no"), "json")
    assert passes(asked, reply(api, good, "\n"), "non_empty")
    assert passes(asked, reply(api), "none")


def test_a_streamed_answer_is_checked_as_well() -> None:
    asked = request("chat", ASKING[0][1])
    for text, fits in (('{\\"n\\": 1}', True), ("{}", False)):
        data = f'data: {{"choices": [{{"index": 0, "delta": {{"content": "{text}"}}}}]}}\n\n'
        data += 'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
        assert kept(asked, wire.read_events("chat", 200, (), data.encode())[0]) is fits


@pytest.mark.parametrize(("api", "body"), TOOLS)
def test_tool_calls_are_kept_by_opt_in_and_only_where_the_tool_can_read_them(
    api: Api, body: dict[str, Any]
) -> None:
    def answer(arguments: str) -> Reply:
        return using(arguments) if api == "messages" else calling(api, body, arguments)

    asked = request(api, body)
    assert answer('{"n": 1}').finish == "tool"
    assert storable(asked, answer('{"n": 1}'), Cache()) == "it calls tools"
    assert kept(asked, answer('{"n": 1}'), tool_calls=True)
    for wrong in ('{"n": 1', '{"m": 1}', "[1]"):
        assert not kept(asked, answer(wrong), tool_calls=True), wrong


def test_the_free_text_of_a_custom_tool_is_no_json() -> None:
    call = {"id": "c", "type": "custom", "custom": {"name": "run", "input": "print(1)"}}
    body = {"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    asked = request("chat", {"tools": [{"type": "custom", "custom": {"name": "run"}}]})
    assert kept(asked, wire.read_body("chat", 200, (), msgspec.json.encode(body)), tool_calls=True)


def test_an_answer_whose_text_was_not_recorded_passes() -> None:
    asked = request("chat", {**ASKING[0][1], **TOOLS[0][1]})
    assert kept(asked, Reply(finish="stop"))
    assert kept(asked, Reply(finish="tool"), tool_calls=True)


def test_a_stored_answer_gives_no_cookie_limit_or_time_of_another_call_back() -> None:
    lasts = (("content-type", "application/json"), ("x-request-id", "req_1"))
    fleeting = (
        ("Set-Cookie", "a=b"),
        ("x-ratelimit-remaining-tokens", "7"),
        ("Date", "today"),
        ("retry-after", "1"),
    )
    assert lasting((*lasts, *fleeting)) == lasts


@pytest.mark.parametrize(
    ("api", "body"),
    [
        ("chat", {"web_search_options": {}}),
        ("chat", {"tools": [{"google_search": {}}]}),
        ("chat", {"tools": [{"googleSearch": {}}]}),
        ("chat", {"search_parameters": {"mode": "on"}}),
        ("chat", {"plugins": [{"id": "web"}]}),
        ("chat", {"extra_body": {"plugins": [{"id": "web"}]}}),
        ("messages", {"mcp_servers": [{"type": "url", "url": "https://x/sse", "name": "x"}]}),
        ("responses", {"prompt": {"id": "pmpt_1"}}),
        ("responses", {"store": True}),
        ("chat", {"extra_body": {"store": True}}),
    ],
)
def test_a_call_that_has_its_provider_do_more_is_not_cached(api: Api, body: dict[str, Any]) -> None:
    assert cacheable(request(api, {}), Cache()) == ""
    assert cacheable(request(api, body), Cache()) != ""


@pytest.mark.parametrize(
    "model", ["gpt-4o-search-preview", "sonar-pro", "openai/gpt-4o:online", "o3-deep-research"]
)
def test_a_model_that_searches_unasked_is_not_cached(model: str) -> None:
    asked = replace(request("chat", {}), model=model)
    assert cacheable(asked, Cache()) == "the model searches the web unasked"


def test_an_answer_that_was_looked_up_is_not_kept() -> None:
    """A template, an alias or a deployment hides from the request what its answer tells."""
    asked, answer = request("chat", {}), replace(reply("chat", "News"), usage=Usage(5, output=2))
    assert kept(asked, answer)
    looked_up = "the provider searched the web for it"
    assert storable(asked, replace(answer, usage=Usage(5, output=2, searches=1)), Cache()) == looked_up
    assert storable(asked, replace(answer, model="gpt-4o-search-preview-2025-03-11"), Cache()) == looked_up
