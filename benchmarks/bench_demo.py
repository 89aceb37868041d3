"""The demo's workload, plain and wrapped, twice: every lever's saving, and the same totals to the nano-dollar."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.figure import Report


def run(data: Path | None = None) -> Report:
    from costopt.demo.run import compare

    report = Report("demo", "the shipped workload on the loopback simulator, plain and wrapped, run twice")
    results = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            results.append(compare(ledger=Path(folder)))
    first, second = results
    report.add("plain", first.plain.cost / 1e9, "USD")
    report.add("wrapped", first.wrapped.cost / 1e9, "USD")
    for lever, nano in sorted(first.saved_by_lever.items()):
        report.add(f"saved by {lever}", nano / 1e9, "USD")
    drift = abs(first.plain.cost - second.plain.cost) + abs(first.wrapped.cost - second.wrapped.cost)
    report.add("difference between two runs", drift, "nano-USD", 0)
    return report
