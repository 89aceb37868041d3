"""A hit in L1 and in L2 through a wrapped OpenAI client, over the same client on an in-memory transport."""

from __future__ import annotations

from pathlib import Path

from benchmarks.figure import Report, paired
from benchmarks.material import ask, client, optimizer


def run(data: Path | None = None) -> Report:
    report = Report(
        "hit", "one 2,000-token chat call answered from the cache; microseconds more than the bare client"
    )
    with optimizer() as made:
        wrapped = made.wrap(client())
        bare = client()
        ask(wrapped)
        made.flush()
        hit = paired(lambda: ask(bare), lambda: ask(wrapped))
        report.add("bare client (floor)", hit.base, "us")
        report.add("memory hit, more than floor", hit.more, "us", 120, stretch=60)
        report.add("memory hit, more on average", hit.more_mean, "us")

        def from_disk() -> None:
            made.world.memory.close()  # forgets everything
            ask(wrapped)

        hit = paired(lambda: ask(bare), from_disk)
        report.add("disk hit, more than floor", hit.more, "us", 250, stretch=150)
        report.add("disk hit, more on average", hit.more_mean, "us")
    return report
