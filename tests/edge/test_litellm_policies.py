"""What a policy changes about a call through litellm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import litellm
import pytest
from edge.litellm_material import MODEL, Desk, desk, said
from pydantic import BaseModel

import costopt
from costopt.policy import Cascade, Limit, Model, Policy, Retry, Route, Trim


def test_control_and_tags_travel_in_headers_and_stay_here(shop: Desk) -> None:
    headers = {"x-costopt-tags": "agent=planner", "X-Costopt-Cache": "off", "x-mine": "1"}
    for _ in range(2):
        with costopt.tags(user="42"):
            shop.completion(**shop.ask(extra_headers=headers))
    assert shop.calls == 2
    sent = shop.provider.headers[-1]
    assert sent["x-mine"] == "1" and not [name for name in sent if "costopt" in name]
    assert shop.facts()[-1].tags == {"agent": "planner", "user": "42"}


def test_litellms_own_cache_controls_are_understood_where_its_cache_is_in_use(
    shop: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(litellm, "cache", litellm.Cache(type="local"))  # type: ignore[attr-defined]
    shop.completion(**shop.ask())
    shop.completion(**shop.ask(cache={"no-cache": True}))
    assert shop.calls == 2
    shop.completion(**shop.ask())
    assert shop.calls == 2
    shop.completion(**shop.ask(cache={"no-cache": True, "no-store": True}))
    assert shop.calls == 3
    assert "off: the caller said no-store to litellm's cache" in notes(shop)


def test_words_for_a_cache_of_litellms_that_is_not_there_are_not_for_ours(shop: Desk) -> None:
    """dspy has a cache of its own, and says so in every call."""
    for _ in range(2):
        shop.completion(**shop.ask(cache={"no-cache": True, "no-store": True}))
    assert shop.calls == 1
    assert "stored" in notes(shop)


def test_a_note_says_who_wanted_no_cache(shop: Desk) -> None:
    shop.completion(**shop.ask(extra_headers={"x-costopt-cache": "off"}))
    assert notes(shop) == ["off: the caller said x-costopt-cache: off"]
    shop.completion(**shop.ask("Other?", fallbacks=["openai/gpt-4o"]))
    assert notes(shop)[-1] == "off: what is answered may hang on fallbacks"


def notes(shop: Desk) -> list[str]:
    return [each.what for fact in shop.facts() for each in fact.decisions if each.layer == "cache"]


def test_trimming_edits_the_messages_that_litellm_sends(tmp_path: Path) -> None:
    policy = Policy(name="test", trim=Trim(budget=400, keep=200))
    with desk(tmp_path, policy) as shop:
        history: list[dict[str, Any]] = [{"role": "user", "content": "Begin"}]
        for number in range(20):
            history += [
                {"role": "assistant", "content": f"answer {number} " + "word " * 30},
                {"role": "user", "content": f"question {number}"},
            ]
        shop.completion(**{**shop.ask(), "messages": history})
        _, body = shop.provider.requests[-1]
        assert len(body["messages"]) < len(history)
        assert body["messages"][0] == history[0] and body["messages"][-1] == history[-1]
        assert len(history) == 41


def test_routing_names_the_model_as_litellm_wants_it(tmp_path: Path) -> None:
    models = (Model("openai/gpt-4o-mini"), Model("openai/gpt-4o"))
    route = Route(strategy="cheapest", cascade=Cascade(check="json"))
    with desk(tmp_path, Policy(name="test", models=models, route=route)) as shop:
        answer = shop.completion(**{**shop.ask(), "model": "auto"})
        asked = [body["model"] for _, body in shop.provider.requests]
        assert asked == ["gpt-4o-mini", "gpt-4o"]
        assert answer.model == "gpt-4o"
        [fact] = shop.facts()
        assert fact.asked == "auto" and len(fact.attempts) == 1


def test_a_stream_that_must_be_checked_is_held_back_and_played_back(tmp_path: Path) -> None:
    models = (Model("openai/gpt-4o-mini"), Model("openai/gpt-4o"))
    route = Route(strategy="cheapest", cascade=Cascade(check="non_empty"))
    with desk(tmp_path, Policy(name="test", models=models, route=route)) as shop:
        chunks = list(shop.completion(stream=True, **{**shop.ask(), "model": "auto"}))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert shop.calls == 1


def test_a_429_is_a_429_for_the_limiter_too(tmp_path: Path) -> None:
    policy = Policy(
        name="test",
        limits=(Limit(group="openai", requests=100),),
        retry=Retry(attempts=2, base=0.001),
    )
    with desk(tmp_path, policy) as shop:
        shop.provider.fail(429, retry_after=0.01)
        shop.completion(**shop.ask())
        decisions = [decision.what for decision in shop.facts()[0].decisions if decision.layer == "retry"]
        assert shop.calls == 2 and "HTTP 429" in decisions[0]


class Order(BaseModel):
    number: int
    note: str = ""


def test_a_pydantic_response_format_reaches_litellm_as_it_is(shop: Desk) -> None:
    first, again = (shop.completion(**shop.ask(response_format=Order)) for _ in range(2))
    assert said(first) == said(again) and shop.calls == 1
    assert shop.provider.requests[0][1]["response_format"]["json_schema"]["name"] == "Order"


def test_mock_responses_are_cached_like_any_other(shop: Desk) -> None:
    for text in ("one", "two", "one"):
        answer = shop.completion(model=MODEL, messages=[], mock_response=text)
        assert answer.choices[0].message.content == text
    assert [fact.outcome for fact in shop.facts()] == ["ok", "ok", "hit"]
