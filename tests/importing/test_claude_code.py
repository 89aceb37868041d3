"""Claude Code sessions: each answer one call, whatever the log repeats, leaves out or breaks off."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costopt.importing.claude_code import read
from costopt.importing.words import Imported, Line, Options, Unusable
from costopt.types import Json

START = 1_790_000_000


def _time(second: float) -> str:
    whole = START + int(second)
    day, rest = divmod(whole - 1_789_948_800, 86_400)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}.{int(second * 1000) % 1000:03}"
    return f"2026-09-{21 + day:02}T{clock}Z"


def _ns(second: float) -> int:
    return START * 10**9 + int(second * 1000) * 10**6


def _usage(fresh: int = 3, read_: int = 0, wrote: int = 0, out: int = 1, **more: Any) -> Json:
    return {
        "input_tokens": fresh,
        "cache_read_input_tokens": read_,
        "cache_creation_input_tokens": wrote,
        "cache_creation": {"ephemeral_5m_input_tokens": wrote, "ephemeral_1h_input_tokens": 0},
        "output_tokens": out,
        "service_tier": "standard",
        **more,
    }


class Log:
    """A session as Claude Code writes it: each line hangs on the line before."""

    def __init__(self, session: str = "s1", **extra: Any) -> None:
        self.lines: list[Json] = []
        self.session = session
        self.extra = extra
        self.second = 0.0
        self.last: str | None = None

    def line(self, kind: str, message: Json | None = None, **more: Any) -> str:
        self.second += 1
        uuid = f"{self.session}-{len(self.lines)}"
        line = {
            "type": kind,
            "uuid": uuid,
            "parentUuid": self.last,
            "sessionId": self.session,
            "timestamp": _time(self.second),
            "cwd": "/home/me/shop",
            "gitBranch": "main",
            "version": "2.1.63",
            "isSidechain": False,
            **self.extra,
            **({} if message is None else {"message": message}),
            **more,
        }
        self.lines.append({key: value for key, value in line.items() if value != "-"})
        self.last = uuid
        return uuid

    def user(self, content: Any, **more: Any) -> str:
        return self.line("user", {"role": "user", "content": content}, **more)

    def result(self, tool: str, content: str = "done", **more: Any) -> str:
        return self.user([{"type": "tool_result", "tool_use_id": tool, "content": content}], **more)

    def says(self, name: str, block: Json, usage: Json | None, stop: str | None = None, **more: Any) -> str:
        message = {
            "id": f"msg_{name}",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-5",
            "content": [block],
            "stop_reason": stop,
            **({} if usage is None else {"usage": usage}),
            **more.pop("message", {}),
        }
        return self.line("assistant", message, **{"requestId": f"req_{name}", **more})


def _text(said: str) -> Json:
    return {"type": "text", "text": said}


def _tool(name: str) -> Json:
    return {"type": "tool_use", "id": name, "name": "Bash", "input": {"command": name}}


def _lines(files: Iterable[tuple[str, list[Any]]]) -> Iterator[Line]:
    for path, lines in files:
        for number, line in enumerate(lines, 1):
            yield Line(path, number, line if isinstance(line, bytes) else json.dumps(line).encode())


def _read(*files: list[Any], options: Options | None = None) -> tuple[list[Imported], list[Unusable]]:
    named = [(f"{n}.jsonl", lines) for n, lines in enumerate(files)]
    found = list(read(_lines(named), options or Options()))
    return [f for f in found if isinstance(f, Imported)], [f for f in found if isinstance(f, Unusable)]


def _calls(*files: list[Any]) -> list[Imported]:
    calls, lost = _read(*files)
    assert not lost
    assert len({call.id for call in calls}) == len(calls)
    return calls


def _tokens(calls: Iterable[Imported]) -> tuple[int, int, int]:
    usages = [call.usage for call in calls if call.usage]
    return len(usages), sum(u.prompt for u in usages), sum(u.output for u in usages)


def _session(name: str = "s1") -> Log:
    """Three calls: one answered with two parallel tools, one with one, one with text."""
    log = Log(name)
    log.user("hello")
    log.says(f"{name}a", {"type": "thinking", "thinking": "hm", "signature": "x"}, _usage(10, 0, 500, 2))
    one = log.says(f"{name}a", _tool("t1"), _usage(10, 0, 500, 2))
    log.says(f"{name}a", _tool("t2"), _usage(10, 0, 500, 90), "tool_use")
    two = log.last
    log.result("t1", "first", parentUuid=one)
    log.result("t2", "second", parentUuid=two)
    log.says(f"{name}b", _tool("t3"), _usage(4, 510, 60, 20), "tool_use")
    log.result("t3", "third")
    log.says(f"{name}c", _text("all done"), _usage(2, 570, 30, 7), "end_turn")
    return log


def test_one_call_for_each_answer_with_the_last_word_on_usage() -> None:
    calls = _calls(_session().lines)
    assert _tokens(calls) == (3, 510 + 574 + 602, 90 + 20 + 7)
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
    assert (first.at, first.ended) == (_ns(1), _ns(4))
    assert first.tags == {"session": "s1", "project": "shop", "branch": "main", "version": "2.1.63"}


def test_the_conversation_is_rebuilt_with_the_results_of_parallel_tools() -> None:
    calls = _calls(_session().lines)
    bodies = [call.body["messages"] for call in calls]
    assert bodies[0] == [{"role": "user", "content": "hello"}]
    assert [message["role"] for message in bodies[1]] == ["user", "assistant", "user", "user"]
    assert [message["content"][0].get("content") for message in bodies[1][2:]] == ["first", "second"]
    assert bodies[2][: len(bodies[1])] == bodies[1]
    assert [message["role"] for message in bodies[2]][4:] == ["assistant", "user"]
    assert bodies[2][1] is bodies[1][1]
    assert calls[1].at == _ns(6)


def test_the_longest_usage_counts_wherever_it_stands() -> None:
    log = Log()
    log.user("hi")
    for out in (2, 300, 5):
        log.says("a", _text("x"), _usage(5, 20, 0, out))
    (call,) = _calls(log.lines)
    assert call.usage and call.usage.output == 300
    assert call.answer and call.answer["content"] == [_text("x")]


def test_a_text_that_grows_from_line_to_line_is_one_block() -> None:
    log = Log()
    log.user("hi")
    for said in ("Al", "All is", "All is well"):
        log.says("a", _text(said), _usage())
    (call,) = _calls(log.lines)
    assert call.answer and call.answer["content"] == [_text("All is well")]


def test_an_hour_of_cache_writes_has_its_own_bucket() -> None:
    log = Log()
    log.user("hi")
    lives = {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 400}
    log.says(
        "a",
        _text("x"),
        _usage(1, 2, 500, 9, cache_creation=lives, server_tool_use={"web_search_requests": 2}),
    )
    (call,) = _calls(log.lines)
    assert call.usage and (call.usage.cache_write, call.usage.cache_write_1h, call.usage.searches) == (
        100,
        400,
        2,
    )
    assert call.usage.prompt == 503


@pytest.mark.parametrize("session", ["s1", "fork"])
def test_a_resumed_session_copies_earlier_lines_and_they_count_once(session: str) -> None:
    log = _session()
    copied = [{**line, "sessionId": session} for line in log.lines]
    log.session = "fork2"
    before = len(log.lines)
    log.user("more")
    log.says("new", _text("ok"), _usage(8, 600, 0, 11), "end_turn")
    calls = _calls(copied, copied + log.lines[before:])
    assert _tokens(calls)[0] == 4
    assert [message["role"] for message in calls[-1].body["messages"]][-2:] == ["assistant", "user"]


def test_without_request_ids_lines_of_one_answer_are_one_call_and_copies_of_it_too() -> None:
    lines = [{k: v for k, v in line.items() if k != "requestId"} for line in _session().lines]
    calls = _calls(lines, [{**line, "sessionId": "fork"} for line in lines])
    assert _tokens(calls) == _tokens(_calls(_session().lines))


def _behind_a_gateway(session: str, *, usage: bool) -> Log:
    log = Log(session)
    log.user("hello")
    for turn in range(4):
        counted = _usage(100 * turn + 50, 0, 0, 5) if usage else _usage(0, 0, 0, 0)
        log.says("ocgo", _text("let me see"), counted, requestId="-", message={"id": "ocgo"})
        log.says("ocgo", _tool(f"t{turn}"), counted, requestId="-", message={"id": "ocgo"})
        log.result(f"t{turn}")
    return log


@pytest.mark.parametrize("usage", [True, False])
def test_a_gateway_with_one_message_id_for_every_answer_does_not_hide_calls(usage: bool) -> None:
    first, second = _behind_a_gateway("one", usage=usage), _behind_a_gateway("two", usage=usage)
    calls = _calls(first.lines, second.lines, first.lines)
    assert len(calls) == 8
    assert all((call.usage is None) is not usage for call in calls)


def test_one_message_id_under_two_request_ids_is_two_calls() -> None:
    log = Log()
    log.user("a")
    log.says("x", _text("one"), _usage(), requestId="req_1")
    log.user("b")
    log.says("x", _text("two"), _usage(), requestId="req_2")
    assert len(_calls(log.lines)) == 2


def test_answers_without_any_id_are_told_apart_by_what_was_asked_between() -> None:
    log = Log()
    for _ in range(3):
        log.user("again")
        log.says("", _text("one"), _usage(), requestId="-", message={"id": None})
        log.says("", _tool("t"), _usage(), requestId="-", message={"id": None})
    assert len(_calls(log.lines)) == 3


def test_a_tool_that_answers_while_the_model_still_writes_does_not_split_the_call() -> None:
    log = Log()
    log.user("a")
    log.says("x", _tool("t1"), _usage(9, 9, 9, 1), requestId="-")
    log.result("t1")
    log.says("x", _tool("t2"), _usage(9, 9, 9, 44), requestId="-")
    log.result("t2")
    log.says("y", _text("done"), _usage(9, 27, 9, 3), requestId="-")
    calls = _calls(log.lines)
    assert _tokens(calls) == (2, 27 + 45, 47)
    roles = [message["role"] for message in calls[1].body["messages"]]
    assert roles == ["user", "assistant", "user", "user"]


def test_a_side_question_logs_earlier_answers_again_and_they_are_no_calls() -> None:
    log = _session()
    again = [
        {**line, "isSidechain": True, "uuid": f"btw-{n}", "parentUuid": f"btw-{n - 1}" if n else None}
        | ({"requestId": f"other-{line['message']['id']}"} if line["type"] == "assistant" else {})
        for n, line in enumerate(log.lines)
    ]
    assert _tokens(_calls(log.lines, again)) == _tokens(_calls(log.lines))


def test_subagents_are_calls_of_their_own_and_are_tagged() -> None:
    side = Log("s1", isSidechain=True, agentId="a1")
    side.user("look for it")
    side.says("side", _text("found"), _usage(7, 0, 0, 3), "end_turn")
    for line in side.lines:
        line["uuid"], line["parentUuid"] = f"x{line['uuid']}", line["parentUuid"] and f"x{line['parentUuid']}"
    calls = _calls(_session().lines + side.lines, side.lines)
    assert len(calls) == 4
    assert calls[-1].tags["sidechain"] == "true" and calls[-1].tags["agent"] == "a1"
    assert calls[-1].body["messages"] == [{"role": "user", "content": "look for it"}]


def test_what_claude_code_said_itself_is_no_paid_call_and_no_message() -> None:
    log = Log()
    log.user("hi")
    log.says("e1", _text("API Error: 529"), _usage(0, 0, 0, 0), isApiErrorMessage=True)
    log.says("e2", _text("Interrupted"), _usage(0, 0, 0, 0), message={"model": "<synthetic>"})
    log.line("system", subtype="turn_duration")
    log.says("a", _text("hello"), _usage())
    (call,) = _calls(log.lines)
    assert call.body["messages"] == [{"role": "user", "content": "hi"}]


def test_after_a_compaction_only_the_summary_was_asked() -> None:
    log = _session()
    log.last = None
    log.line("system", subtype="compact_boundary", logicalParentUuid="s1-8")
    log.user("This session continues…", isCompactSummary=True)
    log.says("z", _text("on we go"), _usage(1, 0, 90, 4), "end_turn")
    assert _calls(log.lines)[-1].body["messages"] == [{"role": "user", "content": "This session continues…"}]


def test_the_advisor_is_a_call_to_its_own_model() -> None:
    log = Log()
    log.user("hard one")
    sums = [
        {"type": "message", "input_tokens": 1, "output_tokens": 5},
        {"type": "advisor_message", "model": "claude-opus-4-7", "input_tokens": 900, "output_tokens": 80},
    ]
    log.says("a", _text("so"), _usage(2, 40, 0, 60, iterations=sums), "end_turn")
    log.says("a", _text("it is"), _usage(2, 40, 0, 60, iterations=sums), "end_turn")
    main, aside = _calls(log.lines)
    assert (aside.model, aside.usage and aside.usage.input, aside.usage and aside.usage.output) == (
        "claude-opus-4-7",
        900,
        80,
    )
    assert main.usage and main.usage.output == 60 and main.model == "claude-sonnet-4-5"


def test_old_logs_say_the_cost_and_miss_the_usage() -> None:
    log = Log()
    log.user("hi")
    log.says("a", _text("x"), None, costUSD=0.0123456789)
    (call,) = _calls(log.lines)
    assert (call.usage, call.cost) == (None, 12_345_679)
    assert call.answer and "usage" not in call.answer


def test_a_clock_that_goes_backwards_gives_no_negative_times() -> None:
    log = Log()
    log.user("hi", timestamp=_time(500))
    log.says("a", _text("x"), _usage(), timestamp=_time(100))
    log.says("a", _text("y"), _usage(), timestamp=_time(90))
    (call,) = _calls(log.lines)
    assert call.at <= call.ended and call.at == _ns(90)


def test_what_cannot_be_read_is_told_with_its_line_and_the_rest_counts() -> None:
    lines: list[Any] = list(_session().lines)
    lines.insert(1, b"not json")
    lines.insert(2, {"type": "brand-new", "uuid": "zzz", "sessionId": "s1"})
    lines.append(json.dumps(lines[-1]).encode()[:80])
    calls, lost = _read(lines)
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
    calls, lost = _read(odd)
    assert not calls and all("--start" in each.why for each in lost) and len(lost) == 3
    calls, lost = _read(odd, options=Options(start=_ns(0), every=10))
    assert [call.at - _ns(0) for call in calls] == [0, 10, 20] and not lost
    assert all(call.tags["time"] == "synthetic" for call in calls)


def test_another_kind_of_log_is_named_as_one() -> None:
    calls, lost = _read([{"role": "user", "content": "hi"}])
    assert not calls and [(each.line, "Claude Code" in each.why) for each in lost] == [(0, True)]


def test_a_call_cut_in_two_files_is_whole_whichever_comes_first() -> None:
    log = Log()
    log.user("hi")
    log.says("a", _text("one"), _usage(5, 5, 5, 2))
    log.says("a", _tool("t"), _usage(5, 5, 5, 70), "tool_use")
    log.result("t")
    head, tail = log.lines[:2], log.lines[2:]
    for files in ((head, tail), (tail, head)):
        (call,) = _calls(*files)
        assert call.usage and call.usage.output == 70
        assert call.answer and call.answer["content"] == [_text("one"), _tool("t")]
        assert (call.at, call.body["messages"]) == (_ns(1), [{"role": "user", "content": "hi"}])


@given(st.data())
def test_duplicated_split_and_reordered_files_never_change_the_count(data: st.DataObject) -> None:
    sessions = [_session(name).lines for name in ("s1", "s2")]
    whole = _tokens(_calls(*sessions))
    parts: list[list[Any]] = []
    for lines in sessions:
        cuts = sorted(data.draw(st.sets(st.integers(1, len(lines) - 1), max_size=3)))
        parts += [lines[a:b] for a, b in zip([0, *cuts], [*cuts, len(lines)], strict=True)]
    again = data.draw(st.lists(st.sampled_from([*sessions, *parts]), max_size=3))
    files = data.draw(st.permutations([*parts, *again]))
    calls, lost = _read(*files)
    assert (_tokens(calls), lost) == (whole, [])


def test_a_long_session_shares_its_messages() -> None:
    log = Log()
    for turn in range(1500):
        log.user(f"q{turn}")
        log.says(f"m{turn}", _text("a"), _usage(), "end_turn")
    last = None
    for call in read(_lines([("long.jsonl", log.lines)]), Options()):
        assert isinstance(call, Imported)
        last = call
    assert last and len(last.body["messages"]) == 2 * 1499 + 1
