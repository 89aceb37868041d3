"""Codex sessions: each response one call, however often its count is told or its conversation copied."""

from __future__ import annotations

from typing import Any

import pytest
from codex_material import START, Rollout, calls_in, message, moment, named, ns, session_of, sums, uuid
from hypothesis import given
from hypothesis import strategies as st

from costopt.importing.words import Options


def test_one_call_for_each_count_with_disjoint_buckets() -> None:
    calls = calls_in(session_of().lines)
    assert sums(calls) == (3, 3300, 87)
    first, second, third = (call.usage for call in calls)
    assert first and (first.input, first.cache_read, first.output, first.reasoning) == (1000, 0, 50, 20)
    assert second and (second.input, second.cache_read) == (200, 900)
    assert third and (third.input, third.cache_read, third.output) == (100, 1100, 7)
    assert [call.model for call in calls] == ["gpt-5-codex", "gpt-5-codex", "gpt-5.5"]
    assert calls[0].tags == {"session": uuid(0), "project": "shop", "branch": "main", "version": "0.140.0"}
    assert all(call.partial and call.api == "responses" and call.provider == "openai" for call in calls)
    assert (calls[0].at, calls[0].ended) == (ns(3), ns(5))


def test_the_conversation_is_rebuilt_in_the_shape_of_the_responses_api() -> None:
    calls = calls_in(session_of().lines)
    kinds = [[item.get("role") or item["type"] for item in call.body["input"]] for call in calls]
    assert kinds[0] == ["user"]
    assert kinds[1] == ["user", "reasoning", "function_call", "function_call_output"]
    assert kinds[2] == [*kinds[1], "assistant", "user"]
    assert calls[0].body["instructions"] == "Be brief." and calls[0].body["reasoning"] == {"effort": "high"}
    assert calls[0].answer and [item["type"] for item in calls[0].answer["output"]] == [
        "reasoning",
        "function_call",
    ]
    assert calls[2].answer and calls[2].answer["output"] == [message("assistant", "nothing")]


def test_counts_that_come_before_the_items_belong_to_them() -> None:
    rollout = Rollout(uuid(0))
    rollout.turn("1")
    rollout.user("go")
    rollout.count(100, 0, 5)
    rollout.calls("c1")
    rollout.output("c1")
    rollout.count(200, 90, 6)
    rollout.says("done")
    calls = calls_in(rollout.lines)
    assert sums(calls) == (2, 300, 11)
    outputs = [call.answer and call.answer["output"][0]["type"] for call in calls]
    assert outputs == ["function_call", "message"]
    assert [len(call.body["input"]) for call in calls] == [1, 3]


def test_a_fork_copies_the_conversation_with_new_times_and_it_counts_once() -> None:
    parent = session_of()
    fork = Rollout(uuid(60_000, 2), forked_from_id=uuid(0))
    fork.second = 59
    for line in parent.lines:
        fork.lines.append({**line, "timestamp": moment(60)})
    fork.totals = list(parent.totals)
    fork.turn(uuid(61_000, 2))
    fork.user("try another way")
    fork.says("I did")
    fork.count(1300, 1200, 9)
    for files in ([parent.lines, fork.lines], [fork.lines, parent.lines], [fork.lines]):
        calls = calls_in(*files)
        assert sums(calls) == (4, 4600, 96)
    alone = calls_in(fork.lines)
    assert alone[-1].tags["session"] == uuid(60_000, 2)
    assert alone[0].at == START * 10**6 + 10 * 10**6
    assert len(alone[-1].body["input"]) == 8


def test_forks_whose_turns_are_only_numbered_count_once_too() -> None:
    parent = Rollout(uuid(0))
    parent.turn("1")
    parent.user("go")
    parent.says("gone")
    parent.count(10, 0, 1)
    fork = Rollout(uuid(60_000, 2), forked_from_id=uuid(0))
    fork.lines += parent.lines
    fork.totals = list(parent.totals)
    fork.turn("2")
    fork.user("more")
    fork.says("yes")
    fork.count(20, 0, 1)
    grandchild = Rollout(uuid(90_000, 3), forked_from_id=uuid(60_000, 2))
    grandchild.lines += fork.lines
    for files in ([parent, fork, grandchild], [grandchild, fork, parent]):
        assert sums(calls_in(*(each.lines for each in files))) == (2, 30, 2)


def test_subagents_without_copied_counts_keep_their_first_call() -> None:
    parent = session_of()
    spawned = {"subagent": {"thread_spawn": {"parent_thread_id": uuid(0)}}}
    agent = Rollout(uuid(5_000, 3), forked_from_id=uuid(0), source=spawned)
    agent.line("session_meta", {"id": uuid(0)})
    agent.lines += [line for line in parent.lines if line["type"] == "response_item"]
    agent.turn(uuid(5_100, 3))
    agent.says("looked")
    agent.count(400, 0, 4)
    calls = calls_in(parent.lines, agent.lines)
    assert sums(calls) == (4, 3700, 91)
    assert calls[-1].tags["sidechain"] == "true" and calls[-1].tags["session"] == uuid(5_000, 3)


def test_two_sessions_with_the_same_counts_are_two_calls_each() -> None:
    first, second = (session_of(start, tail) for start, tail in ((0, 1), (50_000, 2)))
    assert sums(calls_in(first.lines, second.lines)) == (6, 6600, 174)


@pytest.mark.parametrize("early", [True, False])
def test_a_record_with_a_response_id_and_its_count_are_one_call(early: bool) -> None:
    rollout = Rollout(uuid(0))
    for turn in (uuid(10), uuid(20)):
        rollout.turn(turn)
        for name in ("a", "b"):
            rollout.user("go")
            rollout.says("gone")
            if early:
                rollout.record(f"{turn}{name}", turn, 100, 10, 5)
            rollout.count(100, 10, 5)
            if not early:
                rollout.record(f"{turn}{name}", turn, 100, 10, 5)
    calls = calls_in(rollout.lines, rollout.lines)
    assert sums(calls) == (4, 400, 20)
    assert all(call.answer and call.answer["output"] for call in calls)


def test_compactions_with_a_record_are_calls_and_what_follows_starts_from_the_summary() -> None:
    rollout = session_of()
    rollout.record("resp_c", uuid(9000), 1250, 1200, 400)
    rollout.line("compacted", {"message": "", "replacement_history": [message("user", "summary")]})
    rollout.user("go on")
    rollout.says("ok")
    rollout.record("resp_d", uuid(9000), 300, 0, 3)
    calls = calls_in(rollout.lines)
    assert sums(calls) == (5, 3300 + 1550, 87 + 403)
    assert calls[3].answer is None and calls[4].body["input"] == [
        message("user", "summary"),
        message("user", "go on"),
    ]


def test_only_totals_are_taken_apart() -> None:
    rollout = Rollout(uuid(0))
    rollout.turn(uuid(1))
    for said in ("a", "b", "c"):
        rollout.user(said)
        rollout.says(said)
        rollout.count(100, 60, 5, last=False)
    assert sums(calls_in(rollout.lines)) == (3, 300, 15)


def test_counts_of_the_last_call_alone_are_new_when_something_was_written() -> None:
    rollout = Rollout(uuid(0))
    rollout.turn(uuid(1))
    for _ in range(3):
        rollout.user("again")
        rollout.says("same")
        rollout.count(100, 60, 5, total=False)
        rollout.count(100, 60, 5, total=False)
    assert sums(calls_in(rollout.lines)) == (3, 300, 15)


def test_a_filled_up_window_and_empty_counts_are_no_calls() -> None:
    rollout = session_of()
    rollout.line("event_msg", {"type": "token_count", "info": None})
    full = {"total_tokens": 272_000, "input_tokens": 0, "output_tokens": 0}
    rollout.line(
        "event_msg", {"type": "token_count", "info": {"total_token_usage": full, "last_token_usage": full}}
    )
    assert sums(calls_in(rollout.lines)) == (3, 3300, 87)


def test_a_rolled_back_turn_was_paid_and_is_not_asked_again() -> None:
    rollout = session_of()
    rollout.line("event_msg", {"type": "thread_rolled_back", "num_turns": 1})
    rollout.turn(uuid(20_000))
    rollout.user("instead")
    rollout.says("sure")
    rollout.count(1150, 1100, 4)
    calls = calls_in(rollout.lines)
    assert len(calls) == 4
    assert [item.get("role") for item in calls[-1].body["input"]][-2:] == ["assistant", "user"]
    assert len(calls[-1].body["input"]) == 6


def test_the_tier_of_the_session_prices_its_calls() -> None:
    rollout = Rollout(uuid(0))
    for number, settings in enumerate([{"service_tier": "fast"}, {}, {"service_tier": "default"}]):
        rollout.line("event_msg", {"type": "thread_settings_applied", "thread_settings": settings})
        rollout.turn(uuid(number + 1))
        rollout.user("go")
        rollout.says("gone")
        rollout.count(100, 0, 5)
    assert [call.usage and call.usage.service_tier for call in calls_in(rollout.lines)] == [
        "priority",
        "priority",
        "",
    ]


def test_sessions_without_counts_are_calls_to_be_counted() -> None:
    old: list[Any] = [
        {"id": uuid(0), "timestamp": moment(5), "instructions": "Be kind.", "git": {"branch": "dev"}},
        {"record_type": "state"},
        message("user", "go"),
        {"type": "function_call", "name": "shell", "arguments": "{}", "call_id": "c"},
        {"type": "function_call_output", "call_id": "c", "output": "x"},
        message("assistant", "done"),
    ]
    calls, lost = named(("a.jsonl", old), ("b.jsonl", old), options=Options(model="gpt-5"))
    assert not lost and len(calls) == 2
    assert all(call.usage is None and call.model == "gpt-5" and call.at == ns(5) for call in calls)
    assert [len(call.body["input"]) for call in calls] == [1, 3]
    assert calls[0].body["instructions"] == "Be kind." and calls[0].tags["branch"] == "dev"


def test_an_answer_the_session_broke_off_at_is_a_call_without_counts() -> None:
    rollout = session_of()
    rollout.user("one more")
    rollout.says("well")
    calls = calls_in(rollout.lines)
    assert len(calls) == 4 and calls[-1].usage is None and sums(calls) == (3, 3300, 87)


def test_what_cannot_be_read_is_told_and_clocks_may_go_backwards() -> None:
    lines: list[Any] = [*session_of().lines]
    lines[5] = {**lines[5], "timestamp": moment(1)}
    lines.insert(3, b"{{{")
    lines.insert(4, {"timestamp": "never", "type": "world_state", "payload": {}})
    lines.append(b'{"timestamp": "2026-09-21T14:1')
    calls, lost = named(("a.jsonl", lines))
    assert sums(calls) == (3, 3300, 87)
    assert [(each.path, each.line) for each in lost] == [("a.jsonl", 4), ("a.jsonl", len(lines))]
    assert all(0 < call.at <= call.ended for call in calls)


def test_odd_shapes_do_no_harm() -> None:
    odd: list[Any] = [
        {
            "type": "session_meta",
            "payload": {"id": 4, "cwd": [], "git": "x", "source": "cli", "forked_from_id": {}},
        },
        {"type": "turn_context", "payload": {"model": 3, "effort": {}, "turn_id": []}},
        {"type": "response_item", "payload": {"type": ["message"], "role": 4}},
        {"type": "response_item", "payload": {"type": "message", "role": "assistant", "content": None}},
        {
            "type": "event_msg",
            "payload": {"type": "token_count", "info": {"last_token_usage": {"input_tokens": "x"}}},
        },
        {"type": "event_msg", "payload": {"type": "thread_rolled_back", "num_turns": -4}},
        {"type": "compacted", "payload": {"replacement_history": [3, None]}},
        {"type": "token_usage_record", "payload": {"usage": 3}},
    ]
    calls, lost = named(("a.jsonl", odd))
    assert not calls and [each.line for each in lost] == [0]
    calls, lost = named(("a.jsonl", odd), options=Options(start=ns(0)))
    assert len(calls) == 1 and calls[0].tags["time"] == "synthetic" and not lost


def test_another_kind_of_log_is_named_as_one() -> None:
    calls, lost = named(("a.jsonl", [{"request": {}, "response": {}}]))
    assert not calls and "Codex" in lost[0].why


@given(st.data())
def test_duplicated_split_and_reordered_files_never_change_the_count(data: st.DataObject) -> None:
    rollouts = [session_of(0, 1), session_of(50_000, 2)]
    whole = sums(calls_in(*(each.lines for each in rollouts)))
    files: list[tuple[str, list[Any]]] = []
    for rollout in rollouts:
        session = rollout.lines[0]["payload"]["id"]
        counted = [
            n + 1 for n, line in enumerate(rollout.lines) if line["payload"].get("type") == "token_count"
        ]
        cuts = sorted(data.draw(st.sets(st.sampled_from(counted[:-1]), max_size=3)))
        parts = [rollout.lines[a:b] for a, b in zip([0, *cuts], [*cuts, len(rollout.lines)], strict=True)]
        parts += data.draw(st.lists(st.sampled_from([*parts, rollout.lines]), max_size=2))
        files += [(f"{n}/rollout-2026-09-21T14-13-20-{session}.jsonl", part) for n, part in enumerate(parts)]
    calls, lost = named(*data.draw(st.permutations(files)))
    assert (sums(calls), lost) == (whole, [])


@given(st.data())
def test_any_tree_of_forks_counts_each_call_once_in_any_order(data: st.DataObject) -> None:
    numbered = data.draw(st.booleans())
    root = session_of()
    if numbered:
        root.lines = [line for line in root.lines if line["type"] != "turn_context"]
    sessions, paid = [root], sums(calls_in(root.lines))
    for fork in range(1, data.draw(st.integers(2, 5))):
        parent = data.draw(st.sampled_from(sessions))
        ends = [n + 1 for n, line in enumerate(parent.lines) if line["payload"].get("type") == "token_count"]
        copied = parent.lines[: data.draw(st.sampled_from(ends))]
        child = Rollout(uuid(100_000 * fork, fork), forked_from_id=parent.lines[0]["payload"]["id"])
        child.second = 1000.0 * fork
        child.lines += [{**line, "timestamp": moment(child.second)} for line in copied]
        total = copied[-1]["payload"]["info"]["total_token_usage"]
        child.totals = [total[name] for name in list(total)[:4]]
        child.turn(str(fork) if numbered else uuid(100_000 * fork + 10, fork))
        for step in range(data.draw(st.integers(1, 3))):
            child.user("on")
            child.says("done")
            child.count(1000 * fork + step, 10, fork)
            paid = (paid[0] + 1, paid[1] + 1000 * fork + step, paid[2] + fork)
        sessions.append(child)
    files = data.draw(st.permutations([each.lines for each in sessions]))
    assert sums(calls_in(*files)) == paid
