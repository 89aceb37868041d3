"""Checks of a cascade."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from costopt.decide.accept import accept, asked_schema

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


def test_simple_checks() -> None:
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
