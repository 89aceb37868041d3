"""A replay under the policy that recorded the calls comes to the same bill, call by call, to the nano-dollar."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from random_policies import policies
from replay_material import SECOND, Heard, adds_up, chat
from studio import Ask, Studio

from costopt.policy import (
    Batch,
    Budget,
    Cache,
    Cascade,
    Limit,
    Model,
    Policy,
    Retry,
    Route,
    Trim,
)
from costopt.policyfile import load
from costopt.world.ledger import Fact, Reader

LADDER = (Model("openai/gpt-5-nano", "small"), Model("openai/gpt-4o-mini"), Model("openai/gpt-4o", "large"))
CASCADE = Route(alias="auto", strategy="cheapest", cascade=Cascade("json"))


def again(folder: Path, policy: Policy, asks: list[Ask]) -> tuple[list[Fact], Heard]:
    """Record, then replay under the same policy; the facts and what the replay told."""
    ids = Studio(folder, policy).record(asks)
    told = Heard(folder, policy)
    adds_up(told, ids)
    with Reader(folder) as reader:
        return list(reader.facts()), told


def same(facts: list[Fact], told: Heard) -> None:
    for fact in facts:
        change = told.changes[fact.id]
        assert (change.after, change.answer, change.lever) == (change.before, "", ""), (change, fact)
        assert change.shares == (), change
    outcomes = [fact.outcome for fact in facts]
    assert told.outcome.outcomes == {name: outcomes.count(name) for name in outcomes}


def embed(*texts: str, **fields: Any) -> Ask:
    body = {"model": "text-embedding-3-small", "input": list(texts)}
    return Ask(body, fields={"api": "embeddings"}, **fields)


def conversation(turns: int, every: int = 20 * SECOND, **fields: Any) -> list[Ask]:
    """One agent: its history grows by a tool call and a long tool output at each call."""
    said: list[dict[str, Any]] = [{"role": "system", "content": "Be brief. " * 500}]
    said.append({"role": "user", "content": "Find the parcel."})
    asks: list[Ask] = []
    for turn in range(turns):
        body = {"model": "gpt-4o-mini", "messages": list(said)}
        asks.append(Ask(body, at=turn * every, cached=len(said) * 128, **fields))
        call = {"id": f"c{turn}", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        said.append({"role": "assistant", "content": None, "tool_calls": [call]})
        said.append({"role": "tool", "tool_call_id": f"c{turn}", "content": f"shelf {turn} " * 200})
    return asks


MIXED = [
    *(Ask(chat(f"question {n % 4}", temperature=n % 2), at=n * SECOND // 2) for n in range(12)),
    Ask(chat("streamed", stream=True), at=3 * SECOND),
    Ask(chat("streamed", stream=True), at=5 * SECOND),
    Ask(chat("streamed"), at=6 * SECOND),
    Ask(chat("left", stream=True), at=6 * SECOND, left=True),
    Ask(chat("left", stream=True), at=9 * SECOND),
    Ask(chat("no usage"), at=9 * SECOND, usage=False),
    Ask(chat("no usage"), at=19 * SECOND, usage=False),
    Ask(chat("fails"), at=11 * SECOND, statuses=(500,)),
    Ask(chat("breaks"), at=11 * SECOND, statuses=(0,)),
    Ask(chat("fresh"), at=12 * SECOND, fields={"control": "refresh"}),
    Ask(chat("fresh"), at=14 * SECOND, fields={"control": "off"}),
    Ask(chat("fresh"), at=15 * SECOND),
    *(embed("a text", f"text {n % 2}", at=16 * SECOND) for n in range(4)),
    *conversation(4),
]
AUTO = [
    Ask(
        chat(f"question {n % 5} " + "word " * (5000 * (n % 3 == 0)), model="auto"),
        at=n * SECOND,
        fields={"tags": {"task": "classify"}} if n % 2 else {},
    )
    for n in range(10)
]


@pytest.mark.parametrize("name", ["observe", "balanced", "thrifty", "careful"])
def test_each_preset_comes_to_its_own_bill_again(name: str, tmp_path: Path) -> None:
    same(*again(tmp_path, load(name), [*MIXED, *(AUTO if name == "thrifty" else ())]))


def test_limits_hold_calls_back_as_they_did(tmp_path: Path) -> None:
    policy = Policy(cache=Cache(), limits=(Limit("openai", requests=3, tokens=4000, window=10),))
    facts, told = again(tmp_path, policy, [Ask(chat(f"q {n % 9} " * 40), at=n * 10**8) for n in range(40)])
    same(facts, told)
    assert told.outcome.waited_s == sum(fact.waited for fact in facts) / 1e9 > 0


def test_budgets_refuse_the_same_calls(tmp_path: Path) -> None:
    policy = Policy(cache=Cache(share=False), budgets=(Budget(150_000, "minute", per="user"),))
    asks = [
        Ask(
            chat(f"q {n}", max_tokens=100),
            at=n * SECOND,
            fields={"tags": {"user": "ann" if n % 3 else "bob"}},
        )
        for n in range(90)
    ]
    facts, told = again(tmp_path, policy, asks)
    same(facts, told)
    assert {fact.outcome for fact in facts} == {"ok", "refused"}


def test_a_cascade_fails_the_same_checks(tmp_path: Path) -> None:
    policy = Policy(models=LADDER, route=CASCADE, cache=Cache())

    def say(sent: Any) -> str:
        return "{}" if sent.model != "gpt-5-nano" else "no JSON"

    asks = [Ask(chat(f"q {n % 6}", model="auto"), at=n * 2 * SECOND, say=say) for n in range(10)]
    facts, told = again(tmp_path, policy, asks)
    same(facts, told)
    assert any(fact.attempts for fact in facts)


def test_a_trimmed_conversation_is_trimmed_alike(tmp_path: Path) -> None:
    policy = Policy(
        trim=Trim(4000, 2500, 300), cache=Cache(), limits=(Limit("openai", requests=2, window=60),)
    )
    facts, told = again(tmp_path, policy, conversation(12))
    same(facts, told)
    assert any(fact.trimmed for fact in facts)


def test_embeddings_made_at_about_the_same_time(tmp_path: Path) -> None:
    policy = Policy(batch=Batch(max_size=8, max_wait=0.02), cache=Cache())
    asks = [embed(f"text {n}", "Füße 漢字 " * n, at=n * 7 * 10**6) for n in range(25)]
    facts, told = again(tmp_path, policy, asks)
    same(facts, told)


def test_who_leaves_a_batch_leaves_it_again(tmp_path: Path) -> None:
    """Before its call is made, or while it is under way: then his part is on the bill of who made it."""
    patience = (None, 5, None, 500, 300)
    asks = [
        embed("word " * (1 + n % 7), at=n * 3 * 10**6, patience=None if ms is None else ms * 10**6)
        for n, ms in ((n, patience[n % 5]) for n in range(30))
    ]
    facts, told = again(tmp_path, Policy(batch=Batch(max_size=8, max_wait=0.02)), asks)
    same(facts, told)
    assert {fact.outcome for fact in facts} == {"ok", "left"}
    assert any(fact.attempts for fact in facts)


def test_identical_calls_in_flight_share_one_answer(tmp_path: Path) -> None:
    asks = [Ask(chat(f"q {n % 3}"), at=n * 10**8, took=(1 + n) * SECOND) for n in range(30)]
    facts, told = again(tmp_path, Policy(cache=Cache(ttl=20)), asks)
    same(facts, told)
    assert {fact.tier for fact in facts} >= {"", "flight", "memory"}


def test_failed_calls_are_tried_again(tmp_path: Path) -> None:
    policy = Policy(retry=Retry(attempts=3), cache=Cache(), limits=(Limit("openai", requests=100),))
    some = [(429, 500, 200), (500, 200), (500, 500, 500), (0, 0, 0), (400,), (429, 429, 429)]
    asks = [Ask(chat(f"q {n}"), at=n * 30 * SECOND, statuses=some[n % 6]) for n in range(18)]
    facts, told = again(tmp_path, policy, asks)
    same(facts, told)
    assert {fact.outcome for fact in facts} == {"ok", "error"}


def test_a_slow_failure_is_slow_again(tmp_path: Path) -> None:
    """Who waited for a call in flight that failed asks itself, then and now."""
    asks = [
        Ask(chat("q"), took=30 * SECOND, statuses=(500,)),
        Ask(chat("q"), at=20 * SECOND),
        Ask(chat("q"), at=25 * SECOND),
    ]
    same(*again(tmp_path, Policy(cache=Cache()), asks))


some = st.sampled_from
chats = st.builds(
    chat,
    some(["a", "b", "word " * 300, "rule " * 1500 + "a", "rule " * 1500 + "b"]),
    model=some(["gpt-4o-mini", "gpt-4o", "auto", "in-house-7b"]),
    temperature=some([0, 1]),
    stream=st.booleans(),
    max_tokens=some([50, 500]),
)
asks = st.builds(
    Ask,
    chats,
    at=st.integers(0, 400).map(lambda tenths: tenths * SECOND // 10),
    took=some([1, SECOND, 20 * SECOND]),
    statuses=some([(200,), (200,), (200,), (500,), (500, 200), (0,), (429, 200), (400,)]),
    left=some([False, False, True]),
    usage=some([True, True, False]),
    cached=st.integers(0, 300),
    say=some([lambda sent: "no JSON", lambda sent: "{}", lambda sent: "{}" if "nano" in sent.model else ""]),
    fields=st.fixed_dictionaries(
        {"tags": some([{}, {"user": "ann"}]), "control": some(["on", "on", "refresh", "off"])}
    ),
)
embeddings = st.builds(
    Ask,
    st.builds(
        lambda texts: {"model": "text-embedding-3-small", "input": texts}, some(["a", ["b", "c"], ["Füße"]])
    ),
    at=st.integers(0, 40).map(lambda ms: ms * SECOND // 1000),
    fields=st.just({"api": "embeddings"}),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(asks, asks, embeddings), min_size=1, max_size=12), policies)
def test_any_traffic_under_any_policy(traffic: list[Ask], policy: Policy) -> None:
    # not two at one instant: the ledger has those in the order they ended
    apart = [replace(ask, at=ask.at + n) for n, ask in enumerate(traffic)]
    with tempfile.TemporaryDirectory() as folder:
        same(*again(Path(folder), policy, apart))


def test_a_failed_call_says_nothing_of_what_another_model_would_have_said(tmp_path: Path) -> None:
    """Which model of the ladder had failed is not in the record; no answer and no bill is made up for another."""
    policy = Policy(models=LADDER, route=Route())
    facts, told = again(tmp_path, policy, [Ask(chat("q", model="auto"), statuses=(500,))])
    same(facts, told)
    assert told.outcome.outcomes == {"error": 1}
    other = Heard(tmp_path, Policy(models=LADDER, route=Route(strategy="strongest")))
    assert (other.outcome.outcomes, other.outcome.after) == ({"error": 1}, 0)
