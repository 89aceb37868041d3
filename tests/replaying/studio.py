"""Traffic recorded for real, in virtual time: the live world and the flow, with a provider made of plain values."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from replay_material import SECOND, START, request

from costopt import wire
from costopt.effects import Effect, Gather, Store, Work
from costopt.errors import Interrupted, UpstreamError
from costopt.flow import compose
from costopt.plan import Plan
from costopt.policy import Policy
from costopt.replaying.timeline import Timeline
from costopt.types import Reply, Request
from costopt.world.live import World
from costopt.world.pricemap import load
from costopt.world.recorded import EventClock
from costopt.world.tokenizers import counter
from costopt.world.waiting import give


class Ask(Struct, frozen=True):
    """One call a client makes `at` ns, and how its provider takes it: `statuses` of one attempt after the other
    (the last goes on), 0 breaks the connection. `left`: the caller leaves before the end, `patience` (ns): so long
    after it came, if it waits for company or its part then; `cached` is what the provider says it read from its prompt
    cache."""

    body: dict[str, Any]
    at: int = 0
    took: int = SECOND
    statuses: tuple[int, ...] = (200,)
    left: bool = False
    patience: int | None = None
    usage: bool = True
    cached: int = 0
    say: Callable[[Request], str] = lambda sent: f"Paris, says {sent.model}"
    fields: dict[str, Any] = {}


def tell(sent: Request, ask: Ask, prompt: int) -> Reply:
    """The provider's answer as it reads on the wire."""
    text = ask.say(sent)
    if sent.api == "embeddings":
        items = sent.body["input"] if isinstance(sent.body["input"], list) else [sent.body["input"]]
        rows = [{"index": n, "embedding": [0.5]} for n in range(len(items))]
        counts = {"prompt_tokens": prompt, "total_tokens": prompt}
        told: dict[str, Any] = {"object": "list", "data": rows, "model": sent.model, "usage": counts}
    else:
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": 1 + len(text) // 4,
            "prompt_tokens_details": {"cached_tokens": min(ask.cached, prompt)},
        }
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        told = {"id": "x", "object": "chat.completion", "model": sent.model, "choices": [choice]}
        told |= {"usage": usage} if ask.usage else {}
    return wire.read_body(sent.api, 200, (), json.dumps(told).encode())


class Studio:
    """Records `asks` under `policy` into the ledger folder."""

    def __init__(self, folder: Path, policy: Policy, *, provider_counts: Callable[[int], int] = int) -> None:
        self.folder = folder
        self.clock = EventClock(START)
        self.plan = Plan(policy, load(policy.prices), counter())
        self.world = World(policy, folder, self.clock)
        self._live = self.world.performing(self._call)
        self.asked: list[Request] = []
        self._counts = provider_counts
        self._asks: dict[str, Ask] = {}
        self._attempts: dict[str, int] = {}

    def record(self, asks: Sequence[Ask]) -> list[str]:
        """Ids of the calls, in the order of `asks`."""
        timeline = Timeline(self.clock, self._perform)
        numbered = sorted(enumerate(asks), key=lambda item: item[1].at)
        list(timeline.run(map(self._start, numbered)))
        self.world.close()
        return [f"call-{n:06d}" for n in range(len(asks))]

    def _start(self, numbered: tuple[int, Ask]) -> tuple[int, str, Callable[[], Any]]:
        n, ask = numbered
        sent = request(ask.body, n, **ask.fields)
        self._asks[sent.id] = ask
        return START + ask.at, sent.id, lambda: compose(self.plan)(sent)

    def _perform(self, effect: Effect[Any]) -> Any:
        answer = self._live(effect)
        if isinstance(effect, Gather) and (patience := self._asks[effect.request.id].patience) is not None:
            return self._leaving(answer, patience)
        if isinstance(effect, Store):
            self.world.writer.flush()
        return answer.run() if isinstance(answer, Work) else answer

    def _leaving(self, place: Future[Any], patience: int) -> Future[Any]:
        answer: Future[Any] = Future()

        def arrived(_: object) -> None:
            if place.cancelled():
                answer.set_exception(Interrupted(None))
            else:
                answer.set_result(place.result())

        place.add_done_callback(arrived)
        self.clock.call_at(self.clock.now() + patience, place.cancel)
        return answer

    def _call(self, sent: Request) -> Future[Reply]:
        ask = self._asks[sent.id]
        self.asked.append(sent)
        nth = self._attempts[sent.id] = self._attempts.get(sent.id, -1) + 1
        future: Future[Reply] = Future()
        answer = self._answer(sent, ask, ask.statuses[min(nth, len(ask.statuses) - 1)])
        act = (
            partial(future.set_exception, answer)
            if isinstance(answer, Exception)
            else partial(give, future, answer)
        )
        self.clock.call_at(self.clock.now() + ask.took, act)
        return future

    def _answer(self, sent: Request, ask: Ask, status: int) -> Reply | Exception:
        if status == 0:
            return UpstreamError(None, ConnectionError())
        if status != 200:
            headers = (("retry-after", "2"),) if status == 429 else ()
            return UpstreamError(
                Reply(status, headers, b"{}", finish="error"), retry_after_s=2.0 if headers else None
            )
        reply = tell(sent, ask, self._counts(self.plan.prompt_tokens(replace(sent, tokens=None))))
        reply = replace(reply, first_ns=self.clock.now() + ask.took // 2)
        return Interrupted(replace(reply, finish="incomplete")) if ask.left else reply
