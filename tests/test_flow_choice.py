"""Which model a call goes to and what the choice is measured against, seen through the whole pipeline."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from scripted import World, answer, request, serve

from costopt import effects as ask
from costopt.errors import BudgetExceeded, NoModel
from costopt.policy import Budget, Cascade, Limit, Model, Policy, Price, Route, Trim
from costopt.types import Reply, Request, Usage
from costopt.world.pricemap import load

DOLLAR = 10**9
SMALL, LARGE = "openai/gpt-4o-mini", "openai/gpt-4o"
LADDER = (Model(SMALL), Model(LARGE))
DOWN = (Budget(DOLLAR, "day", on_exceed="downgrade"),)
#: Room for the worst case of gpt-4o-mini ($0.0098), not for that of gpt-4o ($0.16).
ROOM = 20_000_000
#: 2026-11-23 22:00 UTC, when DeepSeek asks half of its price.
OFF_PEAK = 1_795_471_200 * 10**9


def saved(reply: Reply) -> list[tuple[str, int]]:
    assert reply.receipt is not None
    return [(saving.lever, saving.nano) for saving in reply.receipt.savings]


def at_deepseek(model: str, **fields: Any) -> Request:
    return replace(request(model=model, **fields), provider="deepseek", at=OFF_PEAK)


def test_a_choice_is_measured_at_the_prices_of_its_own_hour() -> None:
    rules = Policy(models=(Model("deepseek/deepseek-v4-flash"),), route=Route(downgrade=("deepseek-v4-pro",)))
    plain = serve(at_deepseek("deepseek-v4-pro"), Policy(), World())
    routed = serve(at_deepseek("deepseek-v4-pro"), rules, World())
    assert plain.receipt is not None and plain.receipt.cost is not None
    assert routed.receipt is not None and routed.receipt.cost is not None
    assert saved(routed) == [("route", plain.receipt.cost - routed.receipt.cost)]


def test_a_trim_saves_at_the_prices_of_its_own_hour() -> None:
    told = [{"role": "user", "content": f"{n} word " * 80} for n in range(8)]
    sent = at_deepseek("deepseek-v4-pro", messages=told)
    rules = Policy(trim=Trim(budget=1000, keep=800))
    reply = serve(sent, rules, World())
    assert reply.receipt is not None
    removed = Usage(cache_read=reply.receipt.trimmed)
    assert saved(reply) == [("trim", load().cost("deepseek-v4-pro", removed, "deepseek", OFF_PEAK))]


def test_the_strongest_of_a_ladder_is_priced_where_it_lives() -> None:
    rules = Policy(models=(Model(SMALL), Model("anthropic/claude-opus-4-5")), route=Route())
    reply = serve(request(model="auto"), rules, World())
    assert saved(reply) == [("route", 12 * 5_000 + 3 * 25_000 - 12 * 150 - 3 * 600)]


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
    (dear,) = [step.nano for step in world.trace if isinstance(step, ask.Reserve)]
    world = World()
    world.room = dear - 1
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
    world = World()
    world.room = ROOM
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
    assert reply.receipt is not None and reply.receipt.model == "gpt-4o-mini"


def test_no_room_for_any_is_refused() -> None:
    world = World()
    world.room = 1
    models = (Model("openai/gpt-4.1-nano"), *LADDER)
    with pytest.raises(BudgetExceeded):
        serve(request(model="gpt-4o"), Policy(models=models, budgets=DOWN), world)
    assert [type(step).__name__ for step in world.trace].count("Reserve") == 3


@pytest.mark.parametrize(
    "other", ["openai/text-embedding-3-small", "openai/gpt-image-1", "openai/gpt-5-codex"]
)
def test_a_model_for_something_else_gets_no_chat(other: str) -> None:
    for models in ((Model(other), *LADDER), (*LADDER, Model(other))):
        world = World()
        reply = serve(request(model="auto"), Policy(models=models, route=Route()), world)
        assert [call.model for call in world.calls] == ["gpt-4o-mini"]
        assert saved(reply) == [("route", 12 * 2500 + 3 * 10_000 - 12 * 150 - 3 * 600)]
    with pytest.raises(NoModel, match=f"{other} is for "):
        serve(request(model="auto"), Policy(models=(Model(other),), route=Route()), World())


@pytest.mark.parametrize(
    ("pattern", "provider", "model", "limited"),
    [
        ("gpt-4o", "openai", "gpt-4o", True),
        ("gpt-4*", "openai", "gpt-4o", True),
        ("openai/gpt-4*", "openai", "gpt-4o", True),
        ("gpt-4", "openai", "gpt-4o", False),
        ("openai/*", "groq", "openai/gpt-oss-20b", False),
        ("openai/gpt-oss-20b", "groq", "openai/gpt-oss-20b", True),
        ("groq/*", "groq", "openai/gpt-oss-20b", True),
    ],
)
def test_a_limit_names_models_with_their_provider_or_without(
    pattern: str, provider: str, model: str, limited: bool
) -> None:
    world = World()
    sent = replace(request(model=model), provider=provider)
    serve(sent, Policy(limits=(Limit("mine", requests=5, models=(pattern,)),)), world)
    assert any(isinstance(step, ask.Admit) for step in world.trace) is limited


OWN = Price(input=DOLLAR, output=2 * DOLLAR)


@pytest.mark.parametrize(
    ("prices", "model", "cost"),
    [
        ({"azure/mydep": OWN}, "mydep", 12 * 1000 + 3 * 2000),
        ({"mydep": OWN}, "mydep", 12 * 1000 + 3 * 2000),
        ({}, "gpt-4o-2024-08-06", 12 * 2500 + 3 * 10_000),
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
    reply = serve(sent, Policy(prices=prices), world)
    assert reply.receipt is not None
    assert (reply.receipt.model, reply.receipt.cost) == (model, cost)
