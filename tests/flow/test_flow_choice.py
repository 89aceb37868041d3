"""Which model a call goes to and what the choice is measured against."""

from __future__ import annotations

from typing import Any

import pytest
from flow_material import (
    DOLLAR,
    DOWN,
    LADDER,
    LARGE_COST,
    ROOM,
    SMALL,
    SMALL_COST,
    bill,
    saved,
    with_room,
)
from msgspec.structs import replace
from scripted import World, answer, request, serve

from costopt import effects as ask
from costopt.errors import BudgetExceeded, NoModel
from costopt.policy import Cascade, Model, Policy, Price, Route, Trim
from costopt.types import Request, Usage
from costopt.world.pricemap import load

#: 2026-11-23 22:00 UTC, when DeepSeek asks half of its price.
OFF_PEAK = 1_795_471_200 * 10**9


def at_deepseek(model: str, **fields: Any) -> Request:
    return replace(request(model=model, **fields), provider="deepseek", at=OFF_PEAK)


def test_auto_picks_the_small_model_and_counts_the_saving_against_the_strongest() -> None:
    world = World()
    reply = serve(request(model="auto"), Policy(models=LADDER, route=Route()), world)
    assert [(sent.model, sent.body["model"]) for sent in world.calls] == [("gpt-4o-mini", "gpt-4o-mini")]
    assert bill(reply).cost == SMALL_COST
    assert saved(reply) == [("route", LARGE_COST - SMALL_COST)]
    assert bill(reply).savings[0].basis == "estimated"


@pytest.mark.parametrize("listed", ["gpt-4o", "openai/gpt-4o"])
def test_a_model_listed_for_downgrade_goes_to_a_cheaper_one(listed: str) -> None:
    world = World()
    reply = serve(request(model="gpt-4o"), Policy(models=LADDER, route=Route(downgrade=(listed,))), world)
    assert [sent.model for sent in world.calls] == ["gpt-4o-mini"]
    assert [(lever, nano > 0) for lever, nano in saved(reply)] == [("route", True)]


def test_no_model_that_can_is_refused_before_anything_is_paid() -> None:
    world = World()
    with pytest.raises(NoModel):
        serve(request("word " * 300_000, model="auto"), Policy(models=LADDER, route=Route()), world)
    assert world.calls == []
    assert world.records[0].outcome == "refused"


def test_a_full_budget_downgrades_where_the_policy_says_so() -> None:
    world = with_room(ROOM)
    rules = Policy(models=LADDER, route=Route(strategy="strongest"), budgets=DOWN)
    serve(request(model="auto"), rules, world)
    assert [sent.model for sent in world.calls] == ["gpt-4o-mini"]


def test_the_model_asked_for_saves_nothing_whatever_name_it_answers_under() -> None:
    world = World(lambda _: answer(model="gpt-4o-mini-2024-07-18"))
    reply = serve(request(model="gpt-4o"), Policy(models=LADDER, budgets=DOWN), world)
    assert bill(reply).savings == ()


def test_a_choice_is_measured_at_the_prices_of_its_own_hour() -> None:
    rules = Policy(models=(Model("deepseek/deepseek-v4-flash"),), route=Route(downgrade=("deepseek-v4-pro",)))
    plain = serve(at_deepseek("deepseek-v4-pro"), Policy(), World())
    routed = serve(at_deepseek("deepseek-v4-pro"), rules, World())
    before, after = bill(plain).cost, bill(routed).cost
    assert before is not None and after is not None
    assert saved(routed) == [("route", before - after)]


def test_a_trim_saves_at_the_prices_of_its_own_hour() -> None:
    told = [{"role": "user", "content": f"{n} word " * 80} for n in range(8)]
    sent = at_deepseek("deepseek-v4-pro", messages=told)
    rules = Policy(trim=Trim(budget=1000, keep=800))
    reply = serve(sent, rules, World())
    removed = Usage(cache_read=bill(reply).trimmed)
    assert saved(reply) == [("trim", load().cost("deepseek-v4-pro", removed, "deepseek", OFF_PEAK))]


def test_the_strongest_of_a_ladder_is_priced_where_it_lives() -> None:
    rules = Policy(models=(Model(SMALL), Model("anthropic/claude-opus-4-5")), route=Route())
    reply = serve(request(model="auto"), rules, World())
    assert saved(reply) == [("route", 12 * 5_000 + 3 * 25_000 - SMALL_COST)]


@pytest.mark.parametrize(
    ("provider", "asked", "cheap"),
    [
        ("mistral", "mistral-large-latest", "mistral-small-latest"),
        ("groq", "openai/gpt-oss-120b", "openai/gpt-oss-20b"),
    ],
)
def test_a_model_is_cheaper_than_the_one_asked_for_wherever_that_lives(
    provider: str, asked: str, cheap: str
) -> None:
    models = (Model(f"{provider}/{cheap}"),)
    sent = replace(request(model=asked, max_tokens=1000), provider=provider)
    for listed in (asked, f"{provider}/{asked}"):
        world = World()
        reply = serve(sent, Policy(models=models, route=Route(downgrade=(listed,))), world)
        assert [call.model for call in world.calls] == [cheap]
        assert [(lever, nano > 0) for lever, nano in saved(reply)] == [("route", True)]
    world = World()
    serve(sent, Policy(budgets=DOWN), world)
    (dear,) = world.did(ask.Reserve)
    world = with_room(dear.nano - 1)
    serve(sent, Policy(models=models, budgets=DOWN), world)
    assert [call.model for call in world.calls] == [cheap]


@pytest.mark.parametrize(
    ("asked", "route"),
    [
        ("gpt-4o", Route(cascade=Cascade("json"))),
        ("auto", Route(strategy="strongest", cascade=Cascade("json"))),
    ],
)
def test_a_full_budget_downgrades_beside_a_cascade(asked: str, route: Route) -> None:
    world = with_room(ROOM)
    reply = serve(request(model=asked), Policy(models=LADDER, route=route, budgets=DOWN), world)
    assert [call.model for call in world.calls] == ["gpt-4o-mini"], "and what it says stands, checked or not"
    assert not world.calls[0].hold
    assert b"Paris" in reply.body


def test_a_call_nobody_routes_is_not_escalated_to_a_cheaper_model() -> None:
    world = World()
    rules = Policy(models=LADDER, route=Route(cascade=Cascade("json")), budgets=DOWN)
    serve(request(model="gpt-4o"), rules, world)
    assert [call.model for call in world.calls] == ["gpt-4o"]


def test_a_failed_check_goes_up_and_never_down_again() -> None:
    models = (Model("openai/gpt-4.1-nano"), *LADDER)
    world = World(lambda sent: answer("no", model=sent.model))
    world.room = ROOM
    rules = Policy(models=models, route=Route(long_prompt=1, cascade=Cascade("json")), budgets=DOWN)
    reply = serve(request(model="auto"), rules, world)
    assert [call.model for call in world.calls] == ["gpt-4o-mini"]
    assert bill(reply).model == "gpt-4o-mini"


def test_no_room_for_any_is_refused() -> None:
    world = with_room(1)
    models = (Model("openai/gpt-4.1-nano"), *LADDER)
    with pytest.raises(BudgetExceeded):
        serve(request(model="gpt-4o"), Policy(models=models, budgets=DOWN), world)
    assert len(world.did(ask.Reserve)) == 3


@pytest.mark.parametrize(
    "other", ["openai/text-embedding-3-small", "openai/gpt-image-1", "openai/gpt-5-codex"]
)
def test_a_model_for_something_else_gets_no_chat(other: str) -> None:
    for models in ((Model(other), *LADDER), (*LADDER, Model(other))):
        world = World()
        reply = serve(request(model="auto"), Policy(models=models, route=Route()), world)
        assert [call.model for call in world.calls] == ["gpt-4o-mini"]
        assert saved(reply) == [("route", LARGE_COST - SMALL_COST)]
    with pytest.raises(NoModel, match=f"{other} is for "):
        serve(request(model="auto"), Policy(models=(Model(other),), route=Route()), World())


OWN = Price(input=DOLLAR, output=2 * DOLLAR)


@pytest.mark.parametrize(
    ("prices", "model", "cost"),
    [
        ({"azure/mydep": OWN}, "mydep", 12 * 1000 + 3 * 2000),
        ({"mydep": OWN}, "mydep", 12 * 1000 + 3 * 2000),
        ({}, "gpt-4o-2024-08-06", LARGE_COST),
        ({"azure/gpt-4o": OWN}, "gpt-4o-2024-08-06", 12 * 1000 + 3 * 2000),
        (
            {"mydep": OWN, "gpt-4o": Price(input=3 * DOLLAR, output=DOLLAR)},
            "gpt-4o-2024-08-06",
            12 * 3000 + 3 * 1000,
        ),
    ],
)
def test_a_users_own_price_wins_over_the_list(prices: dict[str, Price], model: str, cost: int) -> None:
    world = World(lambda _: answer(model="gpt-4o-2024-08-06"))
    sent = replace(request(model="mydep"), provider="azure")
    receipt = bill(serve(sent, Policy(prices=prices), world))
    assert (receipt.model, receipt.cost) == (model, cost)
