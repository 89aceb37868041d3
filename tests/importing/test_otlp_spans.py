"""Which spans are calls, and every call once."""

from __future__ import annotations

from typing import Any

from import_material import facts, imported
from otlp_material import BEGAN, calls_of, chat, read_all, request_of, span_of

from costopt.importing.words import Imported, Unusable


def test_an_sdk_span_inside_a_framework_span_is_one_call_in_any_order_and_over_lines() -> None:
    spans = [
        span_of(chat(), "framework"),
        span_of({"http.request.method": "POST"}, "http", "framework", 5),
        span_of(chat(), "sdk", "http", 9),
    ]
    for order in (spans, spans[::-1]):
        assert [call.id.partition(":")[2] for call in calls_of(*order)] == ["sdk"]
        found = read_all(*map(request_of, order))
        assert [each.id.partition(":")[2] for each in found if isinstance(each, Imported)] == ["sdk"]


def test_agents_tools_and_workflows_are_no_calls_and_what_they_call_is() -> None:
    spans = [
        span_of(chat(gen_ai__operation__name="invoke_agent"), "agent"),
        span_of(chat(), "one", "agent", 1),
        span_of({"gen_ai.operation.name": "execute_tool"}, "tool", "one", 2),
        span_of(chat(), "two", "tool", 3),
        span_of({"gen_ai.operation.name": "invoke_workflow", "gen_ai.usage.input_tokens": 9}, "flow"),
    ]
    assert [call.id.partition(":")[2] for call in calls_of(*spans)] == ["one", "two"]


def test_side_by_side_spans_of_one_answer_are_one_call_and_gateway_ids_do_not_collapse() -> None:
    about = chat(gen_ai__response__id="chatcmpl-9")
    bare = {key: value for key, value in about.items() if "usage" not in key}
    same = [span_of(bare, "framework", "root"), span_of(about, "sdk", "root", 5)]
    assert [call.id.partition(":")[2] for call in calls_of(*same)] == ["sdk"]
    later = span_of(about, "later", "root", 10 * 10**9)
    other = span_of(about | {"gen_ai.usage.output_tokens": 9}, "other", "root", 5)
    assert len(calls_of(*same, later, other)) == 3


def test_the_same_span_exported_twice_is_in_the_ledger_once(tmp_path: Any) -> None:
    line = request_of(span_of(chat()))
    imported(tmp_path, [line, line], "otlp")
    imported(tmp_path, [line], "otlp")
    (fact,) = facts(tmp_path)
    assert fact.cost == 2000 * 150 + 7 * 600


def test_console_spans_and_snake_case() -> None:
    console = {
        "name": "chat m",
        "context": {"trace_id": "0x1", "span_id": "0x2"},
        "parent_id": None,
        "start_time": "2026-11-01T09:30:00Z",
        "end_time": "2026-11-01T09:30:01Z",
        "status": {"status_code": "OK"},
        "attributes": chat(),
    }
    raw = span_of(chat())
    snake = {
        "trace_id": raw["traceId"],
        "span_id": "s",
        "start_time_unix_nano": str(BEGAN),
        "attributes": raw["attributes"],
    }
    found = read_all(console, {"resource_spans": [{"scope_spans": [{"spans": [snake]}]}]})
    assert len(found) == 2 and all(isinstance(each, Imported) for each in found)


def test_other_signals_are_nothing_and_what_is_no_otlp_is_told() -> None:
    assert read_all({"resourceLogs": []}, {"resourceMetrics": []}) == []
    (found,) = read_all({"spans": "?"})
    assert isinstance(found, Unusable) and "resourceSpans" in found.why
    (found,) = read_all(request_of(span_of(chat(), startTimeUnixNano="0")))
    assert isinstance(found, Unusable) and "start time" in found.why
    (found,) = read_all(request_of(span_of(chat(gen_ai__operation__name="image_generation"))))
    assert isinstance(found, Unusable)
