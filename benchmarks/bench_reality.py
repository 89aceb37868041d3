"""Predicted bill against real bill: what a replay says a policy would cost, and what it cost when it was really run.

Two days of a support desk (`benchmarks.deskdays`) run through the real SDK against the loopback simulator, which has
a prompt cache and counts what it bills; under `observe` they are recorded. Each policy is then replayed over that
record, and really run against a fresh simulator. Bills are the simulator's own counts, priced by the price book; the
ledger must say the same. Hours pass in virtual time (`benchmarks.virtual`), so figures are the same on every machine.

What is left of an error has three causes. A replay sends each call when it was sent then, but an agent whose last call
had to wait sends its next one later (limits). A refused caller gives up, which its record cannot know (budgets). And
the simulator answers another prompt at another length (trim), as a model would.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import openai

from benchmarks import virtual
from benchmarks.deskdays import START, Days
from benchmarks.figure import Report
from benchmarks.material import LIBRARY
from costopt import Optimizer
from costopt.demo.outcome import bill
from costopt.demo.run import tokenizer
from costopt.demo.simulator import Simulator
from costopt.replaying import Replay, replay
from costopt.types import Nano
from costopt.world import pricemap
from costopt.world.ledger import Reader
from costopt.world.recorded import EventClock

CACHE: dict[str, Any] = {"ttl": "90m", "memory": "64MB", "tool_calls": True}
SHORT: dict[str, Any] = {"ttl": "10m", "memory": "64MB"}
LIMITS = [{"group": "openai", "requests": "12/min", "tokens": "60k/min"}]
BUDGETS = [{"limit": "$0.04/hour", "per": "customer"}]
TRIM: dict[str, Any] = {"budget": "4k", "keep": "2500", "tool_output": 300}
ROUTE: dict[str, Any] = {"downgrade": ["openai/gpt-4o"], "long_prompt": 1000}
MODELS = [{"name": "openai/gpt-4o-mini"}, {"name": "openai/gpt-4o"}]


@dataclass
class Case:
    """A policy, how far (in %) prediction and reality may be apart, and why further than 0.1."""

    levers: dict[str, Any]
    bound: float = 1.0
    stretch: float | None = 0.1
    why: str = ""
    back_bound: float | None = 1.0


CASES = {
    "cache": Case({"cache": CACHE}),
    "short cache that cools prompts": Case({"cache": SHORT}),
    "limits": Case({"limits": LIMITS}),
    "cache and limits": Case({"cache": CACHE, "limits": LIMITS}),
    # the way back: what refused calls would have cost was never seen, and is a mean answer's price
    "budgets": Case({"budgets": BUDGETS}, 2.0, None, "who is refused gives up", None),
    "route": Case({"models": MODELS, "route": ROUTE}, 2.0, None, "another model's answer", 2.0),
    "trim": Case({"trim": TRIM}, 2.0, None, "another prompt's answer", 2.0),
    "all together": Case(
        {"cache": CACHE, "limits": LIMITS, "models": MODELS, "route": ROUTE, "trim": TRIM},
        2.0,
        None,
        "other answers",
        2.0,
    ),
}


@dataclass
class Run:
    """One real run: the provider's own bill, the ledger's, the provider's calls, sessions cut short."""

    billed: Nano
    booked: Nano
    calls: int
    failed: dict[str, int]


def run(data: Path | None = None) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        return _Bench(Path(folder)).report()


class _Bench:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._book = pricemap.load()
        self._encode = tokenizer()
        self._observed = self._real("observe", {})

    def report(self) -> Report:
        report = Report("reality", f"{self._observed.calls} calls of two days recorded, replayed, really run")
        report.add("observe: bill", self._observed.billed / 1e9, "USD")
        self._accuracy(report, replay(self._folder / "observe", "observe"))
        self._compare(report, "observe", Case({}), self._observed)
        for name, case in CASES.items():
            self._compare(report, name, case, self._real(name, case.levers))
        return report

    def _compare(self, report: Report, name: str, case: Case, real: Run) -> None:
        policy = {"version": 1, **case.levers}
        there = replay(self._folder / "observe", policy).outcome
        back = replay(self._folder / name, "observe").outcome
        if name != "observe":
            report.add(f"{name}: really billed", real.billed / 1e9, "USD")
            report.add(f"{name}: predicted", there.after / 1e9, "USD")
            error = _percent(there.after, real.billed)
            why = f" ({case.why})" if case.why else ""
            report.add(f"{name}: error{why}", error, "%", case.bound, stretch=case.stretch)
            error = _percent(back.after, self._observed.billed)
            report.add(f"{name}: error, back to observe", error, "%", case.back_bound)
        if real.failed:
            report.add(f"{name}: sessions cut short", sum(real.failed.values()), "")
        report.add(f"{name}: ledger less provider's bill", abs(real.booked - real.billed), "nano-USD", 0)
        report.add(f"{name}: replay of itself, difference", self._itself(name, policy), "nano-USD", 0)

    def _itself(self, name: str, policy: dict[str, Any]) -> Nano:
        """Differences of single calls, added up without their signs."""
        found: list[Nano] = []
        replay(self._folder / name, policy, hear=lambda change: found.append(abs(change.saved)))
        return sum(found)

    def _accuracy(self, report: Report, found: Replay) -> None:
        accuracy = found.prompt_cache
        assert accuracy is not None
        report.add("prompt cache: tokens read, as reported", accuracy.reported, "")
        report.add("prompt cache: tokens read, simulated", accuracy.simulated, "")
        report.add("prompt cache: mean error per prompt token", 100 * accuracy.error, "%", 1)

    def _real(self, name: str, levers: dict[str, Any]) -> Run:
        """Run the two days under a policy, for real but for the time they take."""
        clock = EventClock(START)
        seconds = partial(_seconds, clock)
        with Simulator(encode=self._encode, clock=seconds, prefill=virtual.FIRST_S) as provider:
            failed = _spend(clock, provider, {"version": 1, **levers}, self._folder / name)
        billed = bill(self._book, [(each.model, each.usage) for each in provider.billed])
        with Reader(self._folder / name) as reader:
            booked = sum(fact.cost or 0 for fact in reader.facts())
        assert billed is not None
        return Run(billed, booked, len(provider.billed), failed)


def _spend(clock: EventClock, provider: Simulator, policy: dict[str, Any], ledger: Path) -> dict[str, int]:
    async def main() -> None:
        http = LIBRARY.AsyncClient(transport=virtual.Network(clock))
        client = openai.AsyncOpenAI(
            base_url=provider.base_url, api_key="none", max_retries=0, http_client=http
        )
        async with Optimizer(policy, ledger=ledger, clock=clock) as optimizer, client:
            optimizer.world.executor = virtual.Inline()
            days = Days(optimizer.wrap(client), clock)
            await days.run()
            failed.update(days.failed)

    failed: dict[str, int] = {}
    virtual.run(clock, main())
    return failed


def _seconds(clock: EventClock) -> float:
    return clock.now() / 1e9


def _percent(predicted: Nano, real: Nano) -> float:
    return 100 * abs(predicted - real) / real
