"""Limits and retries against `llmock`, a simulator kept by others that enforces quotas and judges its clients.

Its buckets start full with a minute's worth. `drained` empties them down to what our window holds; from there on a
client that passes the same rate anywhere gets a 429.
"""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import openai
import pytest
from ledgers import facts
from simulators import Simulator, llmock, running

import costopt
from costopt.edge.wrap import library_of
from costopt.policy import Cache, Limit, Policy, Retry

MODEL = "gpt-4o-mini"


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with running("llmock", llmock()) as made:
        yield made


def options(simulator: Simulator, **more: Any) -> dict[str, Any]:
    return {"api_key": "k", "base_url": f"{simulator.url}/v1", "timeout": 20, **more}


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **more}


def drained(simulator: Simulator, kind: str, *, to: int, at_once: int = 1) -> None:
    """Use up the bucket of `requests` or `tokens` until at most `to` are left; the first call takes `at_once`."""
    line = http.client.HTTPConnection(simulator.url.removeprefix("http://"), timeout=10)
    headers = {"authorization": "Bearer k", "content-type": "application/json"}
    left, bound = to + 1, at_once
    while left > to:
        line.request("POST", "/v1/chat/completions", json.dumps(ask("x", max_tokens=bound)), headers)
        answer = line.getresponse()
        answer.read()
        assert answer.status == 200
        left, bound = int(answer.headers[f"x-ratelimit-remaining-{kind}"]), 1
    line.close()


def statuses(simulator: Simulator, seen: str = "measured") -> list[int]:
    """What came of each request whose text has `seen` in it."""
    made = simulator.get("/_llmock/requests")["requests"]
    return [each["status"] for each in made if seen in json.dumps(each["body"])]


def script(simulator: Simulator, *behaviors: dict[str, Any]) -> None:
    """What the next requests come to."""
    simulator.ask("POST", "/_llmock/scenario", {"behaviors": list(behaviors)})


def findings(simulator: Simulator) -> list[str]:
    """What llmock has to say against the client's manners."""
    return [each["code"] for each in simulator.get("/_llmock/verdict")["findings"]]


def broken() -> tuple[type[Exception], ...]:
    """What the SDK's HTTP library raises when a stream breaks off; the SDK passes it on."""
    library: Any = library_of(openai.OpenAI(api_key="k")._client)
    return (library.RemoteProtocolError,)


def by_threads_and_loops(
    optimizer: costopt.Optimizer, simulator: Simulator, calls: list[dict[str, Any]]
) -> None:
    """Half of `calls` on eight threads, half on an event loop, all at once."""

    async def loop() -> None:
        async with optimizer.wrap(openai.AsyncOpenAI(**options(simulator, max_retries=0))) as client:
            await asyncio.gather(*(client.chat.completions.create(**call) for call in calls[1::2]))

    client = optimizer.wrap(openai.OpenAI(**options(simulator, max_retries=0)))
    with client, ThreadPoolExecutor(9) as pool:
        done: list[Future[Any]] = [pool.submit(asyncio.run, loop())]
        done += [pool.submit(partial(client.chat.completions.create, **call)) for call in calls[::2]]
        for each in done:
            each.result()


def test_no_request_is_refused_at_the_servers_own_rate(simulator: Simulator, tmp_path: Path) -> None:
    simulator.configure(rpm=600)
    rules = Policy(name="test", limits=(Limit("openai", requests=10, window=1.0),))
    with costopt.Optimizer(rules, ledger=tmp_path) as optimizer:
        drained(simulator, "requests", to=10)
        by_threads_and_loops(optimizer, simulator, [ask(f"measured {n}") for n in range(25)])
    assert statuses(simulator) == [200] * 25
    assert [fact.outcome for fact in facts(tmp_path)] == ["ok"] * 25


def test_no_token_is_refused_at_the_servers_own_rate(simulator: Simulator, tmp_path: Path) -> None:
    """llmock charges a call's whole output bound when it is asked and gives nothing back, as OpenAI does."""
    simulator.configure(tpm=60_000)
    rules = Policy(name="test", limits=(Limit("openai", tokens=1000, window=1.0),))
    words = " ".join(
        map(str, range(1000, 1040))
    )  # more tokens than a quarter of its bytes, by which llmock counts
    calls = [ask(f"measured {n} {words}", max_tokens=150) for n in range(9)]
    with costopt.Optimizer(rules, ledger=tmp_path) as optimizer:
        drained(simulator, "tokens", to=1050, at_once=58_900)  # a small call takes 25
        by_threads_and_loops(optimizer, simulator, calls)
    assert statuses(simulator) == [200] * 9


def test_a_429_holds_everybody_back_for_as_long_as_it_asks(simulator: Simulator, tmp_path: Path) -> None:
    simulator.configure()
    script(simulator, {"type": "fail", "status": 429, "retry_after": 0.4})
    rules = Policy(name="test", limits=(Limit("openai", requests=1000),))
    calls = [ask(f"measured {n}") for n in range(5)]
    with costopt.Optimizer(rules, ledger=tmp_path) as optimizer:
        with optimizer.wrap(openai.OpenAI(**options(simulator, max_retries=0))) as client:
            with pytest.raises(openai.RateLimitError):
                client.chat.completions.create(**calls[0])
        by_threads_and_loops(optimizer, simulator, calls)
    refused, *after = simulator.get("/_llmock/requests")["requests"]
    assert statuses(simulator) == [429, *[200] * 5]
    assert min(each["started_at"] for each in after) >= refused["ended_at"] + 0.4
    assert findings(simulator) == []


@pytest.mark.parametrize("attempts", [1, 3])
def test_retries_are_made_in_one_place_and_back_off(
    attempts: int, simulator: Simulator, tmp_path: Path
) -> None:
    """With one attempt in the policy the SDK retries twice, with three it does not at all."""
    simulator.configure()
    script(simulator, {"type": "fail", "status": 503, "times": None})
    with costopt.Optimizer(Policy(retry=Retry(attempts, base=0.1)), ledger=tmp_path) as optimizer:
        client = optimizer.wrap(openai.OpenAI(**options(simulator, max_retries=2 if attempts > 1 else 1)))
        with client, pytest.raises(openai.InternalServerError):
            client.chat.completions.create(**ask("measured"))
    assert statuses(simulator) == [503] * (attempts if attempts > 1 else 2)
    assert findings(simulator) == []


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_what_no_retry_can_mend_is_asked_once(status: int, simulator: Simulator, tmp_path: Path) -> None:
    simulator.configure()
    script(simulator, {"type": "fail", "status": status, "times": None})
    with costopt.Optimizer(Policy(retry=Retry(attempts=3, base=0.1)), ledger=tmp_path) as optimizer:
        client = optimizer.wrap(openai.OpenAI(**options(simulator)))
        with client, pytest.raises(openai.APIStatusError):
            client.chat.completions.create(**ask("measured"))
    assert statuses(simulator) == [status]
    assert findings(simulator) == []


@pytest.mark.parametrize("kind", ["truncate", "disconnect", "malformed"])
def test_a_broken_stream_is_never_served_again(kind: str, simulator: Simulator, tmp_path: Path) -> None:
    simulator.configure()
    script(simulator, {"type": "stream_fault", "kind": kind, "after_chunks": 2})
    with costopt.Optimizer(Policy(cache=Cache()), ledger=tmp_path) as optimizer:
        client = optimizer.wrap(openai.OpenAI(**options(simulator, max_retries=0)))

        def read() -> str:
            chunks = client.chat.completions.create(stream=True, **ask("measured"))
            return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)

        with client:
            with suppress(openai.APIConnectionError, json.JSONDecodeError, *broken()):
                read()
            whole = read()
            assert read() == whole
    assert len(statuses(simulator)) == 2
    first = "left" if kind == "malformed" else "error"  # the SDK stops reading at what it cannot decode
    assert [fact.outcome for fact in facts(tmp_path)] == [first, "ok", "hit"]
