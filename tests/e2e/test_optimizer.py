"""The whole product over real HTTP on loopback, with the real OpenAI SDK."""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from ledgers import facts
from msgspec.structs import replace

import costopt
from costopt.demo.simulator import Simulator
from costopt.edge.wrap import library_of
from costopt.policy import Batch, Budget, Cache, Limit, Policy
from costopt.world.clock import VirtualClock

ASK: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Where is my parcel?"}],
}
EMBEDDING = "text-embedding-3-small"
CACHING = Policy(name="test", cache=Cache(disk=64 * 1024**2))


def sdk(provider: Simulator, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(api_key="sk-test", base_url=provider.base_url, **options)


def async_sdk(provider: Simulator, **options: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key="sk-test", base_url=provider.base_url, **options)


def test_the_answer_outlives_the_process(provider: Simulator, tmp_path: Path) -> None:
    texts = []
    for _ in range(2):
        with (
            costopt.Optimizer(CACHING, ledger=tmp_path) as optimizer,
            optimizer.wrap(sdk(provider)) as client,
        ):
            raw = client.chat.completions.with_raw_response.create(**ASK)
            texts.append(raw.parse().choices[0].message.content)
    assert raw.headers["x-costopt-cache"] == "disk"
    assert texts[0] == texts[1]
    assert provider.calls == 1


def test_every_call_is_in_the_ledger_with_its_price_and_tags(provider: Simulator, tmp_path: Path) -> None:
    with costopt.Optimizer(CACHING, ledger=tmp_path) as optimizer, optimizer.wrap(sdk(provider)) as client:
        with costopt.tags(agent="planner"):
            client.chat.completions.create(**ASK)
            client.chat.completions.create(**ASK, extra_headers={"x-costopt-tags": "user=42, agent=writer"})
        client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
        list(client.chat.completions.create(**ASK, stream=True))
    calls = facts(tmp_path)
    assert [call.outcome for call in calls] == ["ok", "hit", "ok", "hit"]
    assert [dict(call.tags) for call in calls] == [
        {"agent": "planner"},
        {"agent": "writer", "user": "42"},
        {},
        {},
    ]
    assert calls[0].cost is not None
    assert calls[0].cost > 0
    assert [call.cost for call in calls[1::2]] == [0, 0]
    assert [sum(saving.nano for saving in call.savings) for call in calls[1::2]] == [calls[0].cost] * 2


def test_a_stream_without_usage_is_counted_and_says_so(provider: Simulator, tmp_path: Path) -> None:
    with costopt.Optimizer(CACHING, ledger=tmp_path) as optimizer, optimizer.wrap(sdk(provider)) as client:
        list(client.chat.completions.create(**ASK, stream=True))
    (call,) = facts(tmp_path)
    assert call.usage is not None
    assert call.usage.estimated
    assert call.cost


def test_threads_and_loops_share_one_call(provider: Simulator, tmp_path: Path) -> None:
    provider.latency = 0.05

    def in_a_loop(client: openai.AsyncOpenAI) -> None:
        async def main() -> None:
            async with client:
                await asyncio.gather(*(client.chat.completions.create(**ASK) for _ in range(5)))

        asyncio.run(main())

    with costopt.Optimizer(CACHING, ledger=tmp_path) as optimizer, ThreadPoolExecutor(8) as pool:
        sync = optimizer.wrap(sdk(provider))
        loops = [
            optimizer.wrap(openai.AsyncOpenAI(api_key="sk-test", base_url=provider.base_url))
            for _ in range(3)
        ]
        done = [pool.submit(in_a_loop, client) for client in loops]
        done += [pool.submit(lambda: sync.chat.completions.create(**ASK) and None) for _ in range(5)]
        for each in done:
            each.result()
    assert provider.calls == 1


def test_two_keys_never_share_an_answer(provider: Simulator, tmp_path: Path) -> None:
    with costopt.Optimizer(CACHING, ledger=tmp_path) as optimizer:
        for key in ("sk-a", "sk-b"):
            optimizer.wrap(sdk(provider).with_options(api_key=key)).chat.completions.create(**ASK)
    assert provider.calls == 2
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"sk-a" not in stored


def test_no_secret_is_written_and_nobody_else_can_read(provider: Simulator, tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    with costopt.Optimizer(CACHING, ledger=folder) as optimizer:
        client = sdk(
            provider,
            default_query={"key": "secret-in-query"},
            default_headers={"x-goog-api-key": "secret-in-header", "x-team": "secret-team"},
        )
        optimizer.wrap(client).chat.completions.create(**ASK)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert b"secret-" not in b"".join(path.read_bytes() for path in files)
    assert {path.stat().st_mode & 0o077 for path in [folder, *folder.rglob("*")]} == {0}


def test_close_leaves_no_thread_and_no_file_open(provider: Simulator, tmp_path: Path) -> None:
    full = replace(
        CACHING,
        limits=(Limit("openai", requests=1000),),
        budgets=(Budget(10**9, "day"),),
        batch=Batch(max_size=4, max_wait=0.001),
    )

    def use() -> None:
        async def main() -> None:
            async with costopt.Optimizer(full, ledger=tmp_path) as optimizer:
                async with optimizer.wrap(async_sdk(provider)) as client:
                    await client.chat.completions.create(**ASK)
                    await client.embeddings.create(model=EMBEDDING, input=["a"])
                other = async_sdk(provider, http_client=optimizer.async_http_client())
                await other.chat.completions.create(**ASK)

        asyncio.run(main())
        with costopt.Optimizer(full, ledger=tmp_path) as optimizer, optimizer.wrap(sdk(provider)) as client:
            client.chat.completions.create(**ASK, temperature=0.3)

    use()
    gc.collect()
    ours = {thread.name for thread in threading.enumerate()}
    files = _open_files()
    use()
    gc.collect()
    assert {thread.name for thread in threading.enumerate()} == ours
    assert not [name for name in ours - {"costopt-simulator"} if name.startswith("costopt")]
    assert not [path for path in _open_files() - files if str(tmp_path) in path]


def _open_files() -> set[str]:
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("platform: needs /proc to see open files")
    return {str(link.readlink()) for link in folder.iterdir() if link.exists()}


def test_a_budget_holds_under_concurrency(provider: Simulator, tmp_path: Path) -> None:
    provider.latency = 0.01
    cap = 100_000  # $0.0001
    rules = Policy(budgets=(Budget(cap, "total", per="user"),))
    refused = 0
    with costopt.Optimizer(rules, ledger=tmp_path) as optimizer, ThreadPoolExecutor(16) as pool:
        client = optimizer.wrap(sdk(provider))

        def one(number: int) -> bool:
            message = {"role": "user", "content": f"question {number}"}
            try:
                client.chat.completions.create(
                    model="gpt-4o-mini",
                    messages=[message],  # type: ignore[list-item]
                    max_tokens=20,
                    extra_headers={"x-costopt-tags": "user=42"},
                )
            except costopt.BudgetExceeded:
                return False
            return True

        refused = sum(not done for done in pool.map(one, range(100)))
    spent = sum(call.cost or 0 for call in facts(tmp_path))
    assert 0 < spent <= cap
    assert refused == 100 - provider.calls
    assert refused > 0


def test_embeddings_of_concurrent_callers_are_merged_and_split_in_order(
    provider: Simulator, tmp_path: Path
) -> None:
    rules = Policy(batch=Batch(max_size=8, max_wait=5.0))

    texts = [f"text {n}" for n in range(8)]

    async def main() -> list[Any]:
        async with costopt.Optimizer(rules, ledger=tmp_path) as optimizer:
            async with optimizer.wrap(async_sdk(provider)) as client:
                create = client.embeddings.create
                return await asyncio.gather(*(create(model=EMBEDDING, input=text) for text in texts))

    merged = asyncio.run(main())
    assert provider.calls == 1
    alone = sdk(provider)
    for text, each in zip(texts, merged, strict=True):
        bare = alone.embeddings.create(model=EMBEDDING, input=text)
        assert each.data[0].embedding == bare.data[0].embedding
        assert each.usage.prompt_tokens == bare.usage.prompt_tokens
    assert sum(call.cost or 0 for call in facts(tmp_path)) > 0


@pytest.mark.parametrize(
    ("before", "after", "moved", "answered"),
    [
        ("cache: {ttl: 1h}", "retry: {attempts: 1}", True, [1, 1, 2]),
        ("", "cache: {ttl: 1h}", False, [1, 2, 3, 3]),
    ],
    ids=["the cache goes off", "the cache goes on"],
)
def test_a_policy_file_is_reloaded_while_running(
    before: str, after: str, moved: bool, answered: list[int], provider: Simulator, tmp_path: Path
) -> None:
    """The file changes after the second call; `answered` is what the provider has answered after each."""
    clock = VirtualClock(time.time_ns())
    path = tmp_path / "policy.yaml"
    path.write_text(f"version: 1\n{before}\n")
    calls = []
    with costopt.Optimizer(path, ledger=tmp_path / "l", reload=True, clock=clock) as optimizer:
        client = optimizer.wrap(sdk(provider))
        for n in range(len(answered)):
            if n == 2:
                path.write_text(f"version: 1\n{after}\n")
                if moved:  # and older than what it replaces
                    os.utime(path, (1, 1))
                clock.advance(60)  # the watcher takes up what has lain still for a second
            client.chat.completions.create(**ASK)
            calls.append(provider.calls)
    assert calls == answered


def test_a_proxy_of_the_users_own_keeps_working(provider: Simulator, tmp_path: Path) -> None:
    http_library: Any = library_of(sdk(provider)._client)
    with costopt.Optimizer(CACHING, ledger=tmp_path) as optimizer:
        http = http_library.Client(proxy=provider.url)
        client = optimizer.wrap(
            openai.OpenAI(api_key="k", base_url="http://nowhere.invalid/v1", http_client=http)
        )
        client.chat.completions.create(**ASK)
    assert provider.calls == 1
    assert "nowhere.invalid" in provider.requests[0][0] + str(provider.headers[0])


def test_a_fork_after_wrap_works_in_both(provider: Simulator, tmp_path: Path) -> None:
    code = f"""
import os, sys, openai, costopt
from costopt.edge.wrap import library_of
httpx = library_of(openai.OpenAI(api_key="sk-test")._client)
http = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0))  # two processes must not share a socket
optimizer = costopt.Optimizer({{"version": 1, "cache": {{"ttl": "1h", "disk": "64MB"}}}}, ledger={str(tmp_path)!r})
client = optimizer.wrap(openai.OpenAI(api_key="sk-test", base_url={provider.base_url!r}, http_client=http))
def ask(text):
    client.chat.completions.create(model="gpt-4o-mini", messages=[{{"role": "user", "content": text}}])
ask("before")
child = os.fork()
ask("child" if child == 0 else "parent")
optimizer.close()
if child:
    sys.exit(os.waitpid(child, 0)[1])
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)
    assert len(facts(tmp_path)) == 3


def test_a_killed_process_leaves_a_ledger_that_others_go_on_with(provider: Simulator, tmp_path: Path) -> None:
    code = f"""
import os, signal, openai, costopt
optimizer = costopt.Optimizer("observe", ledger={str(tmp_path)!r})
client = optimizer.wrap(openai.OpenAI(api_key="sk-test", base_url={provider.base_url!r}))
for number in range(20):
    client.chat.completions.create(model="gpt-4o-mini", messages=[{{"role": "user", "content": str(number)}}])
    if number == 9:
        optimizer.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert killed.returncode == -9
    assert 10 <= len(facts(tmp_path)) <= 20
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with costopt.Optimizer("observe", ledger=tmp_path) as optimizer, optimizer.wrap(sdk(provider)) as client:
        client.chat.completions.create(**ASK)
    assert 11 <= len(facts(tmp_path)) <= 21
