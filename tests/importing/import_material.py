"""Small logs, and what of them arrived in a ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from costopt.importing import Options, Summary, load
from costopt.types import Json
from costopt.world.ledger import Fact, Reader

START = "2026-11-01T09:30:00Z"
START_NS = 1_793_525_400 * 10**9


def body(said: str = "What is 2 + 2?", **more: Any) -> Json:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": said}], **more}


def answer(said: str = "4", **more: Any) -> Json:
    choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    base = {"object": "chat.completion", "model": "gpt-4o-2024-08-06", "choices": [choice], "usage": usage}
    return {**base, **more}


def line(**more: Any) -> Json:
    return {"request": body(), "response": answer(), "timestamp": START, **more}


def written(path: Path, lines: Iterable[Json | str]) -> Path:
    texts = (each if isinstance(each, str) else json.dumps(each) for each in lines)
    path.write_text("".join(f"{text}\n" for text in texts))
    return path


def imported(folder: Path, lines: Iterable[Json | str], format: str = "jsonl", **options: Any) -> Summary:
    """Imports `lines` into the ledger `folder`/ledger."""
    log = written(folder / "log.jsonl", lines)
    return load(format, [log], ledger=folder / "ledger", options=Options(**options))


def facts(folder: Path) -> list[Fact]:
    with Reader(folder / "ledger") as reader:
        return list(reader.facts())


def bodies(folder: Path) -> list[Json]:
    with Reader(folder / "ledger") as reader:
        return [reader.body(fact) for fact in reader.facts()]


def answers(folder: Path) -> list[Json]:
    with Reader(folder / "ledger") as reader:
        replies = [reader.answer(fact) for fact in reader.facts()]
    return [json.loads(reply.body) if reply and reply.body else {} for reply in replies]


def whys(summary: Summary) -> list[tuple[int, str]]:
    return [(lost.line, lost.why) for lost in summary.unusable]
