"""Which answers a cascade asks the next model again for, seen through the whole pipeline."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from scripted import World, answer, request, serve

from costopt.policy import Cascade, Model, Policy, Route
from costopt.types import Reply, Request

RULES = Policy(
    models=(Model("openai/gpt-4o-mini"), Model("openai/gpt-4o")), route=Route(cascade=Cascade("json_schema"))
)
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
ASKED_SCHEMA: dict[str, Any] = {
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
}


def saying(*texts: str) -> World:
    """Whoever is asked answers with one choice for each of `texts`."""

    def reply(sent: Request) -> Reply:
        given = answer(model=sent.model)
        body = msgspec.json.decode(given.body)
        said = [{"role": "assistant", "content": text} for text in texts]
        body["choices"] = [
            {"index": n, "message": each, "finish_reason": "stop"} for n, each in enumerate(said)
        ]
        return msgspec.structs.replace(given, body=msgspec.json.encode(body))

    return World(reply)


@pytest.mark.parametrize(
    ("texts", "asked"),
    [
        (['{"n": 1}'], 1),
        (['{"n": 1}', '{"n": 2}'], 1),
        (['{"n": 1}', "{}"], 2),
        (["[" * 100_000], 2),
    ],
)
def test_each_choice_is_checked_alone(texts: list[str], asked: int) -> None:
    world = saying(*texts)
    serve(request(model="auto", n=len(texts), **ASKED_SCHEMA), RULES, world)
    assert len(world.calls) == asked
