"""A replay keeps the answers a live call would keep: what a caller could not read is asked for again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from replay_material import SECOND, START, chat, heard, recorded

from costopt.policy import Cache, Policy

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
FORM = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}


@pytest.mark.parametrize(
    ("form", "content", "answer", "hits"),
    [
        (FORM, "full", '{"m": 1}', 1),
        (FORM, "full", '{"n": 1}', 2),
        ({"type": "json_object"}, "full", "Sure!", 1),
        ({"type": "text"}, "full", "Sure!", 2),
        (FORM, "hashed", '{"m": 1}', 2),  # nobody knows what it said
        ({"type": "json_object"}, "hashed", "Sure!", 2),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_is_asked_for_again(
    tmp_path: Path, form: dict[str, Any], content: str, answer: str, hits: int
) -> None:
    body = chat("who", response_format=form)
    answers = [answer, '{"n": 2}', '{"n": 3}']
    calls = [recorded(n, START + n * SECOND * 5, body=body, answer=text) for n, text in enumerate(answers)]
    told = heard(tmp_path, calls, Policy(cache=Cache()), content)
    assert told.outcome.outcomes["hit"] == hits
