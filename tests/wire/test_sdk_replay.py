"""What we play back must be what the real SDKs' own stream helpers accept."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import msgspec
import pytest

from costopt import wire
from costopt.types import Reply
from costopt.wire import sse

openai = pytest.importorskip("openai")

needs_anthropic = pytest.mark.skipif(
    importlib.util.find_spec("anthropic") is None or importlib.util.find_spec("httpx2") is None,
    reason="anthropic 2.x and its httpx2 are not installed",
)


def serve(library: str, payload: bytes) -> Any:
    """An http client that answers every request with `payload` as an event stream."""
    module = importlib.import_module(library)

    def answer(request: Any) -> Any:
        return module.Response(200, headers={"content-type": "text/event-stream"}, content=payload)

    return module.Client(transport=module.MockTransport(answer))


def openai_client(payload: bytes) -> Any:
    library = "httpx" if int(openai.__version__.split(".")[0]) < 3 else "httpx2"
    return openai.OpenAI(api_key="sk-test", http_client=serve(library, payload), max_retries=0)


def anthropic_client(payload: bytes) -> Any:
    anthropic = importlib.import_module("anthropic")
    return anthropic.Anthropic(api_key="sk-test", http_client=serve("httpx2", payload), max_retries=0)


CHAT: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "gpt-4o-mini-2024-07-18",
    "service_tier": "default",
    "system_fingerprint": "fp_1",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Paris, naïve 🥖",
                "refusal": None,
                "annotations": [],
            },
            "logprobs": {
                "content": [{"token": "Paris", "logprob": -0.1, "bytes": [80], "top_logprobs": []}],
                "refusal": None,
            },
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
}

TOOLS: dict[str, Any] = {
    **{key: CHAT[key] for key in ("id", "object", "created", "model", "usage")},
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": f"call_{number}",
                        "type": "function",
                        "function": {"name": "weather", "arguments": f'{{"city": "Rome {number}"}}'},
                    }
                    for number in range(2)
                ],
            },
            "finish_reason": "tool_calls",
        }
    ],
}

TWO: dict[str, Any] = {
    **CHAT,
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "one"}, "finish_reason": "stop"},
        {"index": 1, "message": {"role": "assistant", "content": "two"}, "finish_reason": "stop"},
    ],
}

ASKED: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
ASK: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Capital?"}]}


def played(api: Any, body: dict[str, Any], request: dict[str, Any]) -> bytes:
    return wire.answer_stream(api, Reply(body=msgspec.json.encode(body)), request)


@pytest.mark.parametrize("body", [CHAT, TOOLS, TWO])
def test_openai_chat_stream_helper_adds_up_to_the_answer(body: dict[str, Any]) -> None:
    client = openai_client(played("chat", body, ASKED))
    with client.chat.completions.stream(**ASK, stream_options={"include_usage": True}) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    for choice, expected in zip(final.choices, body["choices"], strict=True):
        assert choice.message.content == expected["message"]["content"]
        assert choice.finish_reason == expected["finish_reason"]
        calls = [(c.id, c.function.name, c.function.arguments) for c in choice.message.tool_calls or ()]
        assert calls == [
            (c["id"], c["function"]["name"], c["function"]["arguments"])
            for c in expected["message"].get("tool_calls", ())
        ]
    assert final.usage.prompt_tokens == 9
    if body is CHAT:
        assert "content.done" in kinds and "logprobs.content.done" in kinds
    if body is TOOLS:
        assert kinds.count("tool_calls.function.arguments.done") == 2


def test_openai_create_stream_reads_chunks_without_usage() -> None:
    stream = openai_client(played("chat", CHAT, {"stream": True})).chat.completions.create(**ASK, stream=True)
    chunks = list(stream)
    said = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert said == "Paris, naïve 🥖"
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


def test_openais_helper_hears_a_refusal() -> None:
    message = {"role": "assistant", "content": None, "refusal": "No."}
    body = {**CHAT, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    with openai_client(played("chat", body, ASKED)).chat.completions.stream(**ASK) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert final.choices[0].message.refusal == "No."
    assert "refusal.done" in kinds


RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1700000000,
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "model": "gpt-5-mini",
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "output": [
        {
            "id": "rs_1",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "Think."}],
            "encrypted_content": "xyz",
        },
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [
                {"type": "output_text", "text": '{"name":"Paris"}', "annotations": [], "logprobs": []},
                {"type": "refusal", "refusal": "no"},
            ],
        },
        {
            "id": "fc_1",
            "type": "function_call",
            "status": "completed",
            "call_id": "call_1",
            "name": "weather",
            "arguments": '{"city":"Paris"}',
        },
        {"id": "ct_1", "type": "custom_tool_call", "call_id": "call_2", "name": "sh", "input": "ls"},
        {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search"}},
    ],
    "usage": {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 8},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 29,
    },
}


def test_openai_responses_stream_helper() -> None:
    client = openai_client(played("responses", RESPONSE, {"stream": True}))
    with client.responses.stream(model="gpt-5-mini", input="Capital?") as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert final.output_text == '{"name":"Paris"}'
    assert [item.type for item in final.output] == [item["type"] for item in RESPONSE["output"]]
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == '{"name":"Paris"}'
    assert [e.sequence_number for e in events] == list(range(len(events)))


def test_openai_responses_create_stream() -> None:
    client = openai_client(played("responses", RESPONSE, {"stream": True}))
    kinds = [e.type for e in client.responses.create(model="gpt-5-mini", input="Capital?", stream=True)]
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"


MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5",
    "content": [
        {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "AAAA"},
        {
            "type": "text",
            "text": "Paris 🥖",
            "citations": [
                {
                    "type": "char_location",
                    "cited_text": "P",
                    "document_index": 0,
                    "document_title": None,
                    "start_char_index": 0,
                    "end_char_index": 1,
                }
            ],
        },
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris", "days": [1, 2]}},
        {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 12,
        "cache_creation_input_tokens": 30,
        "cache_read_input_tokens": 40,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        "output_tokens": 17,
        "service_tier": "standard",
    },
}


@needs_anthropic
def test_anthropic_stream_helper_adds_up_to_the_answer() -> None:
    client = anthropic_client(played("messages", MESSAGE, {"stream": True}))
    with client.messages.stream(
        model="claude-haiku-4-5", max_tokens=50, messages=[{"role": "user", "content": "Capital?"}]
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message()
    assert final.to_dict()["content"] == MESSAGE["content"]
    assert final.stop_reason == "tool_use"
    assert final.usage.output_tokens == 17 and final.usage.cache_read_input_tokens == 40
    assert "citation" in kinds and "input_json" in kinds and "signature" in kinds


@needs_anthropic
def test_anthropics_stream_runs_from_start_to_stop() -> None:
    client = anthropic_client(played("messages", MESSAGE, {"stream": True}))
    kinds = [
        event.type
        for event in client.messages.create(
            model="claude-haiku-4-5",
            max_tokens=50,
            messages=[{"role": "user", "content": "Capital?"}],
            stream=True,
        )
    ]
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop"


@pytest.mark.parametrize(
    ("api", "body"),
    [
        ("chat", CHAT),
        ("chat", TOOLS),
        ("chat", TWO),
        ("responses", RESPONSE),
        ("messages", MESSAGE),
    ],
)
def test_replay_and_assemble_are_inverse(api: Any, body: dict[str, Any]) -> None:
    dialect = wire.dialect(api)
    events = sse.parse(dialect.replay(body, ASKED))
    assert dialect.assemble(events) == body
    assert dialect.complete(events)
    assert dialect.summary(dialect.assemble(events)) == dialect.summary(body)


def test_legacy_completions_are_played_as_openai_reads_them() -> None:
    body = {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1,
        "model": "gpt-3.5-turbo-instruct",
        "choices": [{"index": 0, "text": "Paris", "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
    }
    payload = played("completions", body, ASKED)
    assert wire.dialect("completions").assemble(sse.parse(payload)) == body
    stream = openai_client(payload).completions.create(model="m", prompt="Capital?", stream=True)
    assert [choice.text for chunk in stream for choice in chunk.choices] == ["Paris"]
