"""What a record says of its call: its steps, its usage, its model and its price."""

from __future__ import annotations

import msgspec
import pytest
from flow_material import DAILY, LADDER, LARGE_COST, SMALL_COST, always, bill
from scripted import MODEL, World, answer, request, serve

from costopt import effects as ask
from costopt import wire
from costopt.errors import Interrupted
from costopt.policy import Cache, Policy, Route, Trim
from costopt.types import Json, Reply, Request
from costopt.wire import sse


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


def test_an_answer_without_usage_tells_its_tier_and_its_searches_all_the_same() -> None:
    """As a stream that nobody asked to report usage."""
    body = msgspec.json.decode(answer("Paris", model="gpt-4o-search-preview").body)
    del body["usage"]
    body["choices"][0]["message"]["annotations"] = [{"type": "url_citation"}]
    world = World(lambda _: wire.read_body("chat", 200, (), msgspec.json.encode(body)))
    receipt = bill(serve(request(model="gpt-4o-search-preview"), Policy(), world))
    assert receipt.usage.estimated and receipt.usage.searches == 1
    assert receipt.cost is not None and receipt.cost > 25_000_000
    body |= {"service_tier": "priority", "model": MODEL}
    assert bill(serve(request(), Policy(), world)).usage.service_tier == "priority search:cited"


def asked_claude() -> Request:
    asked = request(api="messages", model="claude-sonnet-4-5", stream=True)
    return msgspec.structs.replace(asked, provider="anthropic")


def left_message(*blocks: Json) -> Reply:
    """A Claude stream of which these deltas had come when its caller left."""
    usage = {"input_tokens": 10, "output_tokens": 1, "service_tier": "standard"}
    seen: list[Json] = [{"type": "message_start", "message": {"model": "claude-sonnet-4-5", "usage": usage}}]
    seen += [{"type": "content_block_delta", "index": 0, "delta": block} for block in blocks]
    return wire.read_events("messages", 200, (), b"".join(map(sse.event, seen)))[0]


@pytest.mark.parametrize(
    "delta",
    [{"type": "text_delta", "text": "word " * 2000}, {"type": "thinking_delta", "thinking": "word " * 2000}],
    ids=["text", "thinking"],
)
def test_what_came_of_a_message_that_was_left_is_priced(delta: Json) -> None:
    world = World(always(lambda: Interrupted(left_message(delta))))
    with pytest.raises(Interrupted):
        serve(asked_claude(), Policy(), world)
    receipt = bill(world.records[0])
    assert receipt.usage.estimated
    assert (receipt.usage.input, receipt.usage.service_tier) == (10, "standard")
    assert 2000 <= receipt.usage.output < 2100
    assert receipt.cost is not None and receipt.cost > 30_000_000


def test_what_a_message_says_of_its_output_is_the_least_there_was() -> None:
    world = World(always(lambda: Interrupted(left_message())))
    with pytest.raises(Interrupted):
        serve(asked_claude(), Policy(), world)
    assert bill(world.records[0]).usage.output == 1


def response(status: str, **more: object) -> Reply:
    body = {"model": "gpt-4o", "status": status, "output": [], "usage": None, **more}
    return wire.read_body("responses", 200, (), msgspec.json.encode(body))


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_an_answer_still_being_made_is_unpriced_and_budgets_take_the_worst_case(status: str) -> None:
    world = World(lambda _: response(status))
    asked = request(api="responses", model="gpt-4o", background=True, max_output_tokens=4000)
    receipt = bill(serve(asked, Policy(budgets=DAILY), world))
    assert receipt.cost is None
    (reserved,) = world.did(ask.Reserve)
    assert world.spent == reserved.nano > 4000 * 10_000


def test_an_answer_that_says_nothing_of_its_state_is_there() -> None:
    """As from servers that speak the API by halves."""
    said = {"type": "message", "content": [{"type": "output_text", "text": "word " * 100}]}
    world = World(lambda _: response("", output=[said]))
    receipt = bill(serve(request(api="responses", model="gpt-4o"), Policy(), world))
    assert receipt.cost is not None and receipt.usage.output > 90


@pytest.mark.parametrize("background", [True, False])
def test_a_response_in_the_background_is_made_though_its_stream_was_left(background: bool) -> None:
    """What had come of any other is priced."""
    created = {"type": "response.created", "response": {"model": "gpt-4o", "status": "in_progress"}}
    said = {"type": "response.output_text.delta", "output_index": 0, "delta": "word " * 100}
    events = b"".join(map(sse.event, [created, said]))
    world = World(always(lambda: Interrupted(wire.read_events("responses", 200, (), events)[0])))
    asked = request(api="responses", model="gpt-4o", stream=True, background=background)
    with pytest.raises(Interrupted):
        serve(asked, Policy(), world)
    receipt = bill(world.records[0])
    assert (receipt.cost is None) is background
    assert receipt.usage.output > 90
