"""Checks of a cascade."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from costopt.decide.accept import accept, asked_schema, fits

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 1}, "tag": {"$ref": "#/$defs/tag"}},
    "required": ["n"],
    "additionalProperties": False,
    "$defs": {"tag": {"enum": ["a", "b"]}},
}
BODIES = [
    {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
    {"text": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    {"output_format": {"type": "json_schema", "schema": SCHEMA}},
]


@pytest.mark.parametrize("body", BODIES)
def test_schemas_of_every_api(body: dict[str, Any]) -> None:
    assert asked_schema(body) is SCHEMA
    assert accept('{"n": 1, "tag": "a"}', "json_schema", body)
    for bad in (
        '{"n": 0}',
        "{}",
        '{"n": 1, "more": 1}',
        '{"n": 1, "tag": "c"}',
        "[]",
        "no JSON",
        "",
        '{"n": 1',
    ):
        assert not accept(bad, "json_schema", body)


def test_each_check_accepts_what_its_name_says_and_no_fenced_or_broken_json() -> None:
    assert accept("", "none", {})
    assert accept("x", "non_empty", {})
    assert not accept(" \n", "non_empty", {})
    assert accept("[1]", "json", {})
    assert not accept("```json\n[1]\n```", "json", {})
    assert not accept("\ud800", "json", {})


@pytest.mark.parametrize(
    "body", [{}, {"response_format": {"type": "json_object"}}, {"text": "odd"}, {"text": None}]
)
def test_without_a_schema_there_is_nothing_to_check(body: dict[str, Any]) -> None:
    assert accept("plain words", "json_schema", body)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "no-such-type"},
        {"$ref": "https://example.com/remote.json"},
        {"$ref": "#"},
        {"additionalProperties": {"type": "string", "pattern": r"^\p{L}+$"}},
        {"additionalProperties": {"pattern": 7}},
        {"minProperties": 10**30, "type": 10**40},
    ],
)
def test_a_schema_that_cannot_be_used_checks_nothing(
    schema: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socket", None)
    assert accept('{"a": "b"}', "json_schema", {"output_format": {"schema": schema}})


def test_an_answer_nested_too_deep_to_read_does_not_pass() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    assert not accept(deep, "json", {})
    assert not accept(deep, "json_schema", BODIES[0])
    assert not fits("look", f'{{"n": {deep}}}', {})


@pytest.mark.parametrize(
    ("step", "value", "passes"),
    [
        (0.01, "19.99", True),
        (0.1, "0.3", True),
        (0.01, "19.999", False),
        (0.01, "1e300", True),
        (0.01, "7", True),
        (0.5, "0.75", False),
        (3, "9", True),
        (3, "10", False),
        (1, "1.5", False),
        (0.01, '"19.99"', True),
    ],
)
@pytest.mark.parametrize("draft", [{}, {"$schema": "http://json-schema.org/draft-07/schema#"}])
def test_a_multiple_is_one_in_decimals(step: float, value: str, passes: bool, draft: dict[str, str]) -> None:
    schema = {**draft, "type": "object", "properties": {"price": {"multipleOf": step}}}
    text = f'{{"price": {value}}}'
    assert accept(text, "json_schema", {"output_format": {"schema": schema}}) is passes
    assert fits("pay", text, {"tools": [{"name": "pay", "input_schema": schema}]}) is passes


def test_no_arguments_are_an_empty_object() -> None:
    tools: dict[str, Any] = {"tools": [{"name": "now", "input_schema": {"type": "object", "properties": {}}}]}
    assert fits("now", "", tools)
    assert fits("now", "", {"tools": [{"type": "function", "function": {"name": "now"}}]})
    assert not fits("look", "", {"tools": [{"name": "look", "input_schema": SCHEMA}]})
