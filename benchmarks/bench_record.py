"""What handing a finished call to the ledger costs the caller; the writing happens on the ledger's own thread."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import msgspec

from benchmarks.figure import Report
from benchmarks.material import ANSWER, prompt
from costopt import effects, wire
from costopt.policy import Policy
from costopt.types import Record, Request
from costopt.world.live import World
from costopt.world.upstream import complete

CALLS = 5000


def run(data: Path | None = None) -> Report:
    report = Report(
        "record", f"{CALLS} calls of 2,000 tokens handed to the ledger; microseconds on the caller's path"
    )
    reply = wire.read_body("chat", 200, (), msgspec.json.encode(ANSWER))
    took: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        world = World(Policy(), Path(folder))
        perform = world.performing(complete)
        for number in range(CALLS):
            body = {"model": "gpt-4o-mini", "messages": prompt(unique=True)}
            request = Request(f"call-{number}", "chat", "gpt-4o-mini", body, "https://api.example", notes=[])
            record = Record(request, reply, "ok", 1, 2, "gpt-4o-mini", None)
            started = time.perf_counter()
            perform(effects.Write(record))
            took.append((time.perf_counter() - started) * 1e6)
        started = time.perf_counter()
        world.writer.flush()
        drained = time.perf_counter() - started
        world.close()
    report.add("p50", statistics.median(took), "us", 20, stretch=5)
    report.add("p99", statistics.quantiles(took, n=100)[98], "us")
    report.add("draining what was left", drained * 1e3, "ms")
    return report
