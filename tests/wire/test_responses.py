"""OpenAI Responses: the view, the edits, and what its events add up to."""

from __future__ import annotations

import pytest

from costopt import wire
from costopt.types import Finish, Json
from costopt.wire import sse

RESPONSES = wire.dialect("responses")


def call(number: int) -> Json:
    return {"type": "function_call", "call_id": f"c{number}", "name": "f", "arguments": "{}"}


def output(number: int, text: str = "yes") -> Json:
    return {"type": "function_call_output", "call_id": f"c{number}", "output": text}


USER: Json = {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]}
THOUGHT: Json = {"type": "reasoning", "id": "r1", "summary": [{"type": "summary_text", "text": "hm"}]}
BODY: Json = {
    "model": "gpt-5",
    "instructions": "Be terse.",
    "input": [
        {"type": "message", "role": "developer", "content": "Metric units."},
        USER,
        THOUGHT,
        call(1),
        call(2),
        output(1),
        output(2),
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "18C"}]},
        {"type": "item_reference", "id": "m1"},
        {"role": "user", "content": "Thanks"},
    ],
    "truncation": "disabled",
}


def test_a_conversation_is_turns_with_its_calls() -> None:
    turns = RESPONSES.turns(BODY)
    assert [turn.role for turn in turns] == [
        *("system", "system", "user", "assistant", "tool", "tool", "assistant", "user", "user")
    ]
    assert [turn.pinned for turn in turns] == [True, True, True, False, False, False, False, True, False]
    assert turns[3].raw == [THOUGHT, call(1), call(2)] and turns[3].calls == ("c1", "c2")
    assert turns[3].text.startswith("hm\n")
    assert (turns[4].answers, turns[5].answers) == (("c1",), ("c2",))


def test_turns_put_back_are_the_request_and_a_cut_leaves_the_rest() -> None:
    turns = RESPONSES.turns(BODY)
    assert RESPONSES.with_turns(BODY, turns) == BODY
    cut = RESPONSES.with_turns(BODY, [*turns[:3], *turns[7:]])
    assert cut == {**BODY, "input": [*BODY["input"][:2], *BODY["input"][8:]]}
    assert "instructions" not in RESPONSES.with_turns(BODY, turns[1:])


def test_input_as_a_plain_string() -> None:
    body = {"model": "m", "input": "hi", "instructions": None}
    (turn,) = RESPONSES.turns(body)
    assert (turn.text, turn.role, turn.pinned) == ("hi", "user", True)
    assert RESPONSES.with_turns(body, [turn]) == body


def test_reasoning_at_the_end_or_before_a_user_stands_alone() -> None:
    body = {"input": [THOUGHT, USER, THOUGHT]}
    assert [turn.raw for turn in RESPONSES.turns(body)] == [THOUGHT, USER, THOUGHT]


def test_outputs_whose_call_the_provider_keeps_are_pinned() -> None:
    body = {"input": [output(1)]}
    assert not RESPONSES.turns(body)[0].pinned
    assert RESPONSES.turns({**body, "previous_response_id": "resp_0"})[0].pinned


def test_output_replaced_keeps_the_shape() -> None:
    parts = {**output(2), "output": [{"type": "input_text", "text": "a"}, {"type": "input_image"}]}
    first, second = RESPONSES.turns({"input": [output(1), parts]})
    assert RESPONSES.with_outputs(first, ["s"]).raw == output(1, "s")
    assert RESPONSES.with_outputs(second, ["s"]).raw["output"] == [
        {"type": "input_text", "text": "s"},
        {"type": "input_image"},
    ]


def test_a_request_tells_what_a_model_must_be_able_to_and_how_much_it_may_say() -> None:
    image = {"role": "user", "content": [{"type": "input_image", "image_url": "https://example.com/a.png"}]}
    body = {"input": [image], "tools": [{}], "reasoning": {"effort": "low"}, "max_output_tokens": 5}
    assert RESPONSES.needs(body) == {"vision", "tools", "reasoning"}
    assert RESPONSES.turns(body)[0].extra_tokens == 765
    assert RESPONSES.max_output(body) == 5 and RESPONSES.max_output({}) is None
    formatted = {"text": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}
    assert RESPONSES.needs(formatted) == {"json_schema"} and "object" in RESPONSES.tools_text(formatted)


@pytest.mark.parametrize(
    ("body", "finish"),
    [
        ({"status": "completed"}, "empty"),
        ({"status": "completed", "output": [{"type": "message", "content": [{"text": "x"}]}]}, "stop"),
        ({"status": "completed", "output": [{"type": "message", "content": "x"}]}, "stop"),
        ({"status": "completed", "output": [{"type": "message", "content": [{"text": " "}]}]}, "empty"),
        ({"status": "completed", "output": [call(1)]}, "tool"),
        ({"status": "completed", "output": [{"type": "web_search_call"}]}, "empty"),
        (
            {"status": "completed", "output": [{"type": "message", "content": [{"type": "refusal"}]}]},
            "refusal",
        ),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "filter"),
        ({"status": "incomplete", "incomplete_details": None}, "incomplete"),
        ({"status": "failed", "error": {"code": "server_error"}}, "error"),
        ({"status": "cancelled"}, "error"),
        ({"status": "queued"}, "incomplete"),
        ({}, "incomplete"),
    ],
)
def test_why_an_answer_ended(body: Json, finish: Finish) -> None:
    assert RESPONSES.summary(body).finish == finish


def test_usage_counts_searches() -> None:
    body = {"usage": {"input_tokens": 5}, "output": [{"type": "web_search_call"}] * 2}
    usage = RESPONSES.summary(body).usage
    assert usage is not None and usage.searches == 2


def stream(*events: Json) -> bytes:
    return b"".join(sse.event(event, event["type"]) for event in events)


CREATED: Json = {
    "type": "response.created",
    "response": {"id": "r", "model": "gpt-5", "status": "in_progress", "output": []},
}
PIECES: list[Json] = [
    CREATED,
    {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "summary": []}},
    {
        "type": "response.reasoning_summary_part.added",
        "output_index": 0,
        "summary_index": 0,
        "part": {"text": ""},
    },
    {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "hm"},
    {"type": "response.output_item.added", "output_index": 1, "item": {"type": "message", "content": []}},
    {
        "type": "response.content_part.added",
        "output_index": 1,
        "content_index": 0,
        "part": {"type": "output_text", "text": "", "annotations": []},
    },
    {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "Pa"},
    {"type": "response.brand_new.delta", "output_index": 1, "delta": "?"},
    {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "ris"},
    {
        "type": "response.output_text.annotation.added",
        "output_index": 1,
        "content_index": 0,
        "annotation": {"u": 1},
    },
    {"type": "response.output_item.added", "output_index": 2, "item": {**call(1), "arguments": ""}},
    {"type": "response.function_call_arguments.delta", "output_index": 2, "delta": '{"a"'},
]


def test_a_cut_stream_is_put_together_from_its_pieces() -> None:
    reply, complete = wire.read_events("responses", 200, (), stream(*PIECES))
    assert (reply.model, reply.finish, complete) == ("gpt-5", "incomplete", False)
    assert wire.answer("responses", reply)["output"] == [
        {"type": "reasoning", "summary": [{"text": "hm"}]},
        {"type": "message", "content": [{"type": "output_text", "text": "Paris", "annotations": [{"u": 1}]}]},
        {**call(1), "arguments": '{"a"'},
    ]
    assert wire.output_text("responses", reply) == 'Paris\n{"a"'
    assert wire.written_text("responses", reply) == 'hm\nParis\nf\n{"a"'


def test_the_closing_event_has_the_last_word() -> None:
    final = {"id": "r", "status": "completed", "output": [{"type": "message", "content": []}]}
    raw = stream(*PIECES, {"type": "response.completed", "response": final})
    assert RESPONSES.assemble(sse.parse(raw)) == final and RESPONSES.complete(sse.parse(raw))


def test_a_closing_event_without_the_output_it_streamed() -> None:
    item = {"type": "message", "content": [{"type": "output_text", "text": "hi"}]}
    raw = stream(
        CREATED,
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": []}},
    )
    assert RESPONSES.assemble(sse.parse(raw))["output"] == [item]


def test_failed_and_broken_streams() -> None:
    failed = {
        "type": "response.failed",
        "response": {"status": "failed", "error": {"code": "x"}, "output": []},
    }
    error = {"type": "error", "code": "server_error", "message": "boom"}
    for last in (failed, error):
        reply, complete = wire.read_events("responses", 200, (), stream(CREATED, last))
        assert (reply.finish, complete) == ("error", False)
