"""Calls that outlive what they began in: a fork, an Optimizer, an event loop of another kind, a policy's patience."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path
from typing import Any

import openai
import pytest
from ledgers import facts

import costopt
from costopt.demo.simulator import Simulator
from costopt.policy import Budget, Cache, Ledger, Policy, Retry
from costopt.types import Usage

DOLLAR = 10**9
ASK: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Where is my parcel?"}],
}
KEEPING = Policy(cache=Cache(disk=64 * 1024**2), budgets=(Budget(DOLLAR, "day"),), ledger=Ledger())


def sdk(provider: Simulator, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(api_key="sk-test", base_url=provider.base_url, **options)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="platform: no fork")
def test_a_forked_child_that_closes_leaves_its_parents_streams_alone(
    provider: Simulator, tmp_path: Path
) -> None:
    with costopt.Optimizer(KEEPING, ledger=tmp_path) as optimizer:
        live = optimizer.wrap(sdk(provider)).chat.completions.create(
            **ASK, stream=True, stream_options={"include_usage": True}
        )
        chunks = iter(live)
        next(chunks)
        child = os.fork()
        if not child:
            optimizer.close()
            os._exit(0)
        os.waitpid(child, 0)
        assert list(chunks)
    (fact,) = facts(tmp_path)
    assert fact.outcome == "ok"
    assert fact.usage != Usage()
    assert not fact.usage.estimated


@pytest.mark.skipif(not hasattr(os, "fork"), reason="platform: no fork")
def test_async_calls_go_on_in_a_forked_child(provider: Simulator, tmp_path: Path) -> None:
    import asyncio

    async def ask(client: openai.AsyncOpenAI, seed: int) -> None:
        await client.chat.completions.create(**ASK, seed=seed)

    def fresh(optimizer: costopt.Optimizer) -> openai.AsyncOpenAI:
        return optimizer.wrap(openai.AsyncOpenAI(api_key="k", base_url=provider.base_url))

    with costopt.Optimizer(KEEPING, ledger=tmp_path) as optimizer:
        asyncio.run(ask(fresh(optimizer), 1))
        child = os.fork()
        if not child:
            asyncio.run(asyncio.wait_for(ask(fresh(optimizer), 2), 30))
            optimizer.close()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [fact.outcome for fact in facts(tmp_path)] == ["ok", "ok"]


@pytest.mark.parametrize("policy", ["balanced", "thrifty", "careful", KEEPING])
def test_trio_is_an_event_loop_too(provider: Simulator, tmp_path: Path, policy: Any) -> None:
    trio = pytest.importorskip("trio", reason="trio is not installed")

    async def main() -> None:
        with costopt.Optimizer(policy, ledger=tmp_path) as optimizer:
            client = optimizer.wrap(openai.AsyncOpenAI(api_key="k", base_url=provider.base_url))
            for _ in range(2):
                await client.chat.completions.create(**ASK, temperature=0, max_tokens=2000)
            live = await client.chat.completions.create(
                **ASK, temperature=0, max_tokens=2000, seed=1, stream=True
            )
            assert [chunk async for chunk in live]
            with trio.move_on_after(0):
                await client.chat.completions.create(**ASK, temperature=0, max_tokens=2000, seed=2)
            await client.close()

    trio.run(main)
    assert [fact.outcome for fact in facts(tmp_path)][:3] == ["ok", "hit", "ok"]


def test_a_call_that_outlives_its_optimizer_is_recorded(provider: Simulator, tmp_path: Path) -> None:
    optimizer = costopt.Optimizer(KEEPING, ledger=tmp_path)
    client = optimizer.wrap(sdk(provider))
    live = client.chat.completions.create(**ASK, stream=True)
    parts = iter(live)
    next(parts)
    world = optimizer.world
    world.close()  # as if it was closed while the call was under way, and nobody knew of its stream
    assert list(parts)
    (fact,) = facts(tmp_path)
    assert fact.outcome == "ok"


def test_an_optimizer_that_is_forgotten_leaves_nothing_open_and_loses_nothing(
    provider: Simulator, tmp_path: Path
) -> None:
    """`costopt.wrap` in a view, for each request anew, as one may with the bare client."""
    before = set(threading.enumerate())

    def view(number: int) -> None:
        client = costopt.wrap(sdk(provider), KEEPING, ledger=tmp_path)
        client.chat.completions.create(**ASK, seed=number)

    for number in range(3):
        view(number)
    gc.collect()
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("costopt-writer"):
            thread.join(20)
            assert not thread.is_alive()
    assert len(facts(tmp_path)) == 3
    gc.collect()
    if Path("/proc/self/fd").is_dir():
        links = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.exists()]
        assert not [link for link in links if tmp_path in link.parents]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="platform: no fork")
def test_a_relative_ledger_stays_where_it_was_when_the_working_folder_changes(
    provider: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon changes its folder and forks: its children looked for the budgets where they now were."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "a")
    with costopt.Optimizer(KEEPING, ledger="led") as optimizer:
        client = optimizer.wrap(sdk(provider))
        client.chat.completions.create(**ASK, seed=1)
        monkeypatch.chdir(tmp_path / "b")
        client.chat.completions.create(**ASK, seed=2)
        child = os.fork()
        if not child:
            client.chat.completions.create(**ASK, seed=3)
            optimizer.close()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(facts(tmp_path / "a" / "led")) == 3
    assert not list((tmp_path / "b").iterdir())


def test_strict_refuses_the_next_call_before_it_is_paid(provider: Simulator, tmp_path: Path) -> None:
    rules = Policy(ledger=Ledger(), strict=True)
    with costopt.Optimizer(rules, ledger=tmp_path / "deep") as optimizer:
        client = optimizer.wrap(sdk(provider))
        client.chat.completions.create(**ASK)
        optimizer.flush()
        (tmp_path / "deep").rename(tmp_path / "gone")
        (tmp_path / "deep").write_text("no folder")
        assert client.chat.completions.create(**ASK).choices  # paid, so it is the caller's
        optimizer.flush()
        with pytest.raises(costopt.CostoptError, match="strict") as caught:
            client.chat.completions.create(**ASK)
        assert isinstance(caught.value, openai.OpenAIError)
    assert provider.calls == 2


def test_the_sdk_does_not_try_again_what_the_policy_has_tried(tmp_path: Path) -> None:
    rules = Policy(ledger=Ledger(), retry=Retry(attempts=2, base=1e-6, cap=1e-6))
    with costopt.Optimizer(rules, ledger=tmp_path) as optimizer:
        client = optimizer.wrap(openai.OpenAI(api_key="k", base_url="http://127.0.0.1:9/v1"))
        with pytest.raises(openai.APIConnectionError) as caught:
            client.chat.completions.create(**ASK)
        assert type(caught.value) is openai.APIConnectionError
    (fact,) = facts(tmp_path)
    assert not fact.unpriced, "a connection that was refused cost nothing"
