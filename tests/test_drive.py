"""One flow, five drivers: the same decisions everywhere, and nobody leaves without settling."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from scripted import (
    World,
    answer,
    aserve,
    aserve_stream,
    live_of,
    opened,
    plan,
    request,
    serve,
    serve_stream,
)

from costopt import wire
from costopt.drive import Live, arun, astream, lockstep, run, stream
from costopt.effects import Admit, Call, Correct, Flow, Join, Land, Settle, Work, Write
from costopt.errors import Interrupted, UpstreamError
from costopt.flow import compose
from costopt.policy import Budget, Cache, Limit, Policy
from costopt.types import Reply
from costopt.world.flight import Flight

DOLLAR = 10**9
FULL = Policy(
    name="full",
    cache=Cache(),
    budgets=(Budget(DOLLAR, "day"),),
    limits=(Limit("openai", requests=10, tokens=100_000),),
)


def chunks_of(text: str = "Paris") -> list[bytes]:
    reply = answer(text)
    events = wire.answer_stream("chat", reply, {"stream": True, "stream_options": {"include_usage": True}})
    return [events[at : at + 17] for at in range(0, len(events), 17)]


@pytest.mark.parametrize("shape", ["value", "work", "future"])
def test_every_driver_takes_the_same_steps(shape: str) -> None:
    worlds = [World(shape=shape) for _ in range(5)]
    alone = replace(FULL, cache=Cache(share=False))  # a stream waits for nobody, nobody for a stream
    streamed = request(stream=True, stream_options={"include_usage": True})
    serve(request(), alone, worlds[0])
    aserve(request(), alone, worlds[1])
    serve_stream(streamed, alone, worlds[2], chunks_of())
    aserve_stream(streamed, alone, worlds[3], chunks_of())
    lockstep([compose(plan(alone))(request())], worlds[4].perform, lambda sent: [answer() for _ in sent])
    steps = [[step for step in world.steps if step != "Call"] for world in worlds]
    assert all(each == steps[0] for each in steps)
    assert all(world.spent == worlds[0].spent > 0 for world in worlds)


def test_a_stream_passes_every_byte_and_is_stored_for_a_plain_caller() -> None:
    world = World()
    chunks = chunks_of()
    sent = request(stream=True, stream_options={"include_usage": True})
    assert serve_stream(sent, FULL, world, chunks) == b"".join(chunks)
    reply = serve(request(), FULL, world)
    assert reply.tier == "memory"
    assert msgspec.json.decode(wire.answer_body("chat", reply))["choices"][0]["message"]["content"] == "Paris"


def test_closing_a_stream_early_settles_and_records_what_had_arrived() -> None:
    world = World()
    chunks = chunks_of("Paris is the capital of France, and has been for a long time.")
    body = stream(live_of(request(stream=True), FULL, world, iter(chunks)))
    next(body)
    body.close()  # type: ignore[attr-defined]
    assert world.held == {}
    assert world.records[0].outcome == "left"
    assert world.records[0].receipt is not None
    assert world.records[0].receipt.usage.estimated
    assert world.entries == {}


def test_closing_after_the_last_event_is_a_complete_answer() -> None:
    world = World()
    chunks = chunks_of()
    live = live_of(request(stream=True), FULL, world, iter([*chunks, b""]))
    body = stream(live)
    for _ in chunks:
        next(body)
    body.close()  # type: ignore[attr-defined]
    assert world.records[0].outcome == "ok"
    assert len(world.entries) == 1


def test_a_stream_nobody_reads_is_settled_when_left() -> None:
    world = World()
    live = live_of(request(stream=True), FULL, world, iter(chunks_of()))
    live.leave()
    live.leave()
    assert world.held == {}
    assert [record.outcome for record in world.records] == ["left"]


def test_a_stream_that_breaks_is_an_error_settled_for_what_came() -> None:
    def breaking() -> Iterator[bytes]:
        yield chunks_of()[0]
        raise ConnectionResetError("gone")

    world = World()
    with pytest.raises(ConnectionResetError):
        b"".join(stream(live_of(request(stream=True), FULL, world, breaking())))
    assert world.held == {}
    assert world.records[0].outcome == "error"
    assert world.entries == {}


def test_a_stream_cut_short_without_an_exception_is_not_kept() -> None:
    world = World()
    assert serve_stream(request(stream=True), FULL, world, chunks_of()[:2]) == b"".join(chunks_of()[:2])
    assert world.records[0].outcome == "error"
    assert world.entries == {}


def test_an_interrupt_during_the_call_settles_and_goes_on_up() -> None:
    def interrupted(_: Any) -> Reply:
        raise KeyboardInterrupt

    world = World(interrupted)
    with pytest.raises(KeyboardInterrupt):
        serve(request(), FULL, world)
    assert world.steps[-2:] == ["Now", "Write"]
    assert world.held == {}
    assert [record.outcome for record in world.records] == ["left"]


async def cancelled_while(asking: Future[Any], world: World, then: Callable[[], None] = lambda: None) -> None:
    """Cancel a task while the provider is being asked, as `asking` tells; `then` happens after."""

    def perform(effect: Any) -> Any:
        if isinstance(effect, Call):
            world.trace.append(effect)
            return asking
        return world.perform(effect)

    with ThreadPoolExecutor(1) as executor:
        task = asyncio.create_task(arun(compose(plan(FULL))(request()), perform, executor))  # type: ignore[arg-type]
        while "Call" not in world.steps:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        then()


def test_a_cancelled_task_settles() -> None:
    world = World()
    asyncio.run(cancelled_while(Future(), world))
    assert world.held == {}
    assert world.records[0].outcome == "left"


def test_a_cancelled_task_does_not_wait_for_what_still_runs() -> None:
    """The provider is still being asked on another thread: what that comes to is booked when it is there."""
    running: Future[Any] = Future()
    running.set_running_or_notify_cancel()
    world = World()

    def answered() -> None:
        assert world.held
        running.set_result(answer())

    asyncio.run(cancelled_while(running, world, answered))
    assert world.held == {}
    assert world.spent == 12 * 150 + 3 * 600


def test_what_blocks_after_a_cancellation_does_so_on_the_executor() -> None:
    threads: list[str] = []
    world = World(shape="work")

    def perform(effect: Any) -> Any:
        if isinstance(effect, Call):
            world.trace.append(effect)
            return Future()
        if isinstance(effect, Settle):
            return Work(lambda: threads.append(threading.current_thread().name))
        return world.perform(effect)

    async def main() -> None:
        with ThreadPoolExecutor(1, thread_name_prefix="elsewhere") as executor:
            task = asyncio.create_task(arun(compose(plan(FULL))(request()), perform, executor))  # type: ignore[arg-type]
            while "Call" not in world.steps:
                await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    assert threads == ["elsewhere_0"]
    assert world.records[0].outcome == "left"


def test_who_leaves_hears_of_no_other_trouble() -> None:
    world = World()

    def perform(effect: Any) -> Any:
        if isinstance(effect, Call):
            raise KeyboardInterrupt
        if isinstance(effect, Write):
            raise RuntimeError("no disk")
        return world.perform(effect)

    with pytest.raises(KeyboardInterrupt):
        run(compose(plan(FULL))(request()), perform)
    assert world.held == {}


def test_what_was_granted_while_leaving_is_given_back() -> None:
    """A caller cancelled after the hold was made, but before it heard of it, still releases it."""

    async def main() -> World:
        world = World(shape="work")
        with ThreadPoolExecutor(1) as executor:
            for cancel_after in range(1, 12):
                flow = compose(plan(FULL))(request())
                task = asyncio.create_task(arun(flow, world.aperform, executor))  # type: ignore[arg-type]
                before = len(world.trace)
                while len(world.trace) < before + cancel_after and not task.done():
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        return world

    assert asyncio.run(main()).held == {}


def test_a_caller_who_left_waits_for_nothing() -> None:
    """Effects that may wait are not performed after the caller is gone."""

    def flow() -> Flow[Reply]:
        try:
            return (yield from Call(request()))
        except Interrupted:
            yield from Admit((), 1)
            raise

    performed: list[str] = []

    def perform(effect: Any) -> Any:
        performed.append(type(effect).__name__)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(flow(), perform)
    assert performed == ["Call"]


@pytest.mark.parametrize("driver", [serve, aserve])
def test_failures_are_recorded_and_leave_nothing_held(driver: Any) -> None:
    def failing(_: Any) -> Reply:
        raise UpstreamError(Reply(status=500))

    world = World(failing)
    with pytest.raises(UpstreamError):
        driver(request(), FULL, world)
    assert world.held == {}
    assert world.spent == 0
    assert [record.outcome for record in world.records] == ["error"]
    assert {Settle, Correct, Land, Write} <= {type(effect) for effect in world.trace}


def test_one_bad_flow_in_lockstep_fails_alone_and_order_holds() -> None:
    world = World()
    waves: list[int] = []

    def call_many(sent: list[Any]) -> list[Any]:
        waves.append(len(sent))
        return [
            UpstreamError(Reply(status=400)) if "bad" in str(each.body) else answer(str(each.body))
            for each in sent
        ]

    texts = ["one", "bad", "three"]
    flows = [compose(plan(Policy(ledger=None)))(request(text)) for text in texts]
    results = lockstep(flows, world.perform, call_many)
    assert waves == [3]
    assert isinstance(results[1], UpstreamError)
    assert [text in str(each) for text, each in zip(texts, results, strict=True)] == [True, False, True]


def test_an_async_stream_left_early_settles() -> None:
    async def source() -> Any:
        for chunk in chunks_of():
            yield chunk
            await asyncio.sleep(0)

    async def main() -> World:
        world = World()
        world.call = lambda _: opened(source())
        with ThreadPoolExecutor(1) as executor:
            live = await arun(compose(plan(FULL))(request(stream=True)), world.aperform, executor)
            assert isinstance(live, Live)
            body = astream(live, executor)
            await anext(body)
            await body.aclose()
        return world

    world = asyncio.run(main())
    assert world.held == {}
    assert world.records[0].outcome == "left"


def test_flows_in_lockstep_that_wait_for_each_other_go_on() -> None:
    """Identical requests share one call, also when all of them are driven by one thread."""
    world, flight = World(), Flight()

    def perform(effect: Any) -> Any:
        if isinstance(effect, Join):
            return flight.join(effect.key)
        if isinstance(effect, Land):
            return flight.land(effect.lead, effect.entry)
        return world.perform(effect)

    waves: list[int] = []

    def call_many(sent: list[Any]) -> list[Any]:
        waves.append(len(sent))
        return [answer() for _ in sent]

    flows = [compose(plan(Policy(cache=Cache())))(request()) for _ in range(5)]
    results = lockstep(flows, perform, call_many)
    assert waves == [1]
    assert [each.tier for each in results if isinstance(each, Reply)] == ["", *["flight"] * 4]
