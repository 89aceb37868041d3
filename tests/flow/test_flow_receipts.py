"""What a record says of its call: its steps, its usage, its model and its price."""

from __future__ import annotations

import msgspec
from flow_material import LADDER, LARGE_COST, SMALL_COST, bill
from scripted import MODEL, World, answer, request, serve

from costopt import wire
from costopt.policy import Cache, Policy, Route, Trim


def test_observe_calls_once_and_sends_the_callers_own_bytes() -> None:
    world = World()
    sent = request()
    reply = serve(sent, Policy(), world)
    assert world.steps == ["Now", "Call", "Now", "Write"]
    assert world.calls[0].raw is sent.raw
    assert (bill(reply).cost, bill(reply).savings) == (SMALL_COST, ())


def test_decisions_are_noted_in_order() -> None:
    world = World()
    rules = Policy(cache=Cache(), models=LADDER, route=Route(), trim=Trim(budget=32_000, keep=16_000))
    serve(request(model="auto"), rules, world)
    layers = [decision.layer for decision in world.records[0].request.notes]
    assert layers == ["cache", "route", "cache"]


def test_the_price_is_that_of_the_model_that_answered() -> None:
    """A deployment, an alias or a fallback may answer with another model than the one asked for."""
    world = World(lambda _: answer(model="gpt-4o-2024-08-06"))
    receipt = bill(serve(request(model="dep1"), Policy(), world))
    assert (receipt.model, receipt.cost) == ("gpt-4o-2024-08-06", LARGE_COST)


def test_no_answer_is_free_because_a_proxy_sends_zeros_for_usage() -> None:
    receipt = bill(serve(request(), Policy(), World(lambda _: answer(prompt=0, output=0))))
    assert receipt.usage.estimated
    assert receipt.usage.input > 5
    assert receipt.usage.output > 0
    assert receipt.cost


def test_usage_the_provider_did_not_send_is_counted_and_says_so() -> None:
    bare = msgspec.json.decode(answer("Paris").body)
    del bare["usage"]
    world = World(lambda _: wire.read_body("chat", 200, (), msgspec.json.encode(bare)))
    receipt = bill(serve(request(), Policy(), world))
    assert receipt.usage.estimated
    assert receipt.usage.output == 1
    assert receipt.cost is not None
    assert receipt.model == MODEL
