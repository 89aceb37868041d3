"""A miss with cache, ledger and prices on: every prompt is new."""

from __future__ import annotations

from pathlib import Path

from benchmarks.figure import Report, paired
from benchmarks.material import ask, client, optimizer


def run(data: Path | None = None) -> Report:
    report = Report("miss", "one new 2,000-token chat call; microseconds more than the bare client")
    with optimizer() as made:
        wrapped, bare = made.wrap(client()), client()
        miss = paired(lambda: ask(bare, unique=True), lambda: ask(wrapped, unique=True))
        report.add("bare client (floor)", miss.base, "us")
        report.add("miss, more than floor", miss.more, "us", 250, stretch=100)
        report.add("miss, more on average", miss.more_mean, "us")
    return report
