"""Replaying 100,000 recorded calls: speed on one core, peak memory, and the same bill under the recording policy.

`--data` takes the folder of a ledger; the default is a month of agent traffic made here (`benchmarks.traffic`). Each
replay runs in a process of its own, one thread, and is timed by its CPU time. Attribution is checked on the first
calls of the ledger under policies drawn at random: for how many calls the levers' shares do not add up to the
difference of the bills.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from benchmarks import traffic
from benchmarks.figure import NoMaterial, Report
from costopt.replaying import replay
from costopt.replaying.change import Change
from costopt.world.ledger import Reader

CALLS = 100_000
CACHE = {"ttl": "7d", "memory": "256MB", "disk": "4GB", "sampled": True, "share": True}
LIMITS = [{"group": "openai", "requests": "500/min", "tokens": "200k/min"}]
POLICIES: dict[str, Any] = {
    "observe": "observe",
    "balanced": "balanced",
    "balanced with limits": {"version": 1, "cache": CACHE, "limits": LIMITS},
}
#: Random policies, and over how many calls each.
DRAWN, SLICE = 8, 1_000


def run(data: Path | None = None) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        ledger = data or _made(Path(folder))
        with Reader(ledger) as reader:
            calls = reader.count(0, 2**63 - 1)
        if not calls:
            raise NoMaterial(f"no call is recorded in {ledger}")
        report = Report("replay", f"{calls:,} recorded calls replayed, one process and one thread each")
        for name, policy in POLICIES.items():
            _add(report, name, _apart(ledger, policy))
        report.add("calls whose shares do not add up", _unattributed(ledger), "calls", 0)
    return report


def _made(folder: Path) -> Path:
    traffic.write(folder, CALLS)
    return folder


def _add(report: Report, name: str, took: dict[str, Any]) -> None:
    report.add(f"{name}: calls/s", took["calls"] / took["cpu_s"], "/s", 2_000, at_least=True, stretch=10_000)
    report.add(f"{name}: peak memory", took["peak_mb"], "MB", 300)
    report.add(f"{name}: bill then", took["before"] / 1e9, "USD")
    report.add(f"{name}: bill now", took["after"] / 1e9, "USD")
    if name == "observe":
        report.add(f"{name}: calls with another bill", took["changed"], "calls", 0)
        report.add(f"{name}: difference of the bills", abs(took["before"] - took["after"]), "nano-USD", 0)
        report.add(f"{name}: calls with another answer", took["answers"], "calls", 0)


def _apart(ledger: Path, policy: Any) -> dict[str, Any]:
    """One replay in a process of its own."""
    code = "from benchmarks.bench_replay import measured; measured()"
    asked = json.dumps({"ledger": str(ledger), "policy": policy})
    done = subprocess.run([sys.executable, "-c", code], input=asked, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return dict(json.loads(done.stdout))


def measured() -> None:
    """Replays what stdin asks for and tells stdout what it took. Sums are made here, beside the replay's own."""
    asked = json.load(sys.stdin)
    sums = {"calls": 0, "before": 0, "after": 0, "changed": 0, "answers": 0}

    def hear(change: Change) -> None:
        sums["calls"] += 1
        sums["before"] += change.before or 0
        sums["after"] += change.after or 0
        sums["changed"] += change.before != change.after
        sums["answers"] += bool(change.answer)

    started = time.process_time()
    replay(asked["ledger"], asked["policy"], hear=hear)
    print(json.dumps({**sums, "cpu_s": time.process_time() - started, "peak_mb": _peak_mb()}))


def _peak_mb() -> float:
    """The largest resident set of this process; what it was before exec does not count."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2  # macOS tells bytes


def _unattributed(ledger: Path) -> int:
    with Reader(ledger) as reader:
        end = max(fact.started for fact in islice(reader.facts(), SLICE)) + 1
    wrong = 0

    def hear(change: Change) -> None:
        nonlocal wrong
        if change.before is not None and change.after is not None:
            wrong += sum(share.nano for share in change.shares) != change.saved

    for seed in range(DRAWN):
        replay(ledger, drawn(Random(seed)), until=end, hear=hear)
    return wrong


def drawn(random: Random) -> dict[str, Any]:
    """A policy with every lever on or off by chance."""
    keep = random.choice((1_000, 2_000, 4_000))
    blocks: dict[str, Any] = {
        "cache": {
            "ttl": random.choice(("1m", "1h", "7d")),
            "memory": random.choice(("100KB", "64MB")),
            "tool_calls": random.random() < 0.5,
            "sampled": random.random() < 0.5,
            "share": random.random() < 0.5,
        },
        "trim": {"budget": keep * 2, "keep": keep, "tool_output": random.choice((50, 500))},
        "route": {
            "downgrade": ["openai/gpt-4o", "openai/gpt-4.1"],
            "long_prompt": random.choice((500, 4_000)),
        },
        "limits": [{"group": "openai", "requests": f"{random.choice((5, 50))}/min"}],
        "budgets": [
            {
                "limit": random.choice(("$0.05/hour", "$1/day")),
                "on_exceed": random.choice(("reject", "downgrade")),
            }
        ],
        "prices": {"gpt-4o-mini": {"input": "$0.30", "output": "$1.20", "cache_read": "$0.10"}},
    }
    chosen = {name: block for name, block in blocks.items() if random.random() < 0.5}
    ladder = [{"name": "openai/gpt-4o-mini"}, {"name": "openai/gpt-4.1"}, {"name": "openai/gpt-4o"}]
    return {"version": 1, "models": ladder, **chosen}
