"""CPU time of `python -c "import costopt"` over `python -c pass`, and that it loads no SDK and opens nothing."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.figure import Report

RUNS = 15
PROBE = """
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append((event, args)) if event.startswith(("open", "socket")) else None)
import costopt, costopt.errors
heavy = {"litellm", "openai", "anthropic", "httpx", "httpx2", "tiktoken", "diskcache", "sqlite3", "asyncio", "pydantic"}
files = [a[0] for e, a in opened if e == "open" and not str(a[0]).endswith((".py", ".pyc", ".so"))]
print(len(heavy & set(sys.modules)), len(files), sum(e.startswith("socket") for e, _ in opened))
"""


def _cpu(code: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


def run(data: Path | None = None) -> Report:
    report = Report("import", f"whole processes in turn, median of {RUNS}, milliseconds of CPU")
    _cpu("import costopt"), _cpu("pass")
    pairs = [
        (_cpu("pass"), _cpu("import costopt"), _cpu("from costopt import Optimizer, wrap"))
        for _ in range(RUNS)
    ]
    report.add("python -c pass (floor)", statistics.median(bare for bare, _, _ in pairs), "ms")
    report.add(
        "import costopt, more",
        statistics.median(ours - bare for bare, ours, _ in pairs),
        "ms",
        150,
        stretch=80,
    )
    report.add(
        "from costopt import Optimizer, more", statistics.median(all_ - bare for bare, _, all_ in pairs), "ms"
    )
    probe = subprocess.run([sys.executable, "-c", PROBE], check=True, capture_output=True, text=True)
    heavy, files, sockets = (int(part) for part in probe.stdout.split())
    report.add("SDKs and heavy modules loaded", heavy, "", 0)
    report.add("files opened (other than modules)", files, "", 0)
    report.add("sockets", sockets, "", 0)
    return report
