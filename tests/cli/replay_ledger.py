"""Ledgers to replay: agent calls on two days, some repeated, priced by the price map."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ledgers import written

from costopt.decide.prices import PriceBook
from costopt.types import Receipt, Record, Reply, Request, Usage
from costopt.world.pricemap import load

DAY = 86_400 * 10**9
HOUR = 3600 * 10**9
START = 20_500 * DAY  # 2026-02-16
DATE, NEXT_DATE = "2026-02-16", "2026-02-17"
MODEL = "gpt-4o-mini"
SECRET = "a secret prompt"


def write(folder: Path, records: list[Record] | None = None) -> Path:
    return written(folder, workload() if records is None else records)


def workload() -> list[Record]:
    """Six sessions: each asks its own question on the first day and everybody's question on both."""
    book = load()
    records: list[Record] = []
    for session in range(6):
        tags = {"session": f"s{session}", "agent": "planner" if session % 2 else "critic"}
        own = START + session * HOUR
        records.append(call(book, f"a{session}00", own, f"question {session}", tags=tags))
        records.append(call(book, f"b{session}00", own + DAY, "everybody's question", tags=tags))
    return records


def call(
    book: PriceBook,
    name: str,
    started: int,
    text: str,
    *,
    model: str = MODEL,
    tags: dict[str, str] | None = None,
    prompt: int = 1200,
    **body: Any,
) -> Record:
    usage = Usage(input=prompt, output=100)
    content = {"model": model, "messages": [{"role": "user", "content": f"{SECRET} {text}"}], **body}
    request = Request(
        id=name,
        api="chat",
        model=model,
        body=content,
        endpoint="https://api.example.test/v1/chat/completions",
        provider="openai",
        tags=tags or {},
    )
    answer = {"role": "assistant", "content": f"a secret answer to {text}"}
    said = {
        "id": name,
        "model": model,
        "choices": [{"index": 0, "message": answer, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": 100, "total_tokens": prompt + 100},
    }
    return Record(
        request=request,
        reply=Reply(body=json.dumps(said).encode(), model=model, usage=usage, finish="stop"),
        outcome="ok",
        started=started,
        ended=started + 1_500_000_000,
        asked_model=model,
        receipt=Receipt(model, usage, book.cost(model, usage, "openai"), book.revision),
    )
