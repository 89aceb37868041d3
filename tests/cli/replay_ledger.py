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
    endpoint = "https://api.example.test/v1/chat/completions"
    return Record(
        request=Request(name, "chat", model, content, endpoint, "openai", tags=tags or {}),
        reply=answered(name, model, usage, f"a secret answer to {text}"),
        outcome="ok",
        started=started,
        ended=started + 1_500_000_000,
        asked_model=model,
        receipt=Receipt(model, usage, book.cost(model, usage, "openai"), book.revision),
    )


def answered(name: str, model: str, usage: Usage, text: str) -> Reply:
    message = {"role": "assistant", "content": text}
    body = {
        "id": name,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": usage.input,
            "completion_tokens": usage.output,
            "total_tokens": usage.input + usage.output,
        },
    }
    return Reply(body=json.dumps(body).encode(), model=model, usage=usage, finish="stop")
