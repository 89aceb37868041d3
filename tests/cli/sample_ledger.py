"""A small ledger: four calls on two days, one of them a hit, one without a price."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ledgers import written
from msgspec.structs import replace

from costopt.types import Decision, Receipt, Record, Reply, Request, Saving, Usage

DAY = 86_400 * 10**9
START = 20_000 * DAY  # 2024-10-04
DATE, NEXT_DATE = "2024-10-04", "2024-10-05"
HIT = (Saving("cache", 421_000, "derived", "the stored call paid again"),)
TRIM = (Saving("trim", 9_000, "assumed", "the untrimmed prompt"),)


def write(folder: Path, agent: str = "planner") -> Path:
    next_day = START + DAY
    return written(
        folder,
        [
            _record("aa01", START, 421_000, tags={"agent": agent}, note=Decision("cache", "miss")),
            _record("aa02", START + 1, 0, HIT, outcome="hit", note=Decision("cache", "hit in memory")),
            _record("bb01", next_day, None, model="house-model", tags={"agent": "\x1b[31mred"}),
            _record("bb02", next_day + 1, 2_000, TRIM, note=Decision("trim", "90 to 60 tokens")),
        ],
    )


def refused(folder: Path) -> Path:
    """One call that was made, and three that a budget refused."""
    calls = [_record(f"cc0{n}", START + n, 1_000) for n in range(4)]
    held = [replace(call, outcome="refused", reply=None, receipt=None) for call in calls[1:]]
    return written(folder, [calls[0], *held])


def cascade(folder: Path) -> Path:
    """A call of gpt-4o for $0.0005, after an answer of gpt-4o-mini for $0.00003 that failed its check."""
    call = _record("dd01", START, 530_000)
    assert call.receipt
    cheap = replace(call.receipt, model="gpt-4o-mini", cost=30_000)
    return written(folder, [replace(call, receipt=replace(call.receipt, attempts=(cheap,)))])


def _record(
    call: str,
    started: int,
    cost: int | None,
    savings: tuple[Saving, ...] = (),
    *,
    model: str = "gpt-4o",
    outcome: Any = "ok",
    tags: dict[str, str] | None = None,
    note: Decision | None = None,
) -> Record:
    usage = Usage(input=100, cache_read=20, output=7)
    messages = [{"role": "user", "content": f"a secret prompt {call}"}]
    request = Request(
        id=call,
        api="chat",
        model=model,
        body={"model": model, "messages": messages},
        endpoint="https://api.example.test/v1/chat/completions",
        provider="openai",
        tags=tags or {},
        notes=[note] if note else [],
    )
    return Record(
        request=request,
        reply=Reply(body=b'{"answer":"a secret answer"}', model=model, usage=usage, finish="stop"),
        outcome=outcome,
        started=started,
        ended=started + 1_500_000_000,
        asked_model=model,
        receipt=Receipt(model, usage, cost, "rev1", savings),
    )
