"""One asynchronous call that never leaves the process, through costopt, `litellm.acompletion` and `litellm.Router`.

Ours answers through the real OpenAI SDK on an in-memory transport, with cache (a miss), ledger and prices on;
litellm answers by its own `mock_response`, which skips its HTTP client.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import openai

from benchmarks.figure import Report
from benchmarks.material import ANSWER, LIBRARY, MODEL, handler, optimizer, prompt

ROUNDS, CALLS = 15, 20


async def _times(calls: dict[str, Callable[[], Awaitable[Any]]]) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(ROUNDS + 2):
        for name, call in calls.items():
            started = time.perf_counter()
            for _ in range(CALLS):
                await call()
            if number >= 2:
                taken[name].append((time.perf_counter() - started) / CALLS * 1e6)
    return {name: statistics.median(each) for name, each in taken.items()}


async def _measure() -> dict[str, float]:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm

    reply = ANSWER["choices"][0]["message"]["content"]  # type: ignore[index]
    deployment = {"model_name": MODEL, "litellm_params": {"model": f"openai/{MODEL}", "api_key": "sk-test"}}
    router = litellm.Router(model_list=[deployment])
    http = LIBRARY.AsyncClient(transport=LIBRARY.MockTransport(handler))
    bare = openai.AsyncOpenAI(api_key="sk-test", http_client=http)
    with optimizer() as made:
        wrapped = made.wrap(bare)
        return await _times(
            {
                "bare": lambda: bare.chat.completions.create(model=MODEL, messages=prompt(unique=True)),  # type: ignore[arg-type]
                "costopt": lambda: wrapped.chat.completions.create(model=MODEL, messages=prompt(unique=True)),  # type: ignore[arg-type]
                "litellm": lambda: litellm.acompletion(
                    model=f"openai/{MODEL}", messages=prompt(unique=True), mock_response=reply
                ),
                "router": lambda: router.acompletion(
                    model=MODEL, messages=prompt(unique=True), mock_response=reply
                ),
            }
        )


def run(data: Path | None = None) -> Report:
    report = Report(
        "peers", "one new 2,000-token call that never leaves the process; microseconds a call, in turn"
    )
    times = asyncio.run(_measure())
    report.add("AsyncOpenAI alone, in-memory transport", times["bare"], "us")
    report.add("AsyncOpenAI wrapped by costopt", times["costopt"], "us")
    report.add("litellm.acompletion(mock_response=...)", times["litellm"], "us")
    report.add("litellm.Router.acompletion(mock_response=...)", times["router"], "us")
    report.add(
        "litellm.acompletion / costopt", times["litellm"] / times["costopt"], "x", 1, stretch=5, at_least=True
    )
    report.add(
        "litellm.Router / costopt", times["router"] / times["costopt"], "x", 1, stretch=5, at_least=True
    )
    added = max(times["costopt"] - times["bare"], 1.0)
    report.add("litellm.acompletion / what costopt adds", times["litellm"] / added, "x")
    return report
