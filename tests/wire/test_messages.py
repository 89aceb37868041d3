"""Anthropic Messages: the view, the edits, and what its events add up to."""

from __future__ import annotations

from typing import Any

import pytest

from costopt import wire
from costopt.types import Finish, Json
from costopt.wire import sse

MESSAGES = wire.dialect("messages")
SYSTEM = [{"type": "text", "text": "Be terse.", "cache_control": {"type": "ephemeral"}}]
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "18C"}
CONVERSATION: Json = {
    "model": "claude-haiku-4-5",
    "max_tokens": 20,
    "system": SYSTEM,
    "messages": [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Rome"}},
            ],
        },
        {"role": "user", "content": [RESULT, {"type": "text", "text": "And be quick."}]},
        {"role": "assistant", "content": "18C."},
    ],
    "metadata": {"user_id": "u"},
}


def test_a_conversation_is_turns_and_the_first_two_stay() -> None:
    turns = MESSAGES.turns(CONVERSATION)
    assert [turn.role for turn in turns] == ["system", "user", "assistant", "tool", "assistant"]
    assert [turn.pinned for turn in turns] == [True, True, False, False, False]
    assert turns[0].raw is SYSTEM and turns[0].text == "Be terse."
    assert (turns[2].calls, turns[3].answers) == (("t1",), ("t1",))
    assert turns[2].text == 'hm\nweather\n{"city":"Rome"}'
    assert turns[3].text == "18C\nAnd be quick."


@pytest.mark.parametrize("system", ["Terse.", SYSTEM, "", [], None])
def test_identity_with_every_kind_of_system(system: Any) -> None:
    body = {**CONVERSATION, "system": system}
    assert MESSAGES.with_turns(body, MESSAGES.turns(body)) == body
    without = {key: value for key, value in CONVERSATION.items() if key != "system"}
    assert MESSAGES.with_turns(without, MESSAGES.turns(without)) == without


def test_dropping_turns_leaves_all_else() -> None:
    turns = MESSAGES.turns(CONVERSATION)
    cut = MESSAGES.with_turns(CONVERSATION, [*turns[:2], turns[4]])
    assert cut == {**CONVERSATION, "messages": [CONVERSATION["messages"][at] for at in (0, 3)]}
    assert "system" not in MESSAGES.with_turns(CONVERSATION, turns[1:])


def results(*contents: Any) -> Json:
    blocks = [{"type": "tool_result", "tool_use_id": f"t{n}", "content": it} for n, it in enumerate(contents)]
    return {"role": "user", "content": blocks}


def test_one_output_is_replaced_whole() -> None:
    for content in ("long " * 50, [{"type": "text", "text": "long " * 50}, {"type": "image", "source": {}}]):
        turn = MESSAGES.turns({"messages": [results(content)]})[0]
        assert MESSAGES.outputs(turn) == ["long " * 50]
        short = MESSAGES.with_outputs(turn, ["short"])
        assert (short.text, short.answers, short.role) == ("short", ("t0",), "tool")
        assert len(short.raw["content"][0]["content"]) == (5 if isinstance(content, str) else 2)


def test_several_outputs_stay_in_place() -> None:
    turn = MESSAGES.turns({"messages": [results("a", [{"type": "image", "source": {}}], "b")]})[0]
    assert MESSAGES.outputs(turn) == ["a", "b"]
    short = MESSAGES.with_outputs(turn, ["A", "B"])
    assert short.raw == results("A", [{"type": "image", "source": {}}], "B")


def test_text_beside_an_output_is_no_output() -> None:
    turn = MESSAGES.turns(CONVERSATION)[3]
    assert MESSAGES.outputs(turn) == ["18C"]
    short = MESSAGES.with_outputs(turn, ["8C"])
    assert short.raw["content"][1] == {"type": "text", "text": "And be quick."}
    assert short.raw["content"][0]["tool_use_id"] == "t1"
    assert short.text == "8C\nAnd be quick."


def test_what_a_search_result_quotes_is_not_replaced() -> None:
    quoted = {
        "type": "search_result",
        "source": "s",
        "title": "t",
        "content": [{"type": "text", "text": "q"}],
    }
    turn = MESSAGES.turns({"messages": [results([{"type": "text", "text": "a"}, quoted])]})[0]
    assert MESSAGES.outputs(turn) == ["a"]
    assert MESSAGES.with_outputs(turn, ["b"]).raw == results([{"type": "text", "text": "b"}, quoted])


def test_a_request_tells_what_a_model_must_be_able_to_and_how_much_it_may_say() -> None:
    image = {"type": "image", "source": {"type": "base64", "data": "AAAA"}}
    body = {"messages": [{"role": "user", "content": [image]}], "tools": [{"name": "f"}], "max_tokens": 9}
    assert MESSAGES.needs(body) == {"vision", "tools"} and MESSAGES.max_output(body) == 9
    assert MESSAGES.needs({"thinking": {"type": "enabled"}}) == {"reasoning"}
    assert MESSAGES.needs({"thinking": {"type": "disabled"}}) == frozenset()
    assert MESSAGES.needs({"output_config": {"format": {"type": "json_schema"}}}) == {"json_schema"}
    assert 0 < MESSAGES.turns(body)[0].extra_tokens <= 1600
    nested = {"messages": [results([image])]}
    assert MESSAGES.needs(nested) == {"vision"} and MESSAGES.turns(nested)[0].extra_tokens > 0


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "tool"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "refusal"),
        ("pause_turn", "incomplete"),
        (None, "incomplete"),
        ("brand_new", "unknown"),
    ],
)
def test_why_an_answer_ended(reason: str | None, finish: Finish) -> None:
    said = [{"type": "text", "text": "x"}]
    assert MESSAGES.summary({"stop_reason": reason, "content": said}).finish == finish


SAID: list[tuple[Any, Finish]] = [
    ([{"type": "text", "text": " "}, {"type": "text", "text": "x"}], "stop"),
    ([{"type": "server_tool_use", "input": {}}], "stop"),
    ([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "\n"}], "empty"),
    ([], "empty"),
    (None, "empty"),
]


@pytest.mark.parametrize(("content", "finish"), SAID)
def test_a_stop_with_nothing_said(content: Any, finish: Finish) -> None:
    assert MESSAGES.summary({"stop_reason": "end_turn", "content": content}).finish == finish


def stream(*events: Json) -> bytes:
    return b"".join(sse.event(event, event["type"]) for event in events)


def block(index: int, start: Json, *deltas: Json) -> list[Json]:
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": it} for it in deltas),
        {"type": "content_block_stop", "index": index},
    ]


START: Json = {
    "type": "message_start",
    "message": {
        "id": "m",
        "model": "claude",
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 1},
    },
}
END: list[Json] = [
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 20}},
    {"type": "message_stop"},
]


def test_counts_of_the_end_replace_those_of_the_start() -> None:
    reply, complete = wire.read_events("messages", 200, (), stream(START, {"type": "ping"}, *END))
    assert complete and reply.finish == "empty" and reply.usage is not None
    assert (reply.usage.input, reply.usage.cache_read, reply.usage.output) == (10, 5, 20)


def test_unknown_deltas_and_blocks_survive() -> None:
    text = block(
        0,
        {"type": "text", "text": ""},
        {"type": "text_delta", "text": "a"},
        {"type": "citations_delta", "citation": {"c": 1}},
        {"type": "text_delta", "text": "b"},
    )
    odd = block(
        1,
        {"type": "compaction", "content": ""},
        {"type": "compaction_delta", "content": "old "},
        {"type": "compaction_delta", "content": "talk"},
    )
    raw = stream(
        START, *text, *odd, *block(2, {"type": "web_search_tool_result", "content": [{"u": 1}]}), *END
    )
    assert MESSAGES.assemble(sse.parse(raw))["content"] == [
        {"type": "text", "text": "ab", "citations": [{"c": 1}]},
        {"type": "compaction", "content": "old talk"},
        {"type": "web_search_tool_result", "content": [{"u": 1}]},
    ]


def test_tool_input_that_was_cut_is_kept_as_text() -> None:
    deltas = [{"type": "input_json_delta", "partial_json": it} for it in ("", '{"city": ', '"Ro')]
    raw = stream(START, *block(0, {"type": "tool_use", "id": "t", "name": "f", "input": {}}, *deltas))
    reply, complete = wire.read_events("messages", 200, (), raw)
    assert not complete and reply.finish == "incomplete"
    assert wire.output_text("messages", reply) == '{"city": "Ro'
    answer = MESSAGES.assemble(sse.parse(raw))
    assert MESSAGES.assemble(sse.parse(MESSAGES.replay(answer, {})))["content"] == answer["content"]


def test_an_emoji_that_deltas_cut_in_two_is_whole_again_in_tool_input() -> None:
    deltas = [{"type": "input_json_delta", "partial_json": it} for it in ('{"a": "\ud83c', '\udfd4"}')]
    tool = block(0, {"type": "tool_use", "id": "t", "name": "f", "input": {}}, *deltas)
    reply, complete = wire.read_events("messages", 200, (), stream(START, *tool, *END))
    assert complete
    assert wire.answer("messages", reply)["content"][0]["input"] == {"a": "🏔"}


def test_error_in_the_middle_of_a_stream() -> None:
    raw = stream(START, {"type": "error", "error": {"type": "overloaded_error"}})
    reply, complete = wire.read_events("messages", 200, (), raw)
    assert (reply.finish, complete) == ("error", False)


def test_output_text_leaves_thinking_out() -> None:
    content = [
        {"type": "thinking", "thinking": "hidden"},
        {"type": "text", "text": "shown"},
        {"type": "tool_use", "input": {"a": 1}},
    ]
    assert MESSAGES.output_text({"content": content}) == 'shown\n{"a":1}'
    assert MESSAGES.written_text({"content": content}) == 'hidden\nshown\n{"a":1}'
