"""Chat Completions: the view, the edits, and what its chunks add up to."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from costopt import wire
from costopt.types import Finish, Json
from costopt.wire import sse

CHAT = wire.dialect("chat")
CONVERSATION: Json = {
    "model": "gpt-4o-mini",
    "messages": [
        {"role": "developer", "content": "Be terse."},
        {"role": "user", "content": [{"type": "text", "text": "Weather?"}, {"type": "new_part", "x": 1}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city":"Rome"}'},
                },
                {"id": "c2", "type": "custom", "custom": {"name": "sh", "input": "ls -l"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "18C"},
        {
            "role": "tool",
            "tool_call_id": "c2",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        },
        {"role": "assistant", "content": "18C.", "reasoning_content": "It says so."},
        {"role": "user", "content": "Thanks"},
    ],
    "unknown_field": {"kept": True},
}


def test_a_conversation_is_turns_and_the_first_two_stay() -> None:
    turns = CHAT.turns(CONVERSATION)
    assert [turn.role for turn in turns] == [
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
        "assistant",
        "user",
    ]
    assert [turn.pinned for turn in turns] == [True, True, False, False, False, False, False]
    assert turns[2].calls == ("c1", "c2") and turns[3].answers == ("c1",) and turns[4].answers == ("c2",)
    assert turns[2].text == 'weather\n{"city":"Rome"}\nsh\nls -l'
    assert turns[4].text == "a\nb"
    assert turns[5].text == "18C.\nIt says so."
    assert all(turn.raw is message for turn, message in zip(turns, CONVERSATION["messages"], strict=True))


def test_dropping_turns_leaves_all_else() -> None:
    turns = CHAT.turns(CONVERSATION)
    cut = CHAT.with_turns(CONVERSATION, [turns[0], turns[1], turns[6]])
    assert cut["messages"] == [CONVERSATION["messages"][at] for at in (0, 1, 6)]
    assert cut["unknown_field"] == {"kept": True} and list(cut) == list(CONVERSATION)
    assert len(CONVERSATION["messages"]) == 7


def test_output_replaced_keeps_the_shape() -> None:
    turns = CHAT.turns(CONVERSATION)
    plain, parts = CHAT.with_outputs(turns[3], ["short"]), CHAT.with_outputs(turns[4], ["short"])
    assert plain.raw == {"role": "tool", "tool_call_id": "c1", "content": "short"}
    assert parts.raw["content"] == [{"type": "text", "text": "short"}]
    assert (plain.text, plain.answers, parts.text) == ("short", ("c1",), "short")
    assert turns[3].raw["content"] == "18C"


def test_functions_the_ancestors_of_tools() -> None:
    body = {
        "messages": [
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "1"},
        ],
        "functions": [{"name": "f"}],
    }
    _, call, answer = CHAT.turns(body)
    assert call.calls == answer.answers != () and answer.role == "tool"
    assert CHAT.needs(body) == {"tools"} and '"f"' in CHAT.tools_text(body)


def test_images_and_audio_weigh_and_need() -> None:
    def body(part: Json) -> Json:
        return {"messages": [{"role": "user", "content": [part]}]}

    url = "https://example.com/a.png"
    low = body({"type": "image_url", "image_url": {"url": url, "detail": "low"}})
    high = body({"type": "image_url", "image_url": {"url": url}})
    sound = body({"type": "input_audio", "input_audio": {"data": "A" * 64_000, "format": "wav"}})
    assert [CHAT.turns(it)[0].extra_tokens for it in (low, high, sound)] == [85, 765, 10]
    assert CHAT.needs(low) == {"vision"} and CHAT.needs(sound) == {"audio"}


def test_parameters_tell_what_a_model_must_be_able_to() -> None:
    assert CHAT.needs({"response_format": {"type": "json_object"}, "tools": [{}]}) == {"json_schema", "tools"}
    assert CHAT.needs({"response_format": {"type": "text"}, "reasoning_effort": "none"}) == frozenset()
    assert CHAT.needs({"reasoning_effort": "low", "modalities": ["audio"]}) == {"reasoning", "audio"}


def test_max_output_counts_every_choice() -> None:
    assert CHAT.max_output({"max_tokens": 10}) == 10
    assert CHAT.max_output({"max_completion_tokens": 7, "max_tokens": 10, "n": 3}) == 30
    assert CHAT.max_output({"max_tokens": None}) is None


@pytest.mark.parametrize(
    ("choice", "finish"),
    [
        ({"finish_reason": "stop", "message": {"content": "x"}}, "stop"),
        ({"finish_reason": "stop", "message": {"content": [{"type": "text", "text": "x"}]}}, "stop"),
        ({"finish_reason": "stop", "message": {"content": "", "audio": {"transcript": "x"}}}, "stop"),
        ({"finish_reason": "stop", "message": {"content": " \n"}}, "empty"),
        ({"finish_reason": "stop", "message": {"content": None, "reasoning": "hm"}}, "empty"),
        ({"finish_reason": "stop"}, "empty"),
        ({"finish_reason": "stop", "message": {"refusal": "No."}}, "refusal"),
        ({"finish_reason": "stop", "message": {"tool_calls": [{"id": "c"}]}}, "tool"),
        ({"finish_reason": "tool_calls", "message": {"tool_calls": [{"id": "c"}]}}, "tool"),
        ({"finish_reason": "function_call", "message": {}}, "tool"),
        ({"finish_reason": "length", "message": {}}, "length"),
        ({"finish_reason": "content_filter"}, "filter"),
        ({"finish_reason": None, "message": {"content": "cut"}}, "incomplete"),
        ({"finish_reason": "brand_new"}, "unknown"),
        ({"finish_reason": 7}, "unknown"),
    ],
)
def test_why_an_answer_ended(choice: Json, finish: Finish) -> None:
    body = {"choices": [choice], "model": "m"}
    assert CHAT.summary(body).finish == finish
    assert wire.read_body("chat", 200, (), msgspec.json.encode(body)).finish == finish


def test_one_choice_that_says_something_is_enough() -> None:
    silent: Json = {"finish_reason": "stop", "message": {"content": ""}}
    speaking: Json = {"finish_reason": "stop", "message": {"content": "x"}}
    assert CHAT.summary({"choices": [silent, speaking]}).finish == "stop"
    assert CHAT.summary({"choices": [silent, silent]}).finish == "empty"


def test_the_worst_choice_counts() -> None:
    choices = [{"finish_reason": reason, "message": {}} for reason in ("stop", "length", "stop")]
    assert CHAT.summary({"choices": choices}).finish == "length"


def test_error_in_an_answer_of_status_200() -> None:
    assert wire.read_body("chat", 200, (), b'{"error":{"message":"overloaded"}}').finish == "error"


def chunks(*parts: Json, done: bool = True) -> bytes:
    return b"".join(sse.event(part) for part in parts) + (b"data: [DONE]\n\n" if done else b"")


def delta(value: Json, **rest: Any) -> Json:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": value, "finish_reason": None} | rest]}


def called(index: int, arguments: str, **head: Any) -> Json:
    """A piece of a tool call; the first has its head."""
    function = {"name": head.pop("name")} if head else {}
    return delta({"tool_calls": [{"index": index, **head, "function": {**function, "arguments": arguments}}]})


def assembled(raw: bytes) -> Json:
    return CHAT.assemble(sse.parse(raw))


def test_assemble_tool_calls_that_interleave() -> None:
    raw = chunks(
        delta({"role": "assistant", "content": None}),
        called(0, "", id="c1", type="function", name="f"),
        called(1, "[", id="c2", type="function", name="g"),
        called(0, '{"a":'),
        called(1, "]"),
        called(0, "1}"),
        delta({}, finish_reason="tool_calls"),
    )
    message = assembled(raw)["choices"][0]["message"]
    assert (message["role"], message["content"], len(message)) == ("assistant", None, 3)
    assert message["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
        {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "[]"}},
    ]


def test_assemble_parallel_calls_that_all_have_index_0() -> None:
    """Gemini's OpenAI endpoint does that."""
    raw = chunks(*(called(0, f"{{{n}}}", id=f"c{n}", name="f") for n in range(3)))
    calls = assembled(raw)["choices"][0]["message"]["tool_calls"]
    assert [call["id"] for call in calls] == ["c0", "c1", "c2"]


def test_assemble_keeps_what_it_does_not_know() -> None:
    raw = chunks(
        delta({"role": "assistant", "content": "a", "odd": {"x": 1}})
        | {"obfuscation": "zzz", "provider": "P"},
        delta({"content": "b", "reasoning": "r1", "refusal": None}, logprobs={"content": [{"token": "b"}]}),
        delta({"reasoning": "r2", "annotations": [{"u": 1}]}, logprobs={"content": [{"token": "c"}]}),
        delta({"annotations": [{"u": 2}]}, finish_reason="stop", content_filter_results={"hate": False}),
        {"id": "", "model": "", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
    )
    answer = assembled(raw)
    assert answer["provider"] == "P" and "obfuscation" not in answer
    assert (answer["id"], answer["model"], answer["object"]) == ("c", "m", "chat.completion")
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 2}
    (choice,) = answer["choices"]
    assert choice.pop("message") == {
        "role": "assistant",
        "content": "ab",
        "odd": {"x": 1},
        "reasoning": "r1r2",
        "refusal": None,
        "annotations": [{"u": 1}, {"u": 2}],
    }
    assert choice == {
        "index": 0,
        "finish_reason": "stop",
        "logprobs": {"content": [{"token": "b"}, {"token": "c"}]},
        "content_filter_results": {"hate": False},
    }


def test_a_cut_stream_is_incomplete() -> None:
    raw = chunks(delta({"content": "Par"}), delta({"content": "is"}), done=False)
    reply, complete = wire.read_events("chat", 200, (), raw + b'data: {"choices":[{"index":0,"delta":{"cont')
    assert (reply.finish, complete, wire.output_text("chat", reply)) == ("incomplete", False, "Paris")


def test_complete_without_an_end_marker() -> None:
    finished = chunks(delta({"content": "x"}), delta({}, finish_reason="stop"), done=False)
    assert wire.read_events("chat", 200, (), finished)[1]
    assert not wire.read_events("chat", 200, (), finished + sse.event({"error": {"message": "boom"}}))[1]


def test_error_in_the_middle_of_a_stream() -> None:
    reply, complete = wire.read_events(
        "chat", 200, (), chunks(delta({"content": "x"}), {"error": {"code": 502}})
    )
    assert (reply.finish, complete) == ("error", False)


def test_emoji_cut_in_two_by_chunks() -> None:
    raw = b'data: {"choices":[{"index":0,"delta":{"content":"\\ud83e"}}]}\n\n'
    raw += b'data: {"choices":[{"index":0,"delta":{"content":"\\udd56"},"finish_reason":"stop"}]}\n\n'
    reply, _ = wire.read_events("chat", 200, (), raw)
    assert wire.output_text("chat", reply) == "🥖"
    assert msgspec.json.decode(wire.answer_body("chat", reply))["choices"][0]["message"]["content"] == "🥖"


def test_output_text_is_text_refusal_and_arguments_of_all_choices() -> None:
    call = {"function": {"name": "f", "arguments": '{"a":1}'}}
    body = {
        "choices": [
            {"message": {"content": "one", "reasoning_content": "hidden", "tool_calls": [call]}},
            {"message": {"content": [{"type": "text", "text": "two"}], "refusal": "No."}},
        ]
    }
    assert CHAT.output_text(body) == 'one\n{"a":1}\ntwo\nNo.'
    assert CHAT.written_text(body) == 'one\nhidden\nf\n{"a":1}\ntwo\nNo.'


def test_half_an_emoji_at_the_cut() -> None:
    raw = b'data: {"choices":[{"index":0,"delta":{"content":"Paris \\ud83e"},"finish_reason":"length"}]}\n\n'
    reply, _ = wire.read_events("chat", 200, (), raw)
    assert wire.output_text("chat", reply) == "Paris \ufffd"
    assert wire.answer_stream("chat", reply, {}) == raw
    whole = wire.read_body(
        "chat", 200, (), b'{"choices":[{"message":{"content":"x\\ud83e"},"finish_reason":"stop"}]}'
    )
    assert (whole.finish, wire.output_text("chat", whole)) == ("stop", "x\ufffd")
    assert b"\\ud83e" in wire.answer_stream("chat", whole, {})
