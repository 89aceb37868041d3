"""Budgets: what is set aside before a call is the most it can cost, so that no bill passes the cap."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from flow_material import DAILY, DOLLAR, SMALL_COST, bill, with_room
from msgspec.structs import replace
from scripted import World, answer, request, serve

from costopt import effects as ask
from costopt import wire
from costopt.errors import BudgetExceeded, UnknownPrice
from costopt.policy import Budget, Policy, Price
from costopt.types import Api, Reply, Request
from costopt.world.wallet import Wallet

NOW = 1_795_471_200 * 10**9
PICTURE = {"type": "image_url", "image_url": {"url": "https://pictures.example/1.png"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "A" * 4000, "format": "mp3"}}


class Purse(World):
    """Keeps a real wallet."""

    def __init__(self, api: Api, usage: dict[str, Any]) -> None:
        super().__init__(lambda sent: said(api, sent, usage))
        self.wallet = Wallet()
        self.spent: int = 0

    def _do(self, effect: ask.Effect[Any]) -> Any:
        if isinstance(effect, ask.Reserve):
            return self.wallet.reserve(effect.call, effect.claims, effect.nano, NOW)
        if isinstance(effect, ask.Settle):
            self.spent += effect.nano
            return self.wallet.settle(effect.hold, effect.nano)
        return super()._do(effect)


def said(api: Api, sent: Request, usage: dict[str, Any]) -> Reply:
    body: dict[str, Any] = {"id": "x", "model": sent.model, "usage": usage}
    body |= {"output": [{"type": "web_search_call"}] * usage.get("calls", 0)} if api == "responses" else {}
    return wire.read_body(api, 200, (), msgspec.json.encode(body))


def asked(api: Api, model: str, provider: str = "openai", **fields: Any) -> Request:
    return replace(request(api=api, model=model, **fields), provider=provider, at=NOW)


def chat(prompt: int, output: int, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": output, **more}


def pictured(*parts: Any) -> list[Any]:
    return [{"role": "user", "content": list(parts)}]


SEARCH = {"type": "web_search"}
CLAUDE_SEARCH = {"type": "web_search_20250305", "name": "web_search"}
FETCH = {"type": "web_fetch_20250910", "name": "web_fetch"}
PDF = b"%PDF-1.4\n" + b"1 0 obj<</Type /Page/Parent 2 0 R>> endobj\n" * 100
LEAFLET = {
    "type": "file",
    "file": {"file_data": "data:application/pdf;base64," + base64.b64encode(PDF).decode()},
}
#: What was asked, and the most usage that this allows.
DEAREST: dict[str, tuple[Api, Request, dict[str, Any]]] = {
    "n": ("chat", asked("chat", "gpt-4o", n=8), chat(11, 8 * 16_384)),
    "n and a bound": ("chat", asked("chat", "gpt-4o", n=8, max_tokens=500), chat(11, 8 * 500)),
    "two bounds": (
        "chat",
        asked("chat", "gpt-4o", max_completion_tokens=5, max_tokens=900),
        chat(11, 900),
    ),
    "best_of": (
        "completions",
        asked("completions", "gpt-3.5-turbo-instruct", prompt="Go on", n=1, best_of=5, max_tokens=700),
        chat(2, 5 * 700),
    ),
    "audio out": (
        "chat",
        asked("chat", "gpt-audio", modalities=["text", "audio"], audio={"voice": "alloy"}, max_tokens=800),
        chat(11, 800, completion_tokens_details={"audio_tokens": 800}),
    ),
    "audio in": (
        "chat",
        asked("chat", "gpt-audio", messages=pictured(SOUND), max_tokens=1),
        chat(40, 1, prompt_tokens_details={"audio_tokens": 30}),
    ),
    "chat search": (
        "chat",
        asked("chat", "gpt-4o-search-preview", web_search_options={}, max_tokens=100),
        chat(128_000, 100, server_tool_use={"web_search_requests": 1}),
    ),
    "chat search unasked": (
        "chat",
        asked("chat", "gpt-5-search-api", max_tokens=100),
        chat(128_000, 100, server_tool_use={"web_search_requests": 1}),
    ),
    "chat search by a plugin": (
        "chat",
        asked("chat", "gpt-4o", plugins=[{"id": "web"}], max_tokens=100),
        chat(128_000, 100),
    ),
    "responses search": (
        "responses",
        asked("responses", "gpt-4.1", input="hi", tools=[SEARCH], max_tool_calls=3, max_output_tokens=50),
        {"input_tokens": 3 * 128_000, "output_tokens": 50, "calls": 3},
    ),
    "messages search": (
        "messages",
        asked(
            "messages",
            "claude-opus-4-5",
            "anthropic",
            system=[{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
            tools=[CLAUDE_SEARCH | {"max_uses": 2}],
            max_tokens=50,
        ),
        {
            "input_tokens": 0,
            "cache_creation": {"ephemeral_1h_input_tokens": 2 * 128_000},
            "output_tokens": 50,
            "server_tool_use": {"web_search_requests": 2},
        },
    ),
    "messages fetch": (
        "messages",
        asked("messages", "claude-sonnet-4-6", "anthropic", tools=[FETCH | {"max_uses": 3}], max_tokens=50),
        {"input_tokens": 3_900_000, "output_tokens": 50, "server_tool_use": {"web_fetch_requests": 3}},
    ),
    "messages bounded fetch": (
        "messages",
        asked(
            "messages",
            "claude-sonnet-4-6",
            "anthropic",
            tools=[FETCH | {"max_uses": 2, "max_content_tokens": 9000}],
            max_tokens=50,
        ),
        {"input_tokens": 27_000, "output_tokens": 50},
    ),
    "a fast mode": (
        "messages",
        asked("messages", "claude-opus-4-8", "anthropic", speed="fast", max_tokens=100),
        {"input_tokens": 5, "output_tokens": 100, "speed": "fast"},
    ),
    "a place that a workspace asks for": (
        "messages",
        asked("messages", "claude-opus-4-8", "anthropic", max_tokens=100),
        {"input_tokens": 5, "output_tokens": 100, "inference_geo": "us"},
    ),
    "a search with much context": (
        "chat",
        asked("chat", "sonar-pro", "perplexity", max_tokens=100),
        chat(128_000, 100, search_context_size="high"),
    ),
    "a search for pages and places": (
        "chat",
        asked(
            "chat",
            "gemini-2.5-flash",
            "gemini",
            tools=[{"googleSearch": {}}, {"googleMaps": {}}],
            max_tokens=9,
        ),
        chat(5, 9, prompt_tokens_details={"web_search_requests": 2, "google_maps_grounding_requests": 1}),
    ),
    "a document": (
        "chat",
        asked("chat", "gpt-5.4", messages=pictured(LEAFLET), max_tokens=5),
        chat(100 * 5000, 5),
    ),
    "pictures": (
        "chat",
        asked("chat", "gpt-4o-mini", messages=pictured(*[PICTURE] * 4), max_tokens=5),
        chat(4 * 48_169 + 7, 5),
    ),
    "pictures of an unknown family": (
        "chat",
        asked("chat", "our-own", messages=pictured(PICTURE), max_tokens=5),
        chat(75_000 + 7, 5),
    ),
    "all at once": (
        "chat",
        asked(
            "chat",
            "gpt-4o",
            messages=pictured(PICTURE, SOUND),
            n=3,
            modalities=["audio"],
            web_search_options={},
            max_tokens=100,
        ),
        chat(2 * 1445 + 128_000, 300, completion_tokens_details={"audio_tokens": 300}),
    ),
}
OWN = {"our-own": Price(input=DOLLAR, output=DOLLAR)}


@pytest.mark.parametrize("name", DEAREST)
@pytest.mark.parametrize("share", [3, 20])
def test_no_bill_passes_the_cap(name: str, share: int) -> None:
    """Of `share` calls at the dearest bill, the cap has room for all but a part of the last."""
    api, sent, usage = DEAREST[name]
    free = Purse(api, usage)
    cost = bill(serve(sent, Policy(budgets=(Budget(10**6 * DOLLAR, "day"),), prices=OWN), free)).cost
    assert cost is not None, "the bill itself is known"
    cap = cost * share - 1
    world, answered = Purse(api, usage), 0
    for _ in range(share + 1):
        try:
            serve(sent, Policy(budgets=(Budget(cap, "day"),), prices=OWN), world)
            answered += 1
        except BudgetExceeded:
            continue
    assert world.spent <= cap
    assert answered > 0 or share < 20, "a cap with ample room lets calls through"


@pytest.mark.parametrize(
    ("sent", "missing"),
    [
        (asked("responses", "gpt-4.1", input="hi", tools=[SEARCH]), "max_tool_calls"),
        (
            asked("messages", "claude-haiku-4-5", "anthropic", tools=[CLAUDE_SEARCH], max_tokens=9),
            "max_uses",
        ),
        (
            asked("messages", "claude-haiku-4-5", "anthropic", tools=[FETCH], max_tokens=9),
            "web fetches.*max_uses",
        ),
        (
            asked("messages", "our-own", "anthropic", tools=[FETCH | {"max_uses": 1}], max_tokens=9),
            "max_content_tokens",
        ),
        (
            asked("chat", "sonar-deep-research", "perplexity", max_tokens=9),
            "the web searches that sonar-deep-research makes unasked",
        ),
        (asked("chat", "our-own"), "nothing bounds the output of our-own: set max_completion_tokens"),
        (asked("responses", "our-own", input="hi"), "set max_output_tokens"),
        (asked("chat", "nobody-knows-me"), "no known price: add it to `prices:`"),
        (asked("chat", "gpt-4o", service_tier="flex"), "no known price in the service tier 'flex'"),
    ],
)
def test_what_is_missing_is_named(sent: Request, missing: str) -> None:
    world = World(lambda request: said(sent.api, request, chat(1, 1)))
    with pytest.raises(UnknownPrice, match=missing):
        serve(sent, Policy(budgets=DAILY, prices=OWN), world)
    assert world.calls == []
    allowed = Budget(DOLLAR, "day", on_unknown_price="allow")
    serve(sent, Policy(budgets=(allowed,), prices=OWN), world)
    assert len(world.calls) == 1


def test_an_unknown_fee_leaves_the_rest_of_the_bill() -> None:
    """The price map has no fee for a search by gpt-5.4."""
    sent = asked("responses", "gpt-5.4", input="hi", tools=[SEARCH], max_tool_calls=1, max_output_tokens=9)
    world = World(lambda request: said("responses", request, {"input_tokens": 9_000, "calls": 1}))
    assert bill(serve(sent, Policy(budgets=DAILY), world)).cost is None
    assert world.spent == 9_000 * 2500


def test_an_answer_whose_price_nobody_knows_takes_the_worst_case() -> None:
    late = wire.read_body(
        "chat", 200, (), b'{"model": "gpt-4o", "service_tier": "flex", "usage": {"prompt_tokens": 9}}'
    )
    world = World(lambda _: late)
    assert bill(serve(asked("chat", "gpt-4o"), Policy(budgets=DAILY), world)).cost is None
    (hold,) = world.did(ask.Reserve)
    assert world.spent == hold.nano > 0


def reserved(sent: Request) -> int:
    world = World(lambda _: answer(model=sent.model))
    serve(sent, Policy(budgets=(Budget(10**6 * DOLLAR, "day"),)), world)
    (hold,) = world.did(ask.Reserve)
    return hold.nano


def test_an_hour_in_the_cache_is_set_aside_where_it_is_asked_for() -> None:
    plain = {"type": "text", "text": "word " * 1000, "cache_control": {"type": "ephemeral"}}
    long = plain | {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    short, hour = (
        reserved(asked("messages", "claude-opus-4-5", "anthropic", system=[part], max_tokens=1))
        for part in (plain, long)
    )
    assert hour > 1.5 * short, "6.25 and 10 dollars a million"


def test_no_more_is_set_aside_than_the_model_reads() -> None:
    many = asked("chat", "gpt-5.6", messages=pictured(*[PICTURE] * 40), max_tokens=1)
    more = asked("chat", "gpt-5.6", messages=pictured(*[PICTURE] * 80), max_tokens=1)
    assert reserved(many) == reserved(more)


def test_a_plain_call_reserves_its_prompt_and_its_bound() -> None:
    assert reserved(asked("chat", "gpt-4o", max_tokens=100)) == 11 * 2500 + 100 * 10_000


def test_a_full_budget_refuses_before_anything_is_paid() -> None:
    world = with_room(1)
    with pytest.raises(BudgetExceeded):
        serve(request(), Policy(budgets=DAILY), world)
    assert world.calls == []
    assert [record.outcome for record in world.records] == ["refused"]


def test_the_truth_is_settled_not_the_worst_case() -> None:
    world = World()
    serve(request(), Policy(budgets=DAILY), world)
    assert world.spent == SMALL_COST
    assert world.did(ask.Reserve)[0].nano > world.spent


def test_a_call_without_a_known_price_is_refused_unless_the_budget_allows_it() -> None:
    world, sent = World(), request(model="nobody-knows-me")
    with pytest.raises(UnknownPrice):
        serve(sent, Policy(budgets=DAILY), world)
    allowing = Budget(DOLLAR, "day", on_unknown_price="allow")
    assert bill(serve(sent, Policy(budgets=(allowing,)), world)).cost is None
