"""Ledgers to replay: calls written down as they might have been recorded, and what a replay says of each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from ledgers import written

from costopt.policy import Policy
from costopt.replaying import Replay, replay
from costopt.replaying.change import Change
from costopt.types import Control, Receipt, Record, Reply, Request, Usage
from costopt.world.pricemap import load

DAY = 86_400 * 10**9
SECOND = 10**9
START = 20_000 * DAY
MODEL = "gpt-4o-mini"
BOOK = load()


def chat(text: str = "Capital of France?", model: str = MODEL, **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], "temperature": 0, **fields}


def request(body: dict[str, Any], n: int = 0, **fields: Any) -> Request:
    api = fields.pop("api", "chat")
    return Request(
        id=fields.pop("id", f"call-{n:06d}"),
        api=api,
        model=body["model"],
        body=body,
        endpoint=fields.pop("endpoint", f"https://api.example.test/v1/{api}"),
        provider=fields.pop("provider", "anthropic" if api == "messages" else "openai"),
        stream=bool(body.get("stream")),
        control=Control(fields.pop("control", "on")),
        notes=[],
        **fields,
    )


def receipt(sent: Request, usage: Usage, at: int, **fields: Any) -> Receipt:
    """Priced as a live call would be."""
    cost = BOOK.cost(sent.model, usage, sent.provider, at)
    return Receipt(sent.model, usage, cost, BOOK.revision, **fields)


def recorded(
    n: int,
    at: int = START,
    *,
    body: dict[str, Any] | None = None,
    usage: Usage | None = None,
    took: int = SECOND,
    finish: Any = "stop",
    waited: int = 0,
    answer: str = "Paris",
    trimmed: int = 0,
    **fields: Any,
) -> Record:
    """A call that went through and was answered, with nothing changed about it."""
    usage = usage or Usage(input=100, output=10)
    sent = request(body or chat(f"question {n}"), n, **fields)
    told = {"id": f"r{n}", "choices": [{"message": {"role": "assistant", "content": answer}}]}
    reply = Reply(
        body=json.dumps(told).encode(),
        model=sent.model,
        usage=usage,
        finish=finish,
        first_ns=at + took // 2,
        waited_ns=waited,
    )
    return Record(
        sent, reply, "ok", at, at + took + waited, sent.model, receipt(sent, usage, at, trimmed=trimmed)
    )


class Heard:
    """A replay with everything it told about each call."""

    def __init__(self, source: Path, policy: Policy, **options: Any) -> None:
        self.changes: dict[str, Change] = {}
        self.order: list[str] = []
        self.result: Replay = replay(source, policy, hear=self._hear, **options)
        self.outcome = self.result.outcome

    def _hear(self, change: Change) -> None:
        assert change.call not in self.changes, f"{change.call} counted twice"
        self.changes[change.call] = change
        self.order.append(change.call)

    @property
    def answers(self) -> list[str]:
        """Why each call would have got another answer, in the order of ids."""
        return [self.changes[call].answer for call in sorted(self.changes)]

    @property
    def levers(self) -> dict[str, int]:
        sums: dict[str, int] = {}
        for lever in self.outcome.levers:
            sums[lever.lever] = sums.get(lever.lever, 0) + lever.nano
        return sums

    @property
    def bytes(self) -> bytes:
        return msgspec.json.encode(self.result.to_dict())


def heard(folder: Path, records: Sequence[Record], policy: Policy, content: Any = "full") -> Heard:
    return Heard(written(folder, records, content), policy)


def adds_up(told: Heard, ids: Iterable[str]) -> None:
    """What holds of every replay: each call once, levers and groups equal to the difference of the bills."""
    result, outcome = told.result, told.outcome
    assert sorted(told.changes) == sorted(ids)
    assert result.calls == len(told.changes) == sum(outcome.outcomes.values())
    priced = [c for c in told.changes.values() if c.before is not None and c.after is not None]
    for change in told.changes.values():
        if change.before is None or change.after is None:
            assert change.shares == ()
        assert sum(share.nano for share in change.shares) == change.saved, change
        assert all(share.low <= share.nano <= share.high for share in change.shares), change
    assert outcome.priced == len(priced)
    assert outcome.before == sum(c.before or 0 for c in priced)
    assert outcome.after == sum(c.after or 0 for c in priced)
    assert sum(lever.nano for lever in outcome.levers) == outcome.before - outcome.after
    assert outcome.unpriced_then == sum(c.before is None for c in told.changes.values())
    assert outcome.unpriced_now == sum(c.after is None for c in told.changes.values())
    for name in ("day", "model"):
        groups = outcome.by[name]
        sums = [
            sum(values)
            for values in zip(*((g.calls, g.priced, g.before, g.after) for g in groups), strict=True)
        ]
        assert sums == [result.calls, outcome.priced, outcome.before, outcome.after], name
