"""The interchange format: what is read, and in which spellings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from import_material import START, START_NS, answer, answers, bodies, body, facts, imported, line, whys

from costopt.importing import Imported, Line, Options, Unusable
from costopt.importing.formats import jsonl
from costopt.importing.recording import Recorder, record_id
from costopt.world import pricemap
from costopt.world.tokenizers import counter


def test_a_line_becomes_the_call_it_is(tmp_path: Path) -> None:
    url = "https://api.openai.com/v1/chat/completions"
    told = line(
        id="call-one", ended="2026-11-01T09:30:02.5Z", endpoint=url, tags={"agent": "planner", "user": 7}
    )
    done = imported(tmp_path, [told])
    assert (done.lines, done.calls, done.new, done.known, done.unusable) == (1, 1, 1, 0, [])
    (fact,) = facts(tmp_path)
    assert (fact.started, fact.ended) == (START_NS, START_NS + 2_500_000_000)
    assert (fact.api, fact.provider, fact.endpoint, fact.asked) == ("chat", "openai", url, "gpt-4o")
    assert (fact.outcome, fact.status, fact.finish, fact.tags) == (
        "ok",
        200,
        "stop",
        {"agent": "planner", "user": "7"},
    )
    assert fact.usage is not None
    assert (fact.usage.input, fact.usage.output, fact.usage.estimated) == (100, 10, False)
    assert fact.cost == 350_000  # 100 x $2.50/M + 10 x $10/M
    assert fact.cache_key
    assert bodies(tmp_path) == [told["request"]]
    assert answers(tmp_path) == [told["response"]]


@pytest.mark.parametrize(
    "spelled",
    [
        {"input": body(), "output": answer(), "created": START},
        {"request": json.dumps(body()), "response": json.dumps(answer()), "created_at": START},
        {**body(), "response": answer(), "timestamp": START},
        {"request": {"url": "/v1/chat/completions", "body": body()}, "response": answer(), "ts": START},
        {"body": body(), "response": {"status_code": 200, "body": answer()}, "time": START},
        {"request": body(), "response": [answer()], "start_time": START},
        {"model": "gpt-4o", "request": body()["messages"], "response": answer(), "timestamp": START},
        {"request": body(), "response": answer(created=START_NS // 10**9)},
    ],
)
def test_one_call_in_many_spellings(spelled: Any, tmp_path: Path) -> None:
    done = imported(tmp_path, [spelled])
    assert done.unusable == []
    (fact,) = facts(tmp_path)
    assert (fact.api, fact.asked, fact.started, fact.cost) == ("chat", "gpt-4o", START_NS, 350_000)
    assert bodies(tmp_path) == [body()]


@pytest.mark.parametrize("said", ["4", {"role": "assistant", "content": "4"}])
def test_an_answer_may_be_only_its_message(said: Any, tmp_path: Path) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 1}
    imported(tmp_path, [{"request": body(), "response": said, "usage": usage, "timestamp": START}])
    (fact,), (told,) = facts(tmp_path), answers(tmp_path)
    assert (fact.usage.input, fact.usage.estimated, fact.finish) == (5, False, "stop")  # type: ignore[union-attr]
    assert told["choices"][0]["message"] == {"role": "assistant", "content": "4"}


def test_an_answer_may_be_the_chunks_of_its_stream(tmp_path: Path) -> None:
    def chunk(delta: Any, **more: Any) -> Any:
        return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, **more}]}

    chunks = [chunk({"role": "assistant", "content": "fo"}), chunk({"content": "ur"}, finish_reason="stop")]
    imported(tmp_path, [line(response=chunks)])
    assert answers(tmp_path)[0]["choices"][0]["message"]["content"] == "four"


@pytest.mark.parametrize(
    ("request_", "response", "api"),
    [
        ({"model": "gpt-4o", "input": "hi"}, {"object": "response", "output": []}, "responses"),
        ({"model": "gpt-4o", "input": "hi"}, None, "responses"),
        ({"model": "text-embedding-3-small", "input": "hi"}, None, "embeddings"),
        ({"model": "gpt-3.5-turbo-instruct", "prompt": "hi"}, None, "completions"),
        (
            {"model": "claude-sonnet-4-5", "system": "s", "messages": [{"role": "user", "content": "hi"}]},
            None,
            "messages",
        ),
        (body(), {"type": "message", "content": [], "stop_reason": "end_turn"}, "messages"),
        (body(), None, "chat"),
    ],
)
def test_the_api_shows_in_the_shapes(request_: Any, response: Any, api: str, tmp_path: Path) -> None:
    imported(tmp_path, [line(request=request_, response=response)])
    assert [fact.api for fact in facts(tmp_path)] == [api]


def test_the_url_wins_over_the_shape(tmp_path: Path) -> None:
    imported(tmp_path, [line(endpoint="https://api.anthropic.com/v1/messages", response=None)])
    (fact,) = facts(tmp_path)
    assert (fact.api, fact.provider) == ("messages", "anthropic")


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (
            '{"request": {"model": "gpt-4o", "mess',
            "broken JSON: the line ends in the middle, as if it was cut off",
        ),
        ("not json", "no JSON"),
        ("7", "no JSON object"),
        ({"hello": "world"}, "no request in it: neither `request` nor `model` and `messages`"),
        (
            {"request": {}, "timestamp": START},
            "no request in it: neither `request` nor `model` and `messages`",
        ),
        (
            {"request": {"model": "m", "contents": []}, "timestamp": START},
            "neither endpoint nor request tells which API it is: add `api`",
        ),
        (
            {"request": body(), "response": answer()},
            "no timestamp: add `created`, or give the calls times with --start",
        ),
        (
            {"request": body(), "timestamp": "yesterday"},
            "no timestamp: add `created`, or give the calls times with --start",
        ),
        (
            {"request": {"messages": []} | {"messages": body()["messages"]}, "timestamp": START},
            "the call names no model: give one with --model",
        ),
    ],
)
def test_a_line_that_cannot_be_used_is_named_and_the_others_are_imported(
    told: Any, why: str, tmp_path: Path
) -> None:
    done = imported(tmp_path, [line(), "", told, line(id="last")])
    assert whys(done) == [(3, why)]
    assert (done.lines, done.new) == (4, 2)


@pytest.mark.parametrize(
    "counts",
    [
        {"input_length": 6955, "output_length": 52, "hash_ids": [1, 2]},
        {"ContextTokens": 10, "GeneratedTokens": 5},
        {"prompt_tokens": 10, "completion_tokens": 5, "model": "gpt-4o"},
    ],
)
def test_lines_with_counts_and_no_request_are_told_what_they_need(counts: Any, tmp_path: Path) -> None:
    ((_, why),) = whys(imported(tmp_path, [{"timestamp": START, **counts}]))
    assert why.startswith("counts and no request: a line needs `request`")
    assert "`usage`" in why


def test_what_they_need_is_enough(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 10}
    done = imported(tmp_path, [line(response=None, usage=usage)])
    assert (done.cost, done.unanswered, done.counted) == (350_000, 0, 0)


def test_bytes_and_numbers_that_json_forbids_are_read_all_the_same(tmp_path: Path) -> None:
    odd = json.dumps(line(request=body("caf\ud83d"), id="odd"))
    done = imported(
        tmp_path, ["\ufeff" + json.dumps(line(request=body(temperature=float("nan")), id="nan")), odd]
    )
    assert (done.new, done.unusable) == (2, [])


def test_an_indented_document_of_calls_is_a_log_too(tmp_path: Path) -> None:
    done = imported(tmp_path, [json.dumps([line(), line(id="b")], indent=2)])
    assert (done.calls, done.unusable) == (2, [])


def test_made_up_times_are_tagged_and_in_order(tmp_path: Path) -> None:
    lines = [{"request": body(f"{n}"), "response": answer()} for n in range(3)]
    done = imported(tmp_path, lines, start=START_NS, every=10**9)
    assert done.timeless == 3
    assert [(fact.started - START_NS, fact.tags) for fact in facts(tmp_path)] == [
        (n * 10**9, {"time": "synthetic"}) for n in range(3)
    ]
    assert imported(tmp_path, lines, start=START_NS + 5, every=10**9).new == 0


def test_tags_may_be_a_list(tmp_path: Path) -> None:
    imported(tmp_path, [line(tags=["team=search", "env:prod", "nightly", 7, ""])])
    assert [dict(fact.tags) for fact in facts(tmp_path)] == [
        {"team": "search", "env": "prod", "nightly": "true"}
    ]


def test_failed_calls_are_calls_that_cost_nothing(tmp_path: Path) -> None:
    limited = {"error": {"type": "rate_limit_error", "message": "slow down"}}
    imported(
        tmp_path,
        [
            line(id="a-status", status=429, response=limited),
            line(id="b-error", response=None, error={"type": "Timeout", "message": "after 60 s"}),
            line(id="c-body", response=limited),
            line(id="d-http", response={"status_code": 500, "body": "oops"}),
        ],
    )
    found = facts(tmp_path)
    assert [(fact.outcome, fact.cost, fact.unpriced) for fact in found] == [("error", None, False)] * 4
    assert {fact.error for fact in found} == {
        "HTTP 429",
        "Timeout: after 60 s",
        "no answer in what came back",
        "HTTP 500",
    }


def test_a_service_tier_beside_the_answer_sets_the_price(tmp_path: Path) -> None:
    imported(tmp_path, [line(service_tier="batch")])
    (fact,) = facts(tmp_path)
    assert (fact.cost, fact.usage.service_tier) == (175_000, "batch")  # type: ignore[union-attr]


def test_what_another_cache_answered_cost_nothing(tmp_path: Path) -> None:
    imported(tmp_path, [line(cache_hit=True)])
    (fact,) = facts(tmp_path)
    assert (fact.outcome, fact.cost, sum(saving.nano for saving in fact.savings)) == ("hit", 0, 350_000)


def test_what_the_log_says_was_paid_serves_where_there_is_no_price(tmp_path: Path) -> None:
    own = {"request": {**body(), "model": "house-model"}, "response": answer(model="house-model")}
    imported(tmp_path, [line(cost="0.0125"), line(id="own", cost=0.0125, **own), line(id="none", **own)])
    costs = {fact.cost for fact in facts(tmp_path)}
    assert costs == {350_000, 12_500_000, None}


def test_a_transcript_is_told_apart(tmp_path: Path) -> None:
    talk = [*body()["messages"], {"role": "assistant", "content": "4"}]
    done = imported(tmp_path, [{"model": "gpt-4o", "messages": talk, "timestamp": START}])
    assert "is it a transcript?" in done.unusable[0].why


def test_a_call_without_an_answer_has_its_prompt_counted(tmp_path: Path) -> None:
    done = imported(tmp_path, [line(response=None)])
    (fact,) = facts(tmp_path)
    assert (done.counted, fact.outcome, fact.usage.input > 5, fact.usage.output) == (1, "ok", True, 0)  # type: ignore[union-attr]
    assert "the log has no answer: its output is in no count" in [note.what for note in fact.decisions]


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4))
NAMES = st.sampled_from(
    [
        "request",
        "response",
        "body",
        "messages",
        "input",
        "output",
        "prompt",
        "model",
        "timestamp",
        "created",
        "id",
        "tags",
        "status",
        "error",
        "usage",
        "url",
        "api",
        "headers",
        "role",
        "content",
        "choices",
        "message",
        "custom_id",
        "params",
        "result",
        "data",
        "provider",
        "cost",
        "tools",
        "system",
        "type",
    ]
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5)
)
LINES = st.dictionaries(NAMES, JSON, max_size=8)
NEARLY = st.builds(lambda more: {**line(), **more}, LINES)


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder(Options(model="gpt-4o"), pricemap.load(), counter())


@settings(max_examples=60, deadline=None)
@given(lines=st.lists(st.one_of(LINES, NEARLY), max_size=6))
def test_every_line_is_a_call_or_unusable_whatever_it_holds(recorder: Recorder, lines: list[Any]) -> None:
    log = [Line("log", number, json.dumps(each).encode()) for number, each in enumerate(lines, 1)]
    found = list(jsonl.read(log, Options()))
    halves = sum("custom_id" in each for each in lines)
    assert len(lines) - halves <= len(found) <= len(lines)
    assert {type(each) for each in found} <= {Imported, Unusable}
    for call in found:
        if isinstance(call, Imported):
            record = recorder.record(call, record_id("jsonl", call)).record
            assert record.receipt is None or record.receipt.usage.prompt >= 0
            assert len(record.request.id) == 32
