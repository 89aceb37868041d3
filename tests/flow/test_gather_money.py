"""What merged embeddings cost, whoever leaves and whatever fails on the way: the ledger tells what was billed."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import msgspec
from flow_material import DAILY
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace
from scripted import World, plan, request

from costopt import effects as ask
from costopt import wire
from costopt.drive import Ride, depart
from costopt.errors import Interrupted, UpstreamError
from costopt.flow import compose
from costopt.policy import Batch, Policy, Retry
from costopt.types import Record, Reply, Request
from costopt.world.clock import VirtualClock
from costopt.world.gather import Gatherer
from costopt.world.ledger.words import unpriced

MODEL, PRICE = "text-embedding-3-small", 20
#: Of each text; its own count is no lower, so that a worst case covers it.
TOKENS = 2
#: How a provider takes a call: it answers well, with a row too few, with an error that costs nothing, or never (and
#: bills it or not).
WAYS = ("well", "short", "error", "billed silence", "silence")
PLANS = {
    "plain": plan(Policy(batch=Batch(max_size=64), budgets=DAILY)),
    "retried": plan(Policy(batch=Batch(max_size=64), budgets=DAILY, retry=Retry(attempts=2))),
}


class Caller(Struct, frozen=True):
    """`leaves`: 0 stays, 1 while the window is open, 2 while the merged call is under way, 3 when it goes alone."""

    leaves: int = 0
    inputs: int = 1


class Office(World):
    """Callers of one window, their calls answered when `answer` is told to."""

    def __init__(self, which: str, merged: str, alone: str) -> None:
        super().__init__()
        self.clock_ = VirtualClock()
        self.gatherer = Gatherer(self.clock_)
        self.plan, self.merged, self.alone = PLANS[which], merged, alone
        self.billed = 0
        self.rides: dict[str, Ride[Reply]] = {}
        self.waiting: dict[str, Future[Any]] = {}
        self.asked: list[tuple[Request, Future[Any]]] = []
        self.inputs: dict[str, int] = {}

    def _do(self, effect: ask.Effect[Any]) -> Any:
        match effect:
            case ask.Gather(bucket, sent, size, max_size, max_wait):
                return self.gatherer.gather(bucket, sent, size, max_size, max_wait)
            case ask.Scatter(head, parts):
                return self.gatherer.scatter(head, parts)
            case _:
                return super()._do(effect)

    def comes(self, name: str, inputs: int) -> None:
        body: dict[str, Any] = {"model": MODEL, "input": [f"text {name}"] * inputs}
        sent = replace(request(api="embeddings", **body), id=name, body=body, notes=[])
        self.rides[name] = Ride(compose(self.plan)(sent))
        self.go()

    def perform(self, effect: ask.Effect[Any]) -> Any:
        if isinstance(effect, ask.Call):
            future: Future[Any] = Future()
            self.asked.append((effect.request, future))
            return future
        return self._do(effect)

    def go(self) -> None:
        """Move every ride on as far as it can."""
        for name, ride in self.rides.items():
            while not ride.done:
                waiting = self.waiting.get(name)
                if waiting is not None and not waiting.done():
                    break
                self.waiting.pop(name, None)
                answer = waiting if waiting is not None else self._asked(ride)
                if isinstance(answer, Future) and not answer.done():
                    self.waiting[name] = answer
                    break
                self._tell(ride, answer)

    def _asked(self, ride: Ride[Reply]) -> Any:
        try:
            return self.perform(ride.effect)
        except Exception as failure:  # noqa: BLE001 - why: the flow decides what a failure means
            return failure

    def _tell(self, ride: Ride[Reply], answer: Any) -> None:
        if isinstance(answer, Future):
            answer = answer.exception() or answer.result()
        try:
            ride.tell(answer)
        except (UpstreamError, Interrupted):
            return

    def leave(self, name: str) -> None:
        if not self.rides[name].done:
            depart(self.rides[name], self.perform, self.waiting.pop(name, None))
        self.go()

    def answer(self) -> None:
        """The provider answers all it was asked; who has left pays what it had done for him."""
        asked, self.asked = self.asked, []
        for sent, future in asked:
            size = len(sent.body["input"])
            answer = self.take(sent, self.merged if size > self.inputs[sent.id] else self.alone)
            if not future.cancelled():
                act = future.set_exception if isinstance(answer, Exception) else future.set_result
                act(answer)
        self.go()

    def take(self, sent: Request, way: str) -> Reply | Exception:
        size = len(sent.body["input"])
        self.billed += size * TOKENS * PRICE * (way in ("well", "short", "billed silence"))
        if way == "error":
            return UpstreamError(Reply(500, body=b"{}", finish="error"))
        if "silence" in way:
            return UpstreamError(None, TimeoutError())
        rows = [{"index": n, "embedding": [0.5]} for n in range(size - (way == "short"))]
        told = {"object": "list", "model": MODEL, "data": rows, "usage": {"prompt_tokens": size * TOKENS}}
        return wire.read_body("embeddings", 200, (), msgspec.json.encode(told))

    def serve(self, callers: list[Caller]) -> list[Record]:
        self.inputs = {f"c{n}": caller.inputs for n, caller in enumerate(callers)}
        for name, size in self.inputs.items():
            self.comes(name, size)
        for stage in (1, 2, 3):
            for n, caller in enumerate(callers):
                if caller.leaves == stage:
                    self.leave(f"c{n}")
            if stage == 1:
                self.clock_.advance(1)
                self.go()
            elif stage == 2:
                self.answer()
        while self.asked:
            self.answer()
        assert all(ride.done for ride in self.rides.values())
        return self.records

    def known(self) -> int:
        return sum(record.receipt.cost or 0 for record in self.records if record.receipt)

    def unpriced(self) -> bool:
        return any(unpriced(record.outcome, record.receipt) for record in self.records)


callers = st.lists(
    st.builds(Caller, st.sampled_from([0, 0, 0, 1, 2, 3]), st.integers(1, 3)), min_size=1, max_size=6
)


@given(callers, st.sampled_from(sorted(PLANS)), st.sampled_from(WAYS), st.sampled_from(WAYS))
def test_the_ledger_tells_what_was_billed(some: list[Caller], which: str, merged: str, alone: str) -> None:
    office = Office(which, merged, alone)
    records = office.serve(some)
    assert sorted(record.request.id for record in records) == sorted(office.inputs), "one record each"
    assert office.known() <= office.billed
    assert office.known() == office.billed or office.unpriced()
    assert office.spent >= office.billed and not office.held, "budgets take what nobody knows at its worst"
