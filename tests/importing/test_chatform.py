"""Messages of many tools in one shape: what is a message, and what is only text that looks like one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costopt.importing.chatform import completion, messages, replies
from costopt.importing.chatsettings import settings, tools
from costopt.types import Json
from costopt.wire import dialect


@pytest.mark.parametrize(
    "said",
    [
        '{"answer": 4}',
        '{"content": "x", "confidence": 1}',
        "[1, 2]",
        '["a"',
        '{"type": "object"}',
        "plain",
    ],
)
def test_json_that_a_model_wrote_is_its_text_to_the_letter(said: str) -> None:
    assert replies(said) == [{"role": "assistant", "content": said}]
    assert messages(said) == [{"role": "user", "content": said}]


def test_json_values_without_any_message_in_them_are_text() -> None:
    assert replies({"answer": 4}) == [{"role": "assistant", "content": '{"answer":4}'}]
    assert replies({"content": "four"}) == [{"role": "assistant", "content": "four"}]
    assert messages(["one", "two"]) == [
        {"role": "user", "content": "one"},
        {"role": "user", "content": "two"},
    ]
    assert messages([{"type": "text", "text": "hi"}]) == [{"role": "user", "content": "hi"}]
    assert messages(None) == messages("") == messages([]) == []


def test_messages_of_openai_stay_as_they_are() -> None:
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said: list[Json] = [
        {"role": "developer", "content": "brief", "name": "n"},
        {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "hm"},
        {"role": "tool", "tool_call_id": "t", "content": '{"a": 1}'},
    ]
    assert messages(said) == said == messages(json.dumps(said))


def test_messages_of_frameworks_take_one_shape() -> None:
    assert messages([{"type": "human", "content": "hi"}, {"type": "ai", "content": "ho"}]) == [
        {"type": "human", "content": "hi", "role": "user"},
        {"type": "ai", "content": "ho", "role": "assistant"},
    ]
    vercel: list[Json] = [
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        {
            "role": "assistant",
            "content": [{"type": "tool-call", "toolCallId": "t", "toolName": "f", "args": {}}],
        },
        {"role": "tool", "content": [{"type": "tool-result", "toolCallId": "t", "result": {"a": 1}}]},
    ]
    _, called, answered = messages(vercel)
    assert called["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
    assert answered == {"role": "tool", "tool_call_id": "t", "content": '{"a":1}'}
    gemini = [{"role": "model", "parts": [{"text": "four"}]}]
    assert messages(gemini) == [{"role": "assistant", "content": "four"}]
    image = [{"role": "user", "parts": [{"type": "uri", "modality": "image", "uri": "https://x/y.png"}]}]
    assert messages(image)[0]["content"] == [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]


def test_tools_take_one_shape_and_only_known_settings_are_kept() -> None:
    flat = {"name": "f", "description": "d", "input_schema": {"type": "object"}}
    wrapped = {"name": "f", "description": "d", "parameters": {"type": "object"}}
    assert tools([flat]) == [{"type": "function", "function": wrapped}]
    server = {"type": "web_search_20250305", "name": "web_search"}
    assert tools([server, {"type": "function", "function": wrapped}]) == [
        server,
        {"type": "function", "function": wrapped},
    ]
    assert tools("nothing") == tools([None, 3]) == []
    given = '{"temperature": "0.5", "max_tokens": "Infinity", "n": 1, "api_key": "sk-1", "stop": "None", "seed": "7"}'
    assert settings(given) == {"temperature": 0.5, "n": 1, "seed": 7}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "parts", "type", "text", "tool_calls", "message", "id"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(_JSON)
def test_whatever_was_said_becomes_messages_that_a_dialect_reads(said: Any) -> None:
    chat = dialect("chat")
    assert len(chat.turns({"messages": messages(said)})) == len(messages(said))
    answer = completion(replies(said), "m")
    assert answer is None or chat.summary(answer).finish
