"""Recorded for real, with the SDK over HTTP on loopback; the replay under the same policy comes to the same bill."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from msgspec.structs import replace
from replay_material import SECOND, START, Heard, adds_up
from test_same_policy import same

import costopt
from costopt.demo.simulator import Simulator
from costopt.edge.wrap import library_of
from costopt.policy import Batch, Budget, Cache, Cascade, Limit, Model, Policy, Retry, Route, Trim
from costopt.policyfile import load
from costopt.world.clock import VirtualClock
from costopt.world.ledger import Fact, Reader

MODEL = "gpt-4o-mini"
RULES = "The rules of this house are these, word by word. " * 250
LADDER = (Model("openai/gpt-5-nano", "small"), Model("openai/gpt-4o-mini"), Model("openai/gpt-4o", "large"))
Run = Callable[[openai.OpenAI], Any]


class Clocks:
    """One virtual time for both ends."""

    def __init__(self) -> None:
        self.costopt = VirtualClock(START)

    def seconds(self) -> float:
        return self.costopt.now() / SECOND

    def tick(self, seconds: float = 1.0) -> None:
        self.costopt.advance(seconds)


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def provider(clocks: Clocks) -> Iterator[Simulator]:
    with Simulator(clock=clocks.seconds) as made:
        yield made


def sdk(provider: Simulator) -> openai.OpenAI:
    return openai.OpenAI(api_key="sk-test", base_url=provider.base_url, max_retries=0)


def said(text: str, *earlier: str) -> list[Any]:
    turns = [
        {"role": ("user", "assistant")[n % 2], "content": each} for n, each in enumerate((*earlier, text))
    ]
    return [{"role": "system", "content": RULES}, *turns]


def replayed(folder: Path, policy: Policy) -> tuple[list[Fact], Heard]:
    told = Heard(folder, policy)
    with Reader(folder) as reader:
        facts = list(reader.facts())
    adds_up(told, [fact.id for fact in facts])
    return facts, told


def workday(client: openai.OpenAI, tick: Callable[[float], None], model: str = MODEL) -> None:
    """Repeats, a growing conversation, streams, tools, a JSON schema, embeddings."""
    ask = client.chat.completions.create
    for n in range(8):
        ask(model=model, messages=said(f"question {n % 3}"), temperature=n % 2)
        tick(30)
    history: list[str] = []
    for n in range(4):
        answer = ask(model=model, messages=said(f"step {n}", *history)).choices[0].message.content or ""
        history += [f"step {n}", answer]
        tick(200)
    for _ in range(2):
        list(ask(model=model, messages=said("stream"), stream=True))
        list(ask(model=model, messages=said("count"), stream=True, stream_options={"include_usage": True}))
        tick(1)
    tool = {
        "type": "function",
        "function": {"name": "look", "parameters": {"type": "object", "properties": {}}},
    }
    for _ in range(2):
        ask(model=model, messages=said("Where is it?"), tools=[tool])
        tick(1)
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    form: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    for _ in range(2):
        ask(model=model, messages=said("Which city?"), response_format=form)
        client.embeddings.create(model="text-embedding-3-small", input=["a", "Füße 漢字"])
        client.responses.create(model=model, input="And so on?")
        tick(1)


@pytest.mark.parametrize("name", ["observe", "balanced", "thrifty", "careful"])
def test_each_preset_comes_to_its_own_bill_again(
    name: str, provider: Simulator, clocks: Clocks, tmp_path: Path
) -> None:
    policy = load(name)
    # a virtual clock wakes nobody who waits for company
    clock = None if policy.batch.max_size else clocks.costopt
    with costopt.Optimizer(policy, ledger=tmp_path, clock=clock) as optimizer:
        with optimizer.wrap(sdk(provider)) as client:
            workday(client, clocks.tick)
            if name == "thrifty":
                workday(client, clocks.tick, "auto")
    same(*replayed(tmp_path, policy))


def test_failures_are_tried_again(provider: Simulator, clocks: Clocks, tmp_path: Path) -> None:
    policy = Policy(cache=Cache(), retry=Retry(attempts=3), limits=(Limit("openai", requests=1000),))
    with costopt.Optimizer(policy, ledger=tmp_path, clock=clocks.costopt) as optimizer:
        with optimizer.wrap(sdk(provider)) as client:
            for n, (status, times) in enumerate([(500, 2), (500, 3), (503, 1), (400, 1), (500, 4)]):
                provider.fail(status, times=times)
                with suppress(openai.APIError):
                    client.chat.completions.create(model=MODEL, messages=said(f"q{n}"))
                clocks.tick(60)
            provider.garble()
            with suppress(openai.APIError, ValueError):
                client.chat.completions.create(model=MODEL, messages=said("garbled"))
    facts, told = replayed(tmp_path, policy)
    same(facts, told)
    assert {fact.outcome for fact in facts} == {"ok", "error"}


def test_streams_that_are_left_or_break(provider: Simulator, clocks: Clocks, tmp_path: Path) -> None:
    policy = Policy(cache=Cache(), budgets=(Budget(10**10, "day"),))
    with costopt.Optimizer(policy, ledger=tmp_path, clock=clocks.costopt) as optimizer:
        with optimizer.wrap(sdk(provider)) as client:
            for _ in range(2):
                with client.chat.completions.create(
                    model=MODEL, messages=said("left"), stream=True
                ) as stream:
                    next(iter(stream))
                clocks.tick(5)
            provider.cut(4)
            with suppress(openai.APIError, library_of(client._client).TransportError):
                list(client.chat.completions.create(model=MODEL, messages=said("breaks"), stream=True))
    facts, told = replayed(tmp_path, policy)
    same(facts, told)
    assert [fact.outcome for fact in facts] == ["left", "left", "error"]


def test_refused_calls_while_the_client_carries_on(
    provider: Simulator, clocks: Clocks, tmp_path: Path
) -> None:
    policy = Policy(cache=Cache(), budgets=(Budget(2_000_000, "hour", per="user"),))
    refused = 0
    with costopt.Optimizer(policy, ledger=tmp_path, clock=clocks.costopt) as optimizer:
        with optimizer.wrap(sdk(provider)) as client:
            for n in range(40):
                try:
                    with costopt.tags(user=f"u{n % 2}"):
                        client.chat.completions.create(model=MODEL, messages=said(f"q{n}"), max_tokens=400)
                except costopt.BudgetExceeded:
                    refused += 1
                clocks.tick(300)
    facts, told = replayed(tmp_path, policy)
    same(facts, told)
    assert 0 < refused == sum(fact.outcome == "refused" for fact in facts) < 40


def test_a_cascade_whose_checks_fail(provider: Simulator, clocks: Clocks, tmp_path: Path) -> None:
    route = Route(alias="auto", strategy="cheapest", cascade=Cascade("json"))
    policy = Policy(models=LADDER, route=route, cache=Cache())
    with costopt.Optimizer(policy, ledger=tmp_path, clock=clocks.costopt) as optimizer:
        with optimizer.wrap(sdk(provider)) as client:
            for n in range(6):
                client.chat.completions.create(model="auto", messages=said(f"q{n % 4}"))
                clocks.tick()
    facts, told = replayed(tmp_path, policy)
    same(facts, told)
    assert any(len(fact.attempts) == 2 for fact in facts)


def test_cache_and_limits_and_trim(provider: Simulator, clocks: Clocks, tmp_path: Path) -> None:
    policy = Policy(
        cache=Cache(), trim=Trim(4500, 3500, 200), limits=(Limit("openai", requests=900, tokens=900_000),)
    )
    with costopt.Optimizer(policy, ledger=tmp_path, clock=clocks.costopt) as optimizer:
        with optimizer.wrap(sdk(provider)) as client:
            history: list[str] = []
            for n in range(12):
                messages = said(f"step {n}", *history)
                for _ in range(1 + n % 2):
                    client.chat.completions.create(model=MODEL, messages=messages)
                    clocks.tick(20)
                history += [f"step {n}", f"shelf {n} " * 150]
    facts, told = replayed(tmp_path, policy)
    same(facts, told)
    assert sum(fact.trimmed > 0 for fact in facts) > 2


def test_embeddings_that_were_merged_come_to_their_bill_again(provider: Simulator, tmp_path: Path) -> None:
    policy = Policy(batch=Batch(max_size=16, max_wait=0.05))

    async def main() -> None:
        async with costopt.Optimizer(policy, ledger=tmp_path) as optimizer:
            plain = openai.AsyncOpenAI(api_key="sk-test", base_url=provider.base_url, max_retries=0)
            async with optimizer.wrap(plain) as client:
                texts = [[f"text {n}", "Füße 漢字 " * n] for n in range(20)]
                ask = client.embeddings.create
                await asyncio.gather(*(ask(model="text-embedding-3-small", input=each) for each in texts))

    asyncio.run(main())
    assert provider.calls < 20
    facts, told = replayed(tmp_path, policy)
    assert told.outcome.before == told.outcome.after == sum(fact.cost or 0 for fact in facts)
    assert (
        sum(abs(change.saved) for change in told.changes.values()) <= 20 * 20
    )  # a token's price a call, at most


def test_concurrent_identical_calls_in_threads(provider: Simulator, tmp_path: Path) -> None:
    provider.latency = 0.05
    policy = Policy(cache=Cache())
    with costopt.Optimizer(policy, ledger=tmp_path) as optimizer, ThreadPoolExecutor(16) as pool:
        with optimizer.wrap(sdk(provider)) as client:
            ask = client.chat.completions.create
            done = [pool.submit(ask, model=MODEL, messages=said(f"q{n % 3}")) for n in range(30)]
            for each in done:
                each.result()
    facts, told = replayed(tmp_path, policy)
    same(facts, told)
    assert provider.calls == 3
    assert "flight" in {fact.tier for fact in facts}


def test_limits_that_hold_calls_back(provider: Simulator, tmp_path: Path) -> None:
    """Twenty at once, eight in a fifth of a second; too short for a prompt cache, whose state threads race for."""
    policy = Policy(limits=(Limit("openai", requests=8, window=0.2),))
    with costopt.Optimizer(policy, ledger=tmp_path) as optimizer, ThreadPoolExecutor(20) as pool:
        with optimizer.wrap(sdk(provider)) as client:
            ask = client.chat.completions.create
            done = [
                pool.submit(ask, model=MODEL, messages=[{"role": "user", "content": f"q{n}"}])
                for n in range(20)
            ]
            for each in done:
                each.result()
    facts, told = replayed(tmp_path, policy)
    assert {change.answer for change in told.changes.values()} == {""}
    assert sum(fact.waited > 0 for fact in facts) >= 8
    assert told.outcome.waited_s > 0
    assert told.outcome.after == told.outcome.before


def test_calls_of_anthropics_client_come_to_their_bill_again(
    provider: Simulator, clocks: Clocks, tmp_path: Path
) -> None:
    policy = replace(load("balanced"), budgets=(Budget(10**11, "day"),))
    with costopt.Optimizer(policy, ledger=tmp_path, clock=clocks.costopt) as optimizer:
        plain = anthropic.Anthropic(api_key="sk-test", base_url=provider.url, max_retries=0)
        with optimizer.wrap(plain) as client:
            for n in range(6):
                block: Any = {"type": "text", "text": RULES, "cache_control": {"type": "ephemeral"}}
                turn: Any = {"role": "user", "content": f"q{n % 3}"}
                fields: dict[str, Any] = {"model": "claude-haiku-4-5", "max_tokens": 300, "system": [block]}
                client.messages.create(**fields, messages=[turn])
                with client.messages.stream(**fields, messages=[turn]) as stream:
                    stream.get_final_message()
                clocks.tick(100)
    facts, told = replayed(tmp_path, policy)
    same(facts, told)
    assert len(facts) == 12
