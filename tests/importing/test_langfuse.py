"""Langfuse exports: every form it writes, exclusive and inclusive counts, one call told by two observations."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costopt.importing.formats.langfuse.export import read
from costopt.importing.formats.langfuse.usage import counted
from costopt.importing.words import Found, Imported, Line, Options, Unusable
from costopt.types import Json, Usage

START = "2026-11-01T09:30:00.500Z"
START_NS = 1_793_525_400 * 10**9 + 5 * 10**8


def _lines(text: str, path: str = "export.json") -> list[Line]:
    return [Line(path, number, line.encode()) for number, line in enumerate(text.split("\n"), 1)]


def _read(rows: list[Json]) -> list[Found]:
    return list(read(_lines(json.dumps(rows)), Options()))


def _calls(*rows: Json) -> list[Imported]:
    return [found for found in _read(list(rows)) if isinstance(found, Imported)]


def _row(**fields: Any) -> Json:
    return {
        "id": "o1",
        "traceId": "t1",
        "type": "GENERATION",
        "parentObservationId": None,
        "startTime": START,
        "endTime": "2026-11-01T09:30:02Z",
        "name": "plan",
        "model": "gpt-4o-mini",
        "modelParameters": {"temperature": 0.5},
        "input": [{"role": "user", "content": "two and two?"}],
        "output": {"role": "assistant", "content": "four"},
        "usageDetails": {"input": 86, "input_cached_tokens": 17817, "output": 188, "total": 18091},
        "costDetails": {"input": 0.001, "output": 0.002, "total": 0.003},
        "level": "DEFAULT",
        "environment": "production",
        **fields,
    }


def test_a_generation_is_read_whole() -> None:
    (call,) = _calls(_row(userId="u", sessionId="s", tags=["team:search", "beta"]))
    assert (call.id, call.at, call.api, call.model) == ("o1", START_NS, "chat", "gpt-4o-mini")
    assert call.ended == 1_793_525_402 * 10**9
    assert call.body["messages"] == [{"role": "user", "content": "two and two?"}]
    assert call.body["temperature"] == 0.5
    assert call.answer and call.answer["choices"][0]["message"]["content"] == "four"
    assert call.usage == Usage(input=86, cache_read=17817, output=188)
    assert call.cost == 3_000_000
    tags = {"environment": "production", "name": "plan", "team": "search", "beta": "yes"}
    assert call.tags == {"user": "u", "session": "s", **tags}


def test_other_observations_are_no_calls_and_no_faults() -> None:
    assert _read([_row(type=kind) for kind in ("SPAN", "EVENT", "TOOL", "AGENT", "CHAIN", "RETRIEVER")]) == []


def test_a_generation_inside_a_generation_is_counted_once() -> None:
    rows = [
        _row(id="outer"),
        _row(id="chain", type="CHAIN", parentObservationId="outer"),
        _row(id="inner", parentObservationId="chain"),
    ]
    assert [call.id for call in _calls(*rows)] == ["inner"]
    assert [call.id for call in _calls(*reversed(rows))] == ["inner"]


def test_a_tool_that_calls_a_model_makes_a_call_of_its_own() -> None:
    tool = _row(id="tool", type="TOOL", parentObservationId="outer")
    calls = _calls(_row(id="outer"), tool, _row(id="inner", parentObservationId="tool"))
    assert {call.id for call in calls} == {"outer", "inner"}


@pytest.mark.parametrize(
    ("details", "usage"),
    [
        ({"input": 10, "output": 5, "total": 15}, Usage(input=10, output=5)),
        ({"input": 10, "output": 5, "cache_read_input_tokens": 2}, Usage(input=10, cache_read=2, output=5)),
        # input holds what was read: the total says so
        (
            {"input": 117231, "output": 225, "total": 117456, "cache_read_input_tokens": 115584},
            Usage(input=1647, cache_read=115584, output=225),
        ),
        # input holds what was written, and not what was read
        (
            {
                "input": 40,
                "output": 7,
                "total": 247,
                "cache_creation_input_tokens": 30,
                "cache_read_input_tokens": 200,
            },
            Usage(input=10, cache_read=200, cache_write=30, output=7),
        ),
        # one-hour writes beside their sum
        (
            {
                "input": 10,
                "output": 7,
                "total": 47,
                "cache_creation_input_tokens": 30,
                "input_cache_creation_5m": 10,
                "input_cache_creation_1h": 20,
            },
            Usage(input=10, cache_write=10, cache_write_1h=20, output=7),
        ),
        (
            {"input": 4, "output": 10, "output_reasoning_tokens": 20, "total": 34},
            Usage(input=4, output=30, reasoning=20),
        ),
        (
            {"input": 4, "output": 30, "output_reasoning": 20, "total": 34},
            Usage(input=4, output=30, reasoning=20),
        ),
        (
            {"prompt_tokens": 20, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 15}},
            Usage(input=5, cache_read=15, output=3),
        ),
    ],
)
def test_details_are_read_as_buckets_unless_the_total_says_otherwise(details: Json, usage: Usage) -> None:
    assert counted(details, None, {}) == usage


def test_older_usage_and_table_columns() -> None:
    assert counted({}, {"promptTokens": 9, "completionTokens": 2, "totalTokens": 11}, {}) == Usage(
        input=9, output=2
    )
    assert counted(None, {"input": 9, "output": 2, "unit": "TOKENS"}, {}) == Usage(input=9, output=2)
    assert counted(None, {"input": 900, "output": 20, "unit": "CHARACTERS"}, {}) is None
    (call,) = _calls(_row(usageDetails=None, inputUsage=9, outputUsage=2, totalUsage=11))
    assert call.usage == Usage(input=9, output=2)
    (call,) = _calls(_row(usageDetails={}, promptTokens=9, completionTokens=2))
    assert call.usage == Usage(input=9, output=2)
    (call,) = _calls(_row(usageDetails={"input": 0, "output": 0, "total": 0}))
    assert call.usage is None


_COUNT = st.integers(0, 10**6)


@given(fresh=_COUNT, read_=_COUNT, wrote=_COUNT, said=_COUNT, thought=_COUNT)
def test_exclusive_buckets_with_their_total_come_through_unchanged(
    fresh: int, read_: int, wrote: int, said: int, thought: int
) -> None:
    details = {
        "input": fresh,
        "input_cached_tokens": read_,
        "input_cache_creation": wrote,
        "output": said,
        "output_reasoning_tokens": thought,
        "total": fresh + read_ + wrote + said + thought,
    }
    found = counted(details, None, {}) or Usage()
    expected = Usage(
        input=fresh, cache_read=read_, cache_write=wrote, output=said + thought, reasoning=thought
    )
    assert found == expected


def test_pages_lines_traces_and_blob_columns() -> None:
    page = {"data": [_row(), _row(id="o2")], "meta": {"page": 1}}
    assert len([*read(_lines(json.dumps(page, indent=1)), Options())]) == 2
    lines = "\n".join(json.dumps(_row(id=name)) for name in "abc")
    assert len([*read(_lines(lines, "export.jsonl"), Options())]) == 3
    trace = {"id": "t1", "userId": "u", "tags": ["x:1"], "observations": [_row()]}
    (call,) = read(_lines(json.dumps(trace)), Options())
    assert isinstance(call, Imported) and call.tags["user"] == "u" and call.tags["x"] == "1"
    blob = {
        "id": "o1",
        "trace_id": "t1",
        "type": "GENERATION",
        "start_time": "2026-11-01 09:30:00.500000",
        "provided_model_name": "gpt-4o-mini",
        "model_parameters": '{"temperature":0.5}',
        "input": '[{"role":"user","content":"two and two?"}]',
        "output": "four",
        "usage_details": {"input": 1, "output": 1, "total": 2},
        "total_cost": 0.003,
        "tool_definitions": {"f": '{"description":"d","parameters":{"type":"object"}}'},
    }
    (call,) = _calls(blob)
    assert (call.at, call.cost, call.body["temperature"]) == (START_NS, 3_000_000, 0.5)
    assert call.body["tools"][0]["function"]["name"] == "f"


def test_csv_tables_with_quotes_and_line_breaks_inside() -> None:
    row = _row(
        input=json.dumps([{"role": "user", "content": 'say "a, b"\n\nplease'}], indent=1),
        output='{"role":"assistant","content":"a, b"}',
        usageDetails='{"input":5,"output":2,"total":7}',
        modelParameters='{"temperature":"0.5","max_tokens":"Infinity"}',
        costDetails="{}",
        tags='["team:x"]',
    )
    out = io.StringIO()
    table = csv.DictWriter(out, list(row), quoting=csv.QUOTE_ALL)
    table.writeheader()
    table.writerows([{**row, "type": "SPAN", "id": "s"}, row])
    lines = _lines(out.getvalue().replace("\r\n", "\n"), "export.csv")
    (call,) = read(lines, Options())
    assert isinstance(call, Imported)
    assert call.body["messages"] == [{"role": "user", "content": 'say "a, b"\n\nplease'}]
    assert call.body["temperature"] == 0.5 and "max_tokens" not in call.body
    assert (call.usage, call.tags["team"]) == (Usage(input=5, output=2), "x")


def test_csv_rows_that_are_cut_off_are_told() -> None:
    text = 'id,startTime,type,model,input\nc1,"2026-11-01 09:30:00",GENERATION,m,hi\nc2,x\nc3,"2026-11'
    found = list(read(_lines(text, "export.csv"), Options()))
    assert [each.line for each in found if isinstance(each, Unusable)] == [3, 4]
    assert [each.id for each in found if isinstance(each, Imported)] == ["c1"]


def test_inputs_of_every_form() -> None:
    tool: Json = {"type": "function", "function": {"name": "f", "parameters": {}}}
    wrapped: Json = {"messages": [{"role": "user", "content": "hi"}], "tools": [tool], "api_key": "sk-live-1"}
    (call,) = _calls(_row(input=wrapped))
    assert call.body["tools"] == [tool] and "api_key" not in call.body
    (call,) = _calls(_row(input=[{"role": "user", "content": "hi"}, {"role": "tool", "content": tool}]))
    assert call.body["tools"] == [tool] and len(call.body["messages"]) == 1
    (call,) = _calls(_row(input="only text"))
    assert call.body["messages"] == [{"role": "user", "content": "only text"}]
    claude = [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "7"}]},
    ]
    (call,) = _calls(_row(input={"system": "brief", "messages": claude}))
    told, asked, result = call.body["messages"]
    assert told == {"role": "system", "content": "brief"}
    assert asked["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":1}'}
    assert result == {"role": "tool", "tool_call_id": "t", "content": "7"}


def test_outputs_of_every_form() -> None:
    whole = {"object": "chat.completion", "choices": [{"index": 0, "message": {"content": "4"}}]}
    (call,) = _calls(_row(output=whole))
    assert call.answer == whole
    items: list[Json] = [
        {"type": "reasoning", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "four"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    ]
    (call,) = _calls(_row(output=items))
    assert call.answer is not None
    message = call.answer["choices"][0]["message"]
    assert message["content"] == "four" and message["tool_calls"][0]["id"] == "c"
    assert call.answer["choices"][0]["finish_reason"] == "tool_calls"
    (call,) = _calls(_row(modelParameters={"max_tokens": 188}))
    assert call.answer and call.answer["choices"][0]["finish_reason"] == "length"
    (call,) = _calls(_row(output=None))
    assert call.answer is None


def test_embeddings_have_their_input_and_failures_their_status() -> None:
    (call,) = _calls(_row(type="EMBEDDING", input=["a", "b"], usageDetails={"input": 4, "total": 4}))
    assert (call.api, call.body["input"], call.usage) == ("embeddings", ["a", "b"], Usage(input=4))
    failed = _row(
        level="ERROR", output=None, usageDetails={}, statusMessage="RateLimitError: 429 for sk-live-1"
    )
    (call,) = _calls(failed)
    assert (call.status, call.error) == (429, "RateLimitError")
    (call,) = _calls(_row(level="ERROR", statusMessage="the answer was no JSON"))
    assert call.status == 200 and not call.error


def test_what_is_no_observation_is_told() -> None:
    found = _read([{"id": "score", "value": 1}, _row(startTime="yesterday")])
    assert [type(each) for each in found] == [Unusable, Unusable]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(_row())), _JSON, max_size=6))
def test_whatever_a_field_holds_nothing_breaks(odd: Json) -> None:
    assert len(_read([{**_row(), **odd}])) <= 1
