"""Which answers a cascade asks the next model again for, and who pays for both."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from flow_material import DAILY, LADDER, LARGE_COST, ROOM, SMALL_COST, bill, saved
from msgspec.structs import replace
from scripted import World, answer, request, serve

from costopt.errors import UpstreamError
from costopt.policy import Cascade, Policy, Route
from costopt.types import Reply, Request

SCHEMED = Policy(models=LADDER, route=Route(cascade=Cascade("json_schema")))
JSON = Policy(models=LADDER, route=Route(cascade=Cascade("json")))
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
        return replace(given, body=msgspec.json.encode(body))

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
    serve(request(model="auto", n=len(texts), **ASKED_SCHEMA), SCHEMED, world)
    assert len(world.calls) == asked


def test_a_failed_check_escalates_and_its_cost_counts_against_the_route() -> None:
    said = {"gpt-4o-mini": "no", "gpt-4o": '{"city": "Paris"}'}
    world = World(lambda sent: answer(said[sent.model], model=sent.model))
    reply = serve(request(model="auto"), JSON, world)
    assert [(sent.model, sent.hold) for sent in world.calls] == [("gpt-4o-mini", True), ("gpt-4o", False)]
    assert bill(reply).cost == SMALL_COST + LARGE_COST
    assert saved(reply) == [("route", -SMALL_COST)]


@pytest.mark.parametrize(
    "failure", [UpstreamError(Reply(status=500)), UpstreamError(None, OSError(), sent=False)]
)
def test_what_a_failed_check_had_cost_is_recorded_even_if_the_next_model_fails(
    failure: UpstreamError,
) -> None:
    def reply_of(sent: Request) -> Reply:
        if sent.model == "gpt-4o-mini":
            return answer("no", model=sent.model)
        raise failure

    world = World(reply_of)
    with pytest.raises(UpstreamError):
        serve(request(model="auto"), JSON, world)
    (record,) = world.records
    assert record.outcome == "error"
    assert (bill(record).cost, len(bill(record).attempts)) == (SMALL_COST, 1)


def test_a_paid_answer_is_given_rather_than_none_where_the_next_model_is_refused() -> None:
    world = World(lambda sent: answer("no", model=sent.model))
    world.room = ROOM
    reply = serve(request(model="auto"), replace(JSON, budgets=DAILY), world)
    assert (bill(reply).model, bill(reply).cost) == ("gpt-4o-mini", SMALL_COST)
