"""The effects of one call of a replay, in plain words: what was asked of the world, when, and what it answered.

Never a text of a prompt or an answer: models, tokens, money and times only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from costopt import effects as ask
from costopt.effects import Effect
from costopt.money import exact
from costopt.types import Entry, Record, Reply, Usage
from costopt.world.clock import SECOND

#: Characters of a key that are shown.
KEY = 12


class Step(Struct, frozen=True):
    """One effect: `at_ns` after the call came in its answer was there, `waited_ns` after it was asked for. `answer` is
    empty where there is nothing to answer."""

    at_ns: int
    waited_ns: int
    effect: str
    what: str
    answer: str


class Trace:
    """Listens to a replay (as its `watch`) and keeps the steps of one call."""

    def __init__(self, call: str) -> None:
        self.call = call
        self.steps: list[Step] = []
        self._start: int | None = None
        self._last = 0

    def __call__(self, at: int, call: str, effect: Effect[Any], answer: Any) -> None:
        if call != self.call:
            return
        if self._start is None:
            self._start = self._last = at
        what = _ASKED.get(type(effect), _nothing)(effect)
        told = _failed(answer) if isinstance(answer, Exception) else _TOLD.get(type(effect), _nothing)(answer)
        self.steps.append(Step(at - self._start, at - self._last, type(effect).__name__, what, told))
        self._last = at


def _nothing(_: Any) -> str:
    return ""


def _failed(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _key(key: str) -> str:
    return f"key {key[:KEY]}"


def _lookup(effect: ask.Lookup) -> str:
    return _key(effect.key)


def _join(effect: ask.Join) -> str:
    patience = "" if effect.patience_s is None else f", for {effect.patience_s:g} s at most"
    return f"calls in flight with {_key(effect.key)}{patience}"


def _call(effect: ask.Call) -> str:
    request = effect.request
    tokens = "" if request.tokens is None else f", a prompt of {request.tokens:,} tokens by our count"
    return f"{request.model} at {request.provider or 'an unknown provider'}{tokens}"


def _gather(effect: ask.Gather) -> str:
    return f"{_many(effect.size, 'input')}, up to {effect.max_size:,} within {effect.max_wait_s:g} s"


def _scatter(effect: ask.Scatter) -> str:
    sort = "parts" if effect.parts else "nothing"
    return f"{sort} to {_many(len(effect.head.requests), 'call')}"


def _quotas(quotas: Sequence[ask.Quota]) -> str:
    return ", ".join(dict.fromkeys(quota.group for quota in quotas))


def _correct(effect: ask.Correct) -> str:
    return f"{effect.ticket.tokens:,} tokens expected, {effect.tokens:,} used"


def _reserve(effect: ask.Reserve) -> str:
    scopes = ", ".join(f"{claim.scope} (limit {exact(claim.limit)})" for claim in effect.claims)
    return f"{exact(effect.nano)} in {scopes or 'no budget'}"


def _settle(effect: ask.Settle) -> str:
    return f"{exact(effect.nano)} of {exact(effect.hold.nano)} set aside"


def _land(effect: ask.Land) -> str:
    return "the answer for those who wait" if effect.entry else "no answer for those who wait"


def _write(effect: ask.Write) -> str:
    record: Record = effect.record
    receipt = record.receipt
    spent = "" if receipt is None else f", {exact(receipt.cost)}"
    saved = "".join(f", {s.lever} {exact(s.nano, signed=True)}" for s in (receipt.savings if receipt else ()))
    return record.outcome + spent + saved + (f" ({record.error})" if record.error else "")


def _entry(answer: Entry | None) -> str:
    if answer is None:
        return "miss"
    where = f" in {answer.reply.tier}" if answer.reply.tier else ""
    return f"hit{where}, stored {_time(answer.created)}, expires {_time(answer.expires)}"


def _place(answer: ask.Lead | Entry | None) -> str:
    if isinstance(answer, ask.Lead):
        return "the first: it asks"
    return "the leader's answer" if answer else "no answer came: it asks itself"


def _gathered(answer: ask.Head | Reply | None) -> str:
    if isinstance(answer, ask.Head):
        return f"calls for {_many(len(answer.requests), 'call')}"
    return "got its part" if answer else "goes alone"


def _reply(answer: Reply) -> str:
    usage = "no usage told" if answer.usage is None else _usage(answer.usage)
    return f"{answer.status}, {usage}, ended with {answer.finish}"


def _usage(usage: Usage) -> str:
    written = usage.cache_write + usage.cache_write_1h
    cached = [f"{usage.cache_read:,} read from cache"] if usage.cache_read else []
    cached += [f"{written:,} written to cache"] if written else []
    inside = f" ({', '.join(cached)})" if cached else ""
    return f"{usage.prompt:,} prompt tokens{inside}, {usage.output:,} output"


def _time(nano: int) -> str:
    return datetime.fromtimestamp(nano // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


_ASKED: dict[type[Effect[Any]], Callable[[Any], str]] = {
    ask.Sleep: lambda e: f"{e.seconds:g} s",
    ask.Lookup: _lookup,
    ask.Store: lambda e: f"{_key(e.key)}, expires {_time(e.entry.expires)}",
    ask.Join: _join,
    ask.Land: _land,
    ask.Gather: _gather,
    ask.Scatter: _scatter,
    ask.Reserve: _reserve,
    ask.Settle: _settle,
    ask.Admit: lambda e: f"{e.tokens:,} tokens through {_quotas(e.quotas)}",
    ask.Correct: _correct,
    ask.Cool: lambda e: f"{', '.join(e.groups)} for {e.seconds:g} s",
    ask.Call: _call,
    ask.Write: _write,
}
_TOLD: dict[type[Effect[Any]], Callable[[Any], str]] = {
    ask.Now: _time,
    ask.Random: lambda answer: f"{answer:g}",
    ask.Sleep: lambda _: "awake",
    ask.Lookup: _entry,
    ask.Join: _place,
    ask.Gather: _gathered,
    ask.Reserve: lambda _: "set aside",
    ask.Admit: lambda _: "let through",
    ask.Call: _reply,
}
