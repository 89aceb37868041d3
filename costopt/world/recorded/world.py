"""Performs effects from the past: recorded answers, caches and limits in memory, a clock that moves by events.

One thread, no I/O. The parts that decide (limiter, flight, gatherer, wallet) are the live world's own.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from costopt import effects as ask
from costopt.decide import batch
from costopt.effects import Effect, Head
from costopt.errors import Interrupted
from costopt.plan import EXPECTED_OUTPUT
from costopt.policy import Policy
from costopt.types import Entry, Json, Record, Reply, Request, Usage
from costopt.world import upstream
from costopt.world.clock import SECOND, VirtualClock
from costopt.world.flight import Flight
from costopt.world.gather import Gatherer
from costopt.world.limiter import Limiter
from costopt.world.recorded.cache import RecordedCache
from costopt.world.recorded.past import Past, answered, asked_then, failed_check, trouble, usage_now
from costopt.world.recorded.prompts import PromptCaches
from costopt.world.waiting import give
from costopt.world.wallet import Wallet

#: How long a call takes whose model was never asked in this ledger, ns.
UNKNOWN_LATENCY = SECOND


class Mean:
    """Mean latency (ns) and length (output tokens) of a model's answers so far."""

    def __init__(self) -> None:
        self._calls = self._latency = self._output = 0

    def add(self, past: Past) -> None:
        if past.latency_ns is None or past.fact.usage is None:
            return
        self._calls += 1
        self._latency += past.latency_ns
        self._output += past.fact.usage.output

    @property
    def latency_ns(self) -> int:
        return self._latency // self._calls if self._calls else UNKNOWN_LATENCY

    @property
    def output(self) -> int:
        return self._output // self._calls if self._calls else 0


_NOTHING = Mean()
#: Stands for all models; no model has this name.
_ALL = ""


class EventClock(VirtualClock):
    """Virtual time that moves from event to event; who sleeps is woken by it."""

    def after(self, seconds: float) -> Future[None]:
        future: Future[None] = Future()
        self.call_at(self._time + int(seconds * SECOND), partial(give, future, None))
        return future

    def step(self, end: int | None) -> bool:
        """Do the next thing due until `end` (ns; None: whenever it is). False where there is none."""
        return self._step(end)

    def move_to(self, at: int) -> None:
        self._time = max(self._time, at)


class Recorded:
    """One world per replay. Tell it of each call with `begin` before its flow starts; take its record with `end`."""

    def __init__(self, policy: Policy, clock: EventClock, prompts: PromptCaches) -> None:
        self.clock = clock
        self.prompts = prompts
        self.waited_ns = 0
        rules = policy.cache
        self._cache = RecordedCache(rules.memory, policy.disk) if rules else RecordedCache(0, 0)
        self._limiter = Limiter(clock)
        self._flight = Flight()
        self._gatherer = Gatherer(clock)
        self._wallet = Wallet()
        self._open: dict[str, Past] = {}
        self._asked: dict[str, int] = {}
        self._heads: dict[str, Head] = {}
        self._records: dict[str, Record] = {}
        self._sizes: dict[str, int] = {}
        self._means: dict[str, Mean] = {}
        self._do: dict[type[Effect[Any]], Callable[[Any], Any]] = {
            ask.Now: lambda _: self.clock.now(),
            ask.Random: lambda _: 0.5,
            ask.Sleep: lambda e: self.clock.after(e.seconds),
            ask.Lookup: lambda e: self._cache.get(e.key, self.clock.now()),
            ask.Store: self._store,
            ask.Join: self._join,
            ask.Land: lambda e: self._flight.land(e.lead, e.entry),
            ask.Gather: self._gather,
            ask.Scatter: lambda e: self._gatherer.scatter(e.head, e.parts),
            ask.Admit: lambda e: self._limiter.admit(e.quotas, e.tokens),
            ask.Correct: lambda e: self._limiter.correct(e.ticket, e.tokens),
            ask.Cool: lambda e: self._limiter.cool(e.groups, e.seconds),
            ask.Reserve: lambda e: self._wallet.reserve(e.call, e.claims, e.nano, self.clock.now()),
            ask.Settle: lambda e: self._wallet.settle(e.hold, e.nano),
            ask.Write: self._write,
            ask.Call: self._call,
        }

    def perform(self, effect: Effect[Any]) -> Any:
        """The answer to `effect`, or a future that virtual time will answer."""
        return self._do[type(effect)](effect)

    def begin(self, past: Past) -> None:
        self._open[past.request.id] = past
        self.prompts.begin(past)

    def end(self, call: str) -> Record | None:
        """The record of a call that has ended; forget the call. None where its flow broke off."""
        past = self._open.pop(call)
        self._asked.pop(call, None)
        self._heads.pop(call, None)
        for name in (past.fact.served, _ALL):
            self._means.setdefault(name, Mean()).add(past)
        return self._records.pop(call, None)

    def close(self) -> None:
        for part in (self._gatherer, self._limiter, self._flight, self._wallet):
            part.close()

    def _write(self, effect: ask.Write) -> None:
        self._records[effect.record.request.id] = effect.record
        self.waited_ns += effect.record.reply.waited_ns if effect.record.reply else 0

    def _store(self, effect: ask.Store) -> None:
        self._cache.put(effect.key, effect.entry, self._sizes.pop(effect.key, 0))

    def _join(self, effect: ask.Join) -> ask.Lead | Future[Entry | None]:
        place = self._flight.join(effect.key)
        if isinstance(place, Future) and effect.patience_s is not None:
            self.clock.call_at(self.clock.now() + int(effect.patience_s * SECOND), partial(give, place, None))
        return place

    def _gather(self, effect: ask.Gather) -> Future[Head | Reply | None]:
        place = self._gatherer.gather(
            effect.bucket, effect.request, effect.size, effect.max_size, effect.max_wait_s
        )
        place.add_done_callback(partial(self._keep_head, effect.request.id))
        past = self._open[effect.request.id]
        return self._leaving(place, past) if past.left_waiting else place

    def _leaving(self, place: Future[Head | Reply | None], past: Past) -> Future[Head | Reply | None]:
        """`place`, unless it comes later than its caller left then: so he does now."""
        answer: Future[Head | Reply | None] = Future()

        def arrived(_: object) -> None:
            if place.cancelled():
                answer.set_exception(Interrupted(None, sent=False))
            else:
                answer.set_result(place.result())

        place.add_done_callback(arrived)
        self.clock.call_at(self.clock.now() + self._latency(past), place.cancel)
        return answer

    def _keep_head(self, call: str, place: Future[Head | Reply | None]) -> None:
        """Who asks for several is answered for several, see `_merged`."""
        head = None if place.cancelled() else place.result()
        if isinstance(head, Head) and len(head.requests) > 1:
            self._heads[call] = head

    def _call(self, effect: ask.Call) -> Future[Reply]:
        request = effect.request
        head = self._heads.pop(request.id, None)
        answer = self._merged(head) if head else self._answer(request)
        past = self._open[request.id]
        future: Future[Reply] = Future()
        tell = (
            partial(give, future, answer)
            if isinstance(answer, Reply)
            else partial(future.set_exception, answer)
        )
        self.clock.call_at(self.clock.now() + self._latency(past), tell)
        return future

    def _latency(self, past: Past) -> int:
        if past.latency_ns is not None:
            return past.latency_ns
        return self._means.get(past.fact.served, _NOTHING).latency_ns

    def _answer(self, request: Request) -> Reply | Exception:
        past = self._open[request.id]
        fact = past.fact
        nth = self._asked[request.id] = self._asked.get(request.id, -1) + 1
        self._sizes[request.key] = past.size
        if request.provider != fact.provider:
            upstream.check(request)
        if failed := failed_check(fact, request, nth):
            return answered(past, failed.usage, failed.model, "unknown")
        if fact.usage is None and (failure := trouble(past, None)):
            return failure  # nobody read this prompt, so no cache has it; and what another model had said nobody knows
        prompt = past.sent(request)
        now = self.prompts.now(past, request, prompt, self.clock.now())
        then = fact.usage or self._guess(past)
        same = request.model in asked_then(fact)
        seen = self.prompts.then(past) if same else None
        usage = usage_now(then, prompt, seen.split if seen else None, now)
        served = fact.served if same else request.model
        return trouble(past, usage if fact.usage else None, served) or answered(past, usage, served)

    def _guess(self, past: Past) -> Usage:
        """For a call that nobody answered then: its prompt, and as long an answer as its model, or else all models,
        gave on average so far."""
        outputs = [
            mean.output
            for name in (past.fact.served, _ALL)
            if (mean := self._means.get(name)) and mean.output
        ]
        return Usage(input=past.whole, output=outputs[0] if outputs else EXPECTED_OUTPUT, estimated=True)

    def _merged(self, head: Head) -> Reply | Exception:
        """One answer for all embeddings merged: their usage added up, vectors left out. The parts of callers who left
        meanwhile stand with the head's call."""
        mine, *others = [self._answer(request) for request in head.requests]
        if not isinstance(mine, Reply):
            return mine
        prompt = mine.usage.prompt if mine.usage else 0
        lost = iter(self._open[head.requests[0].id].fact.attempts)
        for request, reply in zip(head.requests[1:], others, strict=True):
            if isinstance(reply, Reply):
                prompt += reply.usage.prompt if reply.usage else 0
            elif isinstance(reply, Interrupted):
                part = next(lost, None)
                prompt += part.usage.prompt if part else self._open[request.id].whole
            else:
                return reply
        rows: list[Json] = [{"index": n, "embedding": []} for n in range(sum(map(batch.size, head.requests)))]
        counts = {"prompt_tokens": prompt, "total_tokens": prompt}
        body = msgspec.json.encode({"object": "list", "data": rows, "usage": counts})
        return replace(mine, body=body, usage=Usage(input=prompt))
