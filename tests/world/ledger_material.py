"""Records to write: a made-up agent loop whose history grows by two messages a call."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from costopt.types import Decision, Receipt, Record, Reply, Request, Saving, Usage
from costopt.world.ledger import Ledger

DAY = 86_400 * 10**9
START = 20_000 * DAY
USAGE = Usage(input=100, cache_read=20, output=7)


def record(
    n: int = 0,
    *,
    call: str = "",
    body: dict[str, Any] | None = None,
    answer: str = "fine",
    model: str = "gpt-4o",
    cost: int | None = 1000,
    savings: tuple[Saving, ...] = (),
    tags: dict[str, str] | None = None,
    started: int | None = None,
    notes: list[Decision] | None = None,
    **more: Any,
) -> Record:
    started = START + n if started is None else started
    sent = asked(n, body, model)
    made = Record(
        request=replace(
            sent, id=call or sent.id, tags=tags or {}, notes=sent.notes if notes is None else notes
        ),
        reply=answered(n, answer, model, started + 5),
        outcome="ok",
        started=started,
        ended=started + 10,
        asked_model=model,
        receipt=Receipt(model=model, usage=USAGE, cost=cost, revision="rev1", savings=savings),
    )
    return replace(made, **more)


def asked(n: int, body: dict[str, Any] | None, model: str) -> Request:
    question = {"model": model, "messages": [{"role": "user", "content": f"question {n}"}]}
    body = question if body is None else body
    return Request(
        id=f"call-{n:06d}",
        api="chat",
        model=model,
        body=body,
        endpoint="https://api.example.test/v1/chat/completions",
        provider="openai",
        key=sha256(repr(body).encode()).hexdigest(),
        notes=[Decision("cache", "miss")],
    )


def answered(n: int, text: str, model: str, at: int) -> Reply:
    said = {"id": f"r{n}", "choices": [{"message": {"role": "assistant", "content": text}}]}
    headers = {"Content-Type": "application/json", "Set-Cookie": "session=1", "X-Request-Id": "req_1"}
    return Reply(
        body=json.dumps(said).encode(),
        model=model,
        usage=USAGE,
        raw_usage={"prompt_tokens": 120, "completion_tokens": 7},
        finish="stop",
        headers=tuple(headers.items()),
        first_ns=at,
    )


def filled(folder: Path, *records: Record, **how: Any) -> Ledger:
    """A ledger of these records, still open."""
    ledger = Ledger(folder, **how)
    ledger.write(records)
    return ledger


def agent_loop(calls: int, *, trace: str = "t0") -> list[Record]:
    """`calls` records of one agent, each holding the whole history of those before."""
    tools = [
        {"type": "function", "function": {"name": f"tool_{i}", "description": "does it " * 20}}
        for i in range(5)
    ]
    history: list[dict[str, Any]] = [
        {"role": "system", "content": f"You are agent {trace}. " + "Be brief. " * 40}
    ]
    made: list[Record] = []
    for n in range(calls):
        history.append({"role": "user", "content": f"{trace}: step {n} of the work " + "with details " * 30})
        body = {"model": "gpt-4o", "temperature": 0, "messages": list(history), "tools": tools, "seed": n}
        made.append(
            record(
                n, call=f"{trace}-{n:05d}", body=body, answer=f"answer {n} of {trace}", tags={"trace": trace}
            )
        )
        history.append({"role": "assistant", "content": f"answer {n} of {trace}"})
    return made
