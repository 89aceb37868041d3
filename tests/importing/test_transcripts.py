"""Conversations as calls: one for each assistant message, with what came before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from import_material import answers, bodies, facts, imported, whys

from costopt.importing.formats.transcripts import START

SYSTEM = {"role": "system", "content": "Be brief."}
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
}
TALK = [
    {**SYSTEM, "tok": 7},
    {"role": "user", "content": "Where is it?", "tok": 8},
    {**CALLED, "tok": 9},
    {"role": "tool", "tool_call_id": "c1", "name": "look", "content": "here", "tok": 5},
    {"role": "assistant", "content": "Here.", "tok": 6},
]


def own(messages: list[Any]) -> list[Any]:
    return [{name: value for name, value in each.items() if name != "tok"} for each in messages]


def trace(name: str = "t-1", **more: Any) -> Any:
    return {"trace_id": name, "model": "gpt-4o", "reward": 1.0, "messages": TALK, **more}


def test_each_call_is_all_that_was_said_before_it(tmp_path: Path) -> None:
    done = imported(tmp_path, [trace()], "transcripts", tools=TOOLS)
    assert (done.calls, done.new, done.counted, done.timeless, done.unusable) == (2, 2, 2, 2, [])
    asked = [{"model": "gpt-4o", "tools": TOOLS, "messages": own(TALK[:end])} for end in (2, 4)]
    assert bodies(tmp_path) == asked
    said = [told["choices"][0] for told in answers(tmp_path)]
    assert [choice["message"] for choice in said] == own([TALK[2], TALK[4]])
    assert [choice["finish_reason"] for choice in said] == ["tool_calls", "stop"]
    assert [fact.finish for fact in facts(tmp_path)] == ["tool", "stop"]


def test_anthropics_messages_are_its_own(tmp_path: Path) -> None:
    used = {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "home"}}],
    }
    found = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "here"}]}
    said = {"role": "assistant", "content": "Here."}
    talk = [SYSTEM, {"role": "user", "content": "Where is it?"}, used, found, said]
    imported(tmp_path, [{"trace_id": "t", "model": "claude-sonnet-4-5", "messages": talk}], "transcripts")
    assert [(fact.api, fact.provider, fact.finish) for fact in facts(tmp_path)] == [
        ("messages", "anthropic", "tool"),
        ("messages", "anthropic", "stop"),
    ]
    assert bodies(tmp_path)[1] == {
        "model": "claude-sonnet-4-5",
        "system": SYSTEM["content"],
        "messages": talk[1:4],
    }
    assert [told["content"][0]["type"] for told in answers(tmp_path)] == ["tool_use", "text"]


def test_calls_get_times_in_the_logs_order(tmp_path: Path) -> None:
    imported(tmp_path, [trace("a"), trace("b")], "transcripts")
    found = facts(tmp_path)
    assert [fact.started - START for fact in found] == [n * 2 * 10**9 for n in range(4)]
    assert [fact.tags for fact in found] == [{"trace": name, "time": "synthetic"} for name in "aabb"]


def test_a_model_is_named_where_the_log_has_none_that_has_a_price(tmp_path: Path) -> None:
    logs = [trace("a"), trace("b", model="claude (some agent)"), trace("c", model=None)]
    imported(tmp_path, logs, "transcripts", model="gpt-4o-mini")
    assert [fact.asked for fact in facts(tmp_path)] == ["gpt-4o"] * 2 + ["gpt-4o-mini"] * 4
    assert {body["model"] for body in bodies(tmp_path)} == {"gpt-4o", "gpt-4o-mini"}


def test_no_model_at_all_is_said_for_each_call(tmp_path: Path) -> None:
    done = imported(tmp_path, [trace(model="")], "transcripts")
    assert whys(done) == [(1, "the call names no model: give one with --model")] * 2


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"messages": "hi"}, "no conversation: `messages` is no list of messages with a role"),
        ({"messages": [{"content": "hi"}]}, "no conversation: `messages` is no list of messages with a role"),
        ({"messages": [SYSTEM]}, "no call: the conversation has no assistant message"),
        ('{"messages": [{"role": "us', "broken JSON: the line ends in the middle, as if it was cut off"),
    ],
)
def test_a_line_without_calls_is_named(told: Any, why: str, tmp_path: Path) -> None:
    done = imported(tmp_path, [trace(), told, trace("t-2")], "transcripts")
    assert whys(done) == [(2, why)]
    assert done.new == 4


def test_a_conversation_that_went_on_adds_what_is_new(tmp_path: Path) -> None:
    imported(tmp_path, [trace()], "transcripts")
    more = [*TALK, {"role": "user", "content": "Thanks"}, {"role": "assistant", "content": "Bye"}]
    done = imported(tmp_path, [trace("other"), trace(messages=more)], "transcripts")
    assert (done.calls, done.new, done.known) == (5, 3, 2)


def test_nameless_conversations_that_begin_alike_are_different_ones(tmp_path: Path) -> None:
    nameless = {"model": "gpt-4o", "messages": TALK}
    assert imported(tmp_path, [nameless, nameless], "transcripts").new == 4
    assert imported(tmp_path, [nameless, nameless], "transcripts").new == 0


ROLES = st.sampled_from(["system", "user", "assistant", "tool"])
MESSAGES = st.lists(
    st.builds(lambda role, said: {"role": role, "content": said}, ROLES, st.text(max_size=5)), max_size=8
)


@settings(max_examples=20, deadline=None)
@given(st.lists(MESSAGES, max_size=4))
def test_as_many_calls_as_assistant_messages_and_none_the_second_time(
    tmp_path_factory: Any, talks: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("import")
    logs = [{"trace_id": f"t{n}", "model": "gpt-4o", "messages": talk} for n, talk in enumerate(talks)]
    spoken = sum(each["role"] == "assistant" for talk in talks for each in talk)
    silent = sum(not any(each["role"] == "assistant" for each in talk) for talk in talks)
    done = imported(folder, logs, "transcripts")
    assert (done.new, len(done.unusable)) == (spoken, silent)
    again = imported(folder, logs, "transcripts")
    assert (again.new, again.known) == (0, spoken)
