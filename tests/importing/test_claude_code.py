"""Claude Code sessions: each answer one call, whatever the log repeats, leaves out or breaks off."""

from __future__ import annotations

import json
from typing import Any

import pytest
from claude_material import (
    Log,
    block,
    calls_in,
    found,
    lines_of,
    moment,
    ns,
    session_of,
    sums,
    tool,
    usage_of,
)
from hypothesis import given
from hypothesis import strategies as st

from costopt.importing import load
from costopt.importing.formats.claude_code.sessions import read
from costopt.importing.words import Imported, Options


def test_one_call_for_each_answer_with_the_last_word_on_usage() -> None:
    calls = calls_in(session_of().lines)
    assert sums(calls) == (3, 510 + 574 + 602, 90 + 20 + 7)
    first = calls[0]
    assert first.usage and (first.usage.input, first.usage.cache_write, first.usage.output) == (10, 500, 90)
    assert first.answer and [block["type"] for block in first.answer["content"]] == [
        "thinking",
        "tool_use",
        "tool_use",
    ]
    assert first.answer["stop_reason"] == "tool_use"
    assert (first.api, first.provider, first.model) == ("messages", "anthropic", "claude-sonnet-4-5")
    assert first.partial and first.stream
    assert (first.at, first.ended) == (ns(1), ns(4))
    assert first.tags == {"session": "s1", "project": "shop", "branch": "main", "version": "2.1.63"}


def test_the_conversation_is_rebuilt_with_the_results_of_parallel_tools() -> None:
    calls = calls_in(session_of().lines)
    bodies = [call.body["messages"] for call in calls]
    assert bodies[0] == [{"role": "user", "content": "hello"}]
    assert [message["role"] for message in bodies[1]] == ["user", "assistant", "user", "user"]
    assert [message["content"][0].get("content") for message in bodies[1][2:]] == ["first", "second"]
    assert bodies[2][: len(bodies[1])] == bodies[1]
    assert [message["role"] for message in bodies[2]][4:] == ["assistant", "user"]
    assert bodies[2][1] is bodies[1][1]
    assert calls[1].at == ns(6)


def test_the_longest_usage_counts_wherever_it_stands() -> None:
    log = Log()
    log.user("hi")
    for out in (2, 300, 5):
        log.says("a", block("x"), usage_of(5, 20, 0, out))
    (call,) = calls_in(log.lines)
    assert call.usage and call.usage.output == 300
    assert call.answer and call.answer["content"] == [block("x")]


def test_a_text_that_grows_from_line_to_line_is_one_block() -> None:
    log = Log()
    log.user("hi")
    for said in ("Al", "All is", "All is well"):
        log.says("a", block(said), usage_of())
    (call,) = calls_in(log.lines)
    assert call.answer and call.answer["content"] == [block("All is well")]


def test_an_hour_of_cache_writes_has_its_own_bucket() -> None:
    log = Log()
    log.user("hi")
    lives = {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 400}
    log.says(
        "a",
        block("x"),
        usage_of(1, 2, 500, 9, cache_creation=lives, server_tool_use={"web_search_requests": 2}),
    )
    (call,) = calls_in(log.lines)
    assert call.usage and (call.usage.cache_write, call.usage.cache_write_1h, call.usage.searches) == (
        100,
        400,
        2,
    )
    assert call.usage.prompt == 503


@pytest.mark.parametrize("session", ["s1", "fork"])
def test_a_resumed_session_copies_earlier_lines_and_they_count_once(session: str) -> None:
    log = session_of()
    copied = [{**line, "sessionId": session} for line in log.lines]
    log.session = "fork2"
    before = len(log.lines)
    log.user("more")
    log.says("new", block("ok"), usage_of(8, 600, 0, 11), "end_turn")
    calls = calls_in(copied, copied + log.lines[before:])
    assert sums(calls)[0] == 4
    assert [message["role"] for message in calls[-1].body["messages"]][-2:] == ["assistant", "user"]


def test_without_request_ids_lines_of_one_answer_are_one_call_and_copies_of_it_too() -> None:
    lines = [{k: v for k, v in line.items() if k != "requestId"} for line in session_of().lines]
    calls = calls_in(lines, [{**line, "sessionId": "fork"} for line in lines])
    assert sums(calls) == sums(calls_in(session_of().lines))


def _behind_a_gateway(session: str, *, usage: bool) -> Log:
    log = Log(session)
    log.user("hello")
    for turn in range(4):
        counted = usage_of(100 * turn + 50, 0, 0, 5) if usage else usage_of(0, 0, 0, 0)
        log.says("ocgo", block("let me see"), counted, requestId="-", message={"id": "ocgo"})
        log.says("ocgo", tool(f"t{turn}"), counted, requestId="-", message={"id": "ocgo"})
        log.result(f"t{turn}")
    return log


@pytest.mark.parametrize("usage", [True, False])
def test_a_gateway_with_one_message_id_for_every_answer_does_not_hide_calls(usage: bool) -> None:
    first, second = _behind_a_gateway("one", usage=usage), _behind_a_gateway("two", usage=usage)
    calls = calls_in(first.lines, second.lines, first.lines)
    assert len(calls) == 8
    assert all((call.usage is None) is not usage for call in calls)


def test_one_message_id_under_two_request_ids_is_two_calls() -> None:
    log = Log()
    log.user("a")
    log.says("x", block("one"), usage_of(), requestId="req_1")
    log.user("b")
    log.says("x", block("two"), usage_of(), requestId="req_2")
    assert len(calls_in(log.lines)) == 2


def test_answers_without_any_id_are_told_apart_by_what_was_asked_between() -> None:
    log = Log()
    for _ in range(3):
        log.user("again")
        log.says("", block("one"), usage_of(), requestId="-", message={"id": None})
        log.says("", tool("t"), usage_of(), requestId="-", message={"id": None})
    assert len(calls_in(log.lines)) == 3


def test_a_tool_that_answers_while_the_model_still_writes_does_not_split_the_call() -> None:
    log = Log()
    log.user("a")
    log.says("x", tool("t1"), usage_of(9, 9, 9, 1), requestId="-")
    log.result("t1")
    log.says("x", tool("t2"), usage_of(9, 9, 9, 44), requestId="-")
    log.result("t2")
    log.says("y", block("done"), usage_of(9, 27, 9, 3), requestId="-")
    calls = calls_in(log.lines)
    assert sums(calls) == (2, 27 + 45, 47)
    roles = [message["role"] for message in calls[1].body["messages"]]
    assert roles == ["user", "assistant", "user", "user"]


def test_a_side_question_logs_earlier_answers_again_and_they_are_no_calls() -> None:
    log = session_of()
    again = [
        {**line, "isSidechain": True, "uuid": f"btw-{n}", "parentUuid": f"btw-{n - 1}" if n else None}
        | ({"requestId": f"other-{line['message']['id']}"} if line["type"] == "assistant" else {})
        for n, line in enumerate(log.lines)
    ]
    assert sums(calls_in(log.lines, again)) == sums(calls_in(log.lines))


def test_subagents_are_calls_of_their_own_and_are_tagged() -> None:
    side = Log("s1", isSidechain=True, agentId="a1")
    side.user("look for it")
    side.says("side", block("found"), usage_of(7, 0, 0, 3), "end_turn")
    for line in side.lines:
        line["uuid"], line["parentUuid"] = f"x{line['uuid']}", line["parentUuid"] and f"x{line['parentUuid']}"
    calls = calls_in(session_of().lines + side.lines, side.lines)
    assert len(calls) == 4
    assert calls[-1].tags["sidechain"] == "true" and calls[-1].tags["agent"] == "a1"
    assert calls[-1].body["messages"] == [{"role": "user", "content": "look for it"}]


def test_what_claude_code_said_itself_is_no_paid_call_and_no_message() -> None:
    log = Log()
    log.user("hi")
    log.says("e1", block("API Error: 529"), usage_of(0, 0, 0, 0), isApiErrorMessage=True)
    log.says("e2", block("Interrupted"), usage_of(0, 0, 0, 0), message={"model": "<synthetic>"})
    log.line("system", subtype="turn_duration")
    log.says("a", block("hello"), usage_of())
    (call,) = calls_in(log.lines)
    assert call.body["messages"] == [{"role": "user", "content": "hi"}]


def test_after_a_compaction_only_the_summary_was_asked() -> None:
    log = session_of()
    log.last = None
    log.line("system", subtype="compact_boundary", logicalParentUuid="s1-8")
    log.user("This session continues…", isCompactSummary=True)
    log.says("z", block("on we go"), usage_of(1, 0, 90, 4), "end_turn")
    assert calls_in(log.lines)[-1].body["messages"] == [
        {"role": "user", "content": "This session continues…"}
    ]


def test_the_advisor_is_a_call_to_its_own_model() -> None:
    log = Log()
    log.user("hard one")
    sums = [
        {"type": "message", "input_tokens": 1, "output_tokens": 5},
        {"type": "advisor_message", "model": "claude-opus-4-7", "input_tokens": 900, "output_tokens": 80},
    ]
    log.says("a", block("so"), usage_of(2, 40, 0, 60, iterations=sums), "end_turn")
    log.says("a", block("it is"), usage_of(2, 40, 0, 60, iterations=sums), "end_turn")
    main, aside = calls_in(log.lines)
    assert (aside.model, aside.usage and aside.usage.input, aside.usage and aside.usage.output) == (
        "claude-opus-4-7",
        900,
        80,
    )
    assert main.usage and main.usage.output == 60 and main.model == "claude-sonnet-4-5"


def test_old_logs_say_the_cost_and_miss_the_usage() -> None:
    log = Log()
    log.user("hi")
    log.says("a", block("x"), None, costUSD=0.0123456789)
    (call,) = calls_in(log.lines)
    assert (call.usage, call.cost) == (None, 12_345_679)
    assert call.answer and "usage" not in call.answer


def test_a_clock_that_goes_backwards_gives_no_negative_times() -> None:
    log = Log()
    log.user("hi", timestamp=moment(500))
    log.says("a", block("x"), usage_of(), timestamp=moment(100))
    log.says("a", block("y"), usage_of(), timestamp=moment(90))
    (call,) = calls_in(log.lines)
    assert call.at <= call.ended and call.at == ns(90)


def test_what_cannot_be_read_is_told_with_its_line_and_the_rest_counts() -> None:
    lines: list[Any] = list(session_of().lines)
    lines.insert(1, b"not json")
    lines.insert(2, {"type": "brand-new", "uuid": "zzz", "sessionId": "s1"})
    lines.append(json.dumps(lines[-1]).encode()[:80])
    calls, lost = found(lines)
    assert len(calls) == 3
    assert [(each.path, each.line) for each in lost] == [("0.jsonl", 2), ("0.jsonl", 12)]
    assert "cut off" in lost[1].why


def test_odd_shapes_do_no_harm() -> None:
    odd: list[Any] = [
        {
            "type": "assistant",
            "uuid": 7,
            "message": {"content": 4, "usage": [], "model": None},
            "timestamp": 1.5,
        },
        {"type": "user", "uuid": "u", "parentUuid": "u", "message": {"content": None}},
        {
            "type": "assistant",
            "uuid": "v",
            "parentUuid": "w",
            "message": {"id": 3, "content": ["x", {"type": []}]},
        },
        {"type": "assistant", "uuid": "w", "parentUuid": "v", "message": {"id": "m", "content": "plain"}},
        {"type": "user", "uuid": "q", "message": "text"},
        {"type": "summary", "summary": "s", "leafUuid": "u"},
    ]
    calls, lost = found(odd)
    assert not calls and all("--start" in each.why for each in lost) and len(lost) == 3
    calls, lost = found(odd, options=Options(start=ns(0), every=10))
    assert [call.at - ns(0) for call in calls] == [0, 10, 20] and not lost
    assert all(call.tags["time"] == "synthetic" for call in calls)


def test_another_kind_of_log_is_named_as_one() -> None:
    calls, lost = found([{"role": "user", "content": "hi"}])
    assert not calls and [(each.line, "Claude Code" in each.why) for each in lost] == [(0, True)]


def test_a_call_cut_in_two_files_is_whole_whichever_comes_first() -> None:
    log = Log()
    log.user("hi")
    log.says("a", block("one"), usage_of(5, 5, 5, 2))
    log.says("a", tool("t"), usage_of(5, 5, 5, 70), "tool_use")
    log.result("t")
    head, tail = log.lines[:2], log.lines[2:]
    for files in ((head, tail), (tail, head)):
        (call,) = calls_in(*files)
        assert call.usage and call.usage.output == 70
        assert call.answer and call.answer["content"] == [block("one"), tool("t")]
        assert (call.at, call.body["messages"]) == (ns(1), [{"role": "user", "content": "hi"}])


@given(st.data())
def test_duplicated_split_and_reordered_files_never_change_the_count(data: st.DataObject) -> None:
    sessions = [session_of(name).lines for name in ("s1", "s2")]
    whole = sums(calls_in(*sessions))
    parts: list[list[Any]] = []
    for lines in sessions:
        cuts = sorted(data.draw(st.sets(st.integers(1, len(lines) - 1), max_size=3)))
        parts += [lines[a:b] for a, b in zip([0, *cuts], [*cuts, len(lines)], strict=True)]
    again = data.draw(st.lists(st.sampled_from([*sessions, *parts]), max_size=3))
    files = data.draw(st.permutations([*parts, *again]))
    calls, lost = found(*files)
    assert (sums(calls), lost) == (whole, [])


def test_a_long_session_shares_its_messages() -> None:
    log = Log()
    for turn in range(1500):
        log.user(f"q{turn}")
        log.says(f"m{turn}", block("a"), usage_of(), "end_turn")
    last = None
    for call in read(lines_of([("long.jsonl", log.lines)]), Options()):
        assert isinstance(call, Imported)
        last = call
    assert last and len(last.body["messages"]) == 2 * 1499 + 1


def test_a_question_asked_anew_leaves_the_branch_that_was_left_behind_out() -> None:
    log = session_of()
    log.last = log.lines[0]["uuid"]
    log.says("other", block("differently"), usage_of(10, 0, 500, 5), "end_turn")
    log.user("go on")
    log.says("next", block("ok"), usage_of(3, 510, 20, 4), "end_turn")
    calls = calls_in(log.lines)
    assert sums(calls)[0] == 5
    asked = calls[-1].body["messages"]
    assert [message["content"] for message in asked] == ["hello", [block("differently")], "go on"]


@given(st.data())
def test_what_was_asked_begins_with_what_was_asked_before_and_holds_every_tool_result(
    data: st.DataObject,
) -> None:
    log = Log()
    log.user("go")
    for turn in range(data.draw(st.integers(1, 6))):
        lines = [log.says(f"m{turn}", block("hm"), usage_of(turn + 1))]
        names = [f"t{turn}-{n}" for n in range(data.draw(st.integers(1, 4)))]
        early = data.draw(st.booleans())
        for name in names:
            lines.append(log.says(f"m{turn}", tool(name), usage_of(turn + 1)))
            if early:
                log.result(name)
        if not early:
            for name, line in data.draw(st.permutations(list(zip(names, lines[1:], strict=True)))):
                log.result(name, parentUuid=line)
    log.says("end", block("done"), usage_of(99), "end_turn")
    before: list[Any] = []
    for call in calls_in(log.lines):
        messages = call.body["messages"]
        assert messages[: len(before)] == before
        before = messages
        blocks = [each for message in messages for each in message["content"] if isinstance(each, dict)]
        called = [each["id"] for each in blocks if each["type"] == "tool_use"]
        answered = [each["tool_use_id"] for each in blocks if each["type"] == "tool_result"]
        assert sorted(called) == sorted(answered)


def test_a_prompt_that_only_one_line_counts_is_counted() -> None:
    log = Log()
    log.user("hi")
    for fresh in (0, 700, 0):
        log.says("a", block("x"), usage_of(fresh, out=1), requestId="-")
    (call,) = calls_in(log.lines)
    assert call.usage and call.usage.prompt == 700


def test_a_call_that_no_row_can_hold_is_named_even_if_it_is_the_only_one(tmp_path):
    answer: dict[str, Any] = {"id": "m1", "role": "assistant", "model": "claude-sonnet-4-5", "content": []}
    answer["usage"] = {"input_tokens": 5, "output_tokens": 3, "service_tier": "\ud800"}
    line = {"type": "assistant", "uuid": "a", "sessionId": "s", "timestamp": "2026-11-01T09:00:02Z"}
    (tmp_path / "log.jsonl").write_text(json.dumps(line | {"requestId": "r", "message": answer}))
    done = load("claude-code", [tmp_path / "log.jsonl"], ledger=tmp_path / "ledger")
    assert (done.new, [lost.line for lost in done.unusable]) == (0, [1])
