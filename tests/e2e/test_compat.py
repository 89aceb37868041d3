"""What programs and frameworks do with a wrapped client beside asking and waiting."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from ledgers import facts

import costopt
from costopt.demo.simulator import Simulator
from costopt.policy import Budget, Cache, Ledger, Policy
from costopt.world.files import private_file

ASK: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Where is my parcel?"}],
}
SHARING = Policy(name="sharing", cache=Cache(share=True), ledger=Ledger())


def sdk(provider: Simulator) -> openai.OpenAI:
    return openai.OpenAI(api_key="sk-test", base_url=provider.base_url)


@pytest.mark.parametrize("stream", [True, False])
def test_a_stream_held_open_stops_nobody_who_asks_the_same(
    provider: Simulator, tmp_path: Path, stream: bool
) -> None:
    with costopt.Optimizer(SHARING, ledger=tmp_path) as optimizer:
        client = optimizer.wrap(sdk(provider))
        held = client.chat.completions.create(**ASK, stream=True)
        next(iter(held))
        answer = client.chat.completions.create(**ASK, stream=stream, timeout=5)
        assert len(list(answer)) > 0
        assert len(list(held)) > 0
    assert [call.outcome for call in facts(tmp_path)] == ["ok", "ok"]


def test_a_task_may_ask_again_while_it_reads_a_stream(provider: Simulator, tmp_path: Path) -> None:
    async def main() -> None:
        async with costopt.Optimizer(SHARING, ledger=tmp_path) as optimizer:
            client = optimizer.wrap(openai.AsyncOpenAI(api_key="k", base_url=provider.base_url))
            held = await client.chat.completions.create(**ASK, stream=True)
            await anext(aiter(held))
            await asyncio.wait_for(client.chat.completions.create(**ASK), 10)
            await held.close()

    asyncio.run(main())
    assert sorted(call.outcome for call in facts(tmp_path)) == ["left", "ok"]


@pytest.mark.parametrize("read", [0, 1])
def test_a_forgotten_stream_is_settled_and_recorded(
    provider: Simulator, tmp_path: Path, read: int, recwarn: pytest.WarningsRecorder
) -> None:
    rules = Policy(cache=Cache(), budgets=(Budget(10**9, "day"),), ledger=Ledger())

    def forget(client: openai.OpenAI) -> None:
        stream = client.chat.completions.create(**ASK, stream=True, max_tokens=50)
        chunks = iter(stream)
        for _ in range(read):
            next(chunks)

    with costopt.Optimizer(rules, ledger=tmp_path) as optimizer:
        forget(optimizer.wrap(sdk(provider)))
        gc.collect()
    assert [call.outcome for call in facts(tmp_path)] == ["left"]
    assert not [str(one.message) for one in recwarn if "ignored" in str(one.message)]


@pytest.mark.parametrize("early", [True, False])
def test_a_stream_outlives_its_optimizer(
    provider: Simulator, tmp_path: Path, early: bool, caplog: pytest.LogCaptureFixture
) -> None:
    optimizer = costopt.Optimizer(SHARING, ledger=tmp_path)
    stream = optimizer.wrap(sdk(provider)).chat.completions.create(**ASK, stream=True)
    next(iter(stream))
    optimizer.close()
    if early:
        stream.close()
    else:
        assert len(list(stream)) > 10
    assert caplog.records == []
    assert [fact.outcome for fact in facts(tmp_path)] == ["left"]


def test_a_blocking_call_in_async_code_does_not_wait_for_its_own_loop(
    provider: Simulator, tmp_path: Path
) -> None:
    provider.latency = 0.1

    async def main() -> None:
        async with costopt.Optimizer(SHARING, ledger=tmp_path) as optimizer:
            other = optimizer.wrap(openai.AsyncOpenAI(api_key="sk-test", base_url=provider.base_url))
            task = asyncio.create_task(other.chat.completions.create(**ASK))
            while not provider.calls:
                await asyncio.sleep(0.001)
            optimizer.wrap(sdk(provider)).chat.completions.create(**ASK)
            await task

    asyncio.run(main())
    assert [call.outcome for call in facts(tmp_path)] == ["ok", "ok"]


def test_nobody_waits_for_a_call_on_a_loop_that_stands_still(provider: Simulator, tmp_path: Path) -> None:
    provider.latency = 0.1
    loop = asyncio.new_event_loop()

    async def begin(client: openai.AsyncOpenAI) -> asyncio.Task[Any]:
        task = asyncio.create_task(client.chat.completions.create(**ASK))
        while not provider.calls:
            await asyncio.sleep(0.001)
        return task

    with costopt.Optimizer(SHARING, ledger=tmp_path) as optimizer:
        other = optimizer.wrap(openai.AsyncOpenAI(api_key="sk-test", base_url=provider.base_url))
        task = loop.run_until_complete(begin(other))
        optimizer.wrap(sdk(provider)).chat.completions.create(**ASK)
        loop.run_until_complete(task)
        loop.run_until_complete(other.close())
    loop.close()
    assert provider.calls == 2


def test_a_stream_open_at_the_end_of_the_program_is_recorded(provider: Simulator, tmp_path: Path) -> None:
    code = f"""
import openai, costopt
client = costopt.wrap(openai.OpenAI(api_key="k", base_url={provider.base_url!r}), ledger={str(tmp_path)!r})
stream = client.chat.completions.create(**{ASK!r}, stream=True)
next(iter(stream))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert [call.outcome for call in facts(tmp_path)] == ["left"]


def test_opening_a_store_again_does_not_drop_the_locks_of_its_first_connection(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    private_file(path)
    first = sqlite3.connect(path, isolation_level=None)
    first.execute("CREATE TABLE t (x)")
    first.execute("BEGIN IMMEDIATE")
    private_file(path)
    other = f"import sqlite3; sqlite3.connect({str(path)!r}, timeout=0).execute('BEGIN IMMEDIATE')"
    found = subprocess.run([sys.executable, "-c", other], check=False, capture_output=True, timeout=60)
    first.close()
    assert b"database is locked" in found.stderr


def test_a_follower_waits_no_longer_than_its_own_timeout(provider: Simulator, tmp_path: Path) -> None:
    """The leader hangs; whoever waits for the same answer goes alone once his own time is up."""
    provider.hang()
    with (
        costopt.Optimizer(Policy(cache=Cache()), ledger=tmp_path) as optimizer,
        ThreadPoolExecutor(1) as pool,
    ):
        with optimizer.wrap(sdk(provider)) as client:
            patient = client.with_options(timeout=3, max_retries=0)
            leader = pool.submit(patient.chat.completions.create, **ASK)
            while not provider.calls:
                pass
            answer = client.with_options(timeout=0.2).chat.completions.create(**ASK)
            assert answer.choices[0].message.content
            assert not leader.done()
            assert leader.exception() is not None
    assert provider.calls == 2


def test_elapsed_is_there_as_it_is_without_us(provider: Simulator, tmp_path: Path) -> None:
    with costopt.Optimizer(Policy(cache=Cache()), ledger=tmp_path) as optimizer:
        client = optimizer.wrap(sdk(provider))
        for _ in range(2):
            assert client.chat.completions.with_raw_response.create(**ASK).elapsed.total_seconds() >= 0
        provider.fail(400)
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(**ASK, seed=1)
        assert caught.value.response.elapsed.total_seconds() >= 0
