"""A scripted world: the flow's own effects, answered from plain values, with the trace kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import msgspec

from costopt import effects as ask
from costopt import wire
from costopt.drive import Live, Opened, arun, astream, run, stream
from costopt.effects import Effect, Work
from costopt.errors import BudgetExceeded
from costopt.flow import compose
from costopt.plan import Plan
from costopt.policy import Policy
from costopt.types import Entry, Record, Reply, Request
from costopt.world.pricemap import load
from costopt.world.tokenizers import counter

MODEL = "gpt-4o-mini"
E = TypeVar("E", bound=Effect[Any])


def body(text: str = "Capital of France?", **fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], "temperature": 0, **fields}


def request(text: str = "Capital of France?", *, api: Any = "chat", **fields: Any) -> Request:
    content = body(text, **fields)
    return Request(
        id="call-1",
        api=api,
        model=content["model"],
        body=content,
        endpoint="https://api.example/v1/chat/completions",
        provider="openai",
        raw=msgspec.json.encode(content),
        stream=bool(fields.get("stream")),
        notes=[],
    )


def answer(
    text: str = "Paris", *, finish: str = "stop", model: str = MODEL, prompt: int = 12, output: int = 3
) -> Reply:
    usage = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    raw = {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [choice],
        "usage": usage,
    }
    return wire.read_body("chat", 200, (), msgspec.json.encode(raw))


class World:
    """Answers every effect; `shape` says how: as a value, as `Work`, or as a future."""

    def __init__(
        self, call: Callable[[Request], Any] = lambda sent: answer(model=sent.model), shape: str = "value"
    ) -> None:
        self.call = call
        self.shape = shape
        self.trace: list[Effect[Any]] = []
        self.entries: dict[str, Entry] = {}
        self.records: list[Record] = []
        self.held: dict[str, int] = {}
        self.spent = 0
        self.room: int | None = None
        self.clock = 0

    def perform(self, effect: Effect[Any]) -> Any:
        self.trace.append(effect)
        if isinstance(effect, ask.Call):
            return self.call(effect.request)
        do = partial(self._do, effect)
        if self.shape == "work":
            return Work(do)
        return _future(do) if self.shape == "future" else do()

    def aperform(self, effect: Effect[Any]) -> Any:
        if not isinstance(effect, ask.Call):
            return self.perform(effect)
        self.trace.append(effect)
        return self._acall(effect.request)

    async def _acall(self, sent: Request) -> Any:
        await asyncio.sleep(0)
        return self.call(sent)

    def _do(self, effect: Effect[Any]) -> Any:
        match effect:
            case ask.Now():
                self.clock += 1_000_000
                return self.clock
            case ask.Random():
                return 0.5
            case ask.Lookup(key):
                return self.entries.get(key)
            case ask.Store(key, entry):
                self.entries[key] = entry
            case ask.Join(key):
                return ask.Lead(key, 1)
            case ask.Gather(_, first):
                return ask.Head(1, (first,))
            case ask.Scatter():
                return ()
            case ask.Admit(quotas, tokens):
                return ask.Ticket(1, quotas, tokens)
            case ask.Reserve(call, claims, nano):
                return self._reserve(call, claims, nano)
            case ask.Settle(hold, nano):
                self.held.pop(hold.id)
                self.spent += nano
            case ask.Write(record):
                self.records.append(record)
            case _:
                pass
        return None

    def _reserve(self, call: str, claims: tuple[ask.Claim, ...], nano: int) -> ask.Hold:
        if self.room is not None and nano > self.room:
            raise BudgetExceeded("no room", claims[0].scope)
        self.held[call] = nano
        return ask.Hold(call, claims, nano)

    @property
    def steps(self) -> list[str]:
        return [type(effect).__name__ for effect in self.trace]

    @property
    def calls(self) -> list[Request]:
        return [effect.request for effect in self.did(ask.Call)]

    def did(self, kind: type[E]) -> list[E]:
        return [effect for effect in self.trace if isinstance(effect, kind)]


def plan(policy: Policy) -> Plan:
    return Plan(policy, load(policy.prices), counter())


def opened(chunks: Any) -> Opened:
    read = partial(wire.read_events, "chat", 200, (("content-type", "text/event-stream"),))
    return Opened(200, (), chunks, read, lambda: 7)


def serve(sent: Request, policy: Policy, world: World) -> Reply:
    result = run(compose(plan(policy))(sent), world.perform)
    assert isinstance(result, Reply)
    return result


def aserve(sent: Request, policy: Policy, world: World) -> Reply:
    async def main() -> Any:
        with ThreadPoolExecutor(1) as executor:
            return await arun(compose(plan(policy))(sent), world.aperform, executor)

    result = asyncio.run(main())
    assert isinstance(result, Reply)
    return result


def serve_stream(sent: Request, policy: Policy, world: World, chunks: list[bytes]) -> bytes:
    world.call = lambda _: opened(iter(chunks))
    live = run(compose(plan(policy))(sent), world.perform)
    assert isinstance(live, Live)
    return b"".join(stream(live))


def aserve_stream(sent: Request, policy: Policy, world: World, chunks: list[bytes]) -> bytes:
    async def source() -> Any:
        for chunk in chunks:
            await asyncio.sleep(0)
            yield chunk

    async def main() -> bytes:
        world.call = lambda _: opened(source())
        with ThreadPoolExecutor(1) as executor:
            live = await arun(compose(plan(policy))(sent), world.aperform, executor)
            assert isinstance(live, Live)
            return b"".join([chunk async for chunk in astream(live, executor)])

    return asyncio.run(main())


def live_of(sent: Request, policy: Policy, world: World, chunks: Iterator[bytes]) -> Live:
    world.call = lambda _: opened(chunks)
    live = run(compose(plan(policy))(sent), world.perform)
    assert isinstance(live, Live)
    return live


def _future(do: Callable[[], Any]) -> Future[Any]:
    future: Future[Any] = Future()
    try:
        future.set_result(do())
    except Exception as error:  # noqa: BLE001 - why: a future carries any failure
        future.set_exception(error)
    return future
