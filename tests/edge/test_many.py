"""Many calls at once: order, failures in place, laziness, tags, and an end that is an end."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import partial, wraps
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costopt.edge.many import amap_calls, map_calls
from costopt.tagging import current, tags


def half(number: int) -> int:
    if number % 2:
        raise ValueError(number)
    return number // 2


async def ahalf(number: int) -> int:
    await asyncio.sleep(0)
    return half(number)


def plain(results: list[Any]) -> list[Any]:
    return [("failed", *result.args) if isinstance(result, Exception) else result for result in results]


def expected(numbers: list[int]) -> list[Any]:
    return [("failed", number) if number % 2 else number // 2 for number in numbers]


@settings(deadline=None)
@given(st.lists(st.integers(0, 99), max_size=30), st.integers(1, 9))
def test_results_stand_in_input_order_and_failures_in_their_place(
    numbers: list[int], concurrency: int
) -> None:
    assert plain(map_calls(half, numbers, concurrency)) == expected(numbers)
    assert plain(asyncio.run(amap_calls(ahalf, numbers, concurrency))) == expected(numbers)


def test_a_mapping_is_keyword_arguments() -> None:
    def joined(a: str, b: str = "-") -> str:
        return a + b

    assert map_calls(joined, [{"a": "1", "b": "2"}, {"a": "3"}, "4"]) == ["12", "3-", "4-"]


def test_requests_are_drawn_only_as_calls_can_begin() -> None:
    begun = threading.Semaphore(0)
    go_on = threading.Event()
    drawn: list[int] = []

    def requests() -> Iterator[int]:
        for number in range(6):
            drawn.append(number)
            yield number

    def call(number: int) -> int:
        begun.release()
        go_on.wait()
        return number

    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.extend(map_calls(call, requests(), 2)))
    thread.start()
    begun.acquire()
    begun.acquire()
    assert len(drawn) == 2
    go_on.set()
    thread.join()
    assert results == list(range(6))


def test_never_more_at_once_than_asked_for() -> None:
    lock = threading.Lock()
    running = most = 0

    def call(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1
        return number

    map_calls(call, range(50), 3)
    assert most <= 3


def test_tags_reach_the_workers_also_those_set_while_drawing() -> None:
    def requests() -> Iterator[int]:
        for number in range(3):
            with tags(step=str(number)):
                yield number

    with tags(agent="planner"):
        seen = map_calls(lambda _: dict(current()), requests())
    assert seen == [{"agent": "planner", "step": str(number)} for number in range(3)]


async def test_tags_reach_the_tasks() -> None:
    async def call(_: int) -> dict[str, str]:
        return dict(current())

    with tags(agent="planner"):
        assert await amap_calls(call, range(2)) == [{"agent": "planner"}] * 2


def test_ctrl_c_stops_what_has_not_begun() -> None:
    called: list[int] = []

    def requests() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        map_calls(called.append, requests(), 1)
    assert called in ([], [1])


def test_a_keyboard_interrupt_inside_a_call_is_no_result() -> None:
    def call(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        map_calls(call, [1])


def test_what_drawing_raises_is_raised_and_leaves_no_thread() -> None:
    def requests() -> Iterator[int]:
        yield 2
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        map_calls(half, requests())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("costopt-map")]


async def test_requests_may_be_drawn_asynchronously() -> None:
    async def requests() -> AsyncIterator[int]:
        for number in (2, 4):
            await asyncio.sleep(0)
            yield number

    assert await amap_calls(ahalf, requests(), 1) == [1, 2]


async def test_cancelling_cancels_and_settles_all_calls() -> None:
    started = asyncio.Event()
    ended: list[int] = []

    async def call(number: int) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    task = asyncio.ensure_future(amap_calls(call, range(9), 3))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == [0, 1, 2]


def test_wrong_use_is_told_at_once() -> None:
    with pytest.raises(TypeError, match="amap"):
        map_calls(ahalf, [2])
    with pytest.raises(ValueError, match="concurrency"):
        map_calls(half, [2], 0)
    assert map_calls(half, []) == []


class Client:
    """Its methods are wrapped as an SDK wraps its own."""

    def __init__(self) -> None:
        self.paid: list[int] = []

    async def ask(self, number: int) -> int:
        self.paid.append(number)
        return half(number)

    async def __call__(self, number: int) -> int:
        return await self.ask(number)

    @property
    def wrapped(self) -> Callable[[int], Coroutine[Any, Any, int]]:
        @wraps(self.ask)
        def inner(number: int) -> Coroutine[Any, Any, int]:
            return self.ask(number)

        return inner


ASYNC: dict[str, Callable[[Client], Callable[..., Any]]] = {
    "method": lambda client: client.ask,
    "partial": lambda client: partial(client.ask),
    "object": lambda client: client,
    "wrapped": lambda client: client.wrapped,
    "lambda": lambda client: lambda number: client.ask(number),
}


@pytest.mark.parametrize("form", ASYNC)
@pytest.mark.parametrize("concurrency", [1, 8])
def test_map_refuses_an_async_call_before_anything_is_paid_for(form: str, concurrency: int) -> None:
    client = Client()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(TypeError, match="await amap"):
            map_calls(ASYNC[form](client), range(30), concurrency)
    assert client.paid == []


def test_map_keeps_what_was_paid_for_beside_an_awaitable() -> None:
    client = Client()
    first, second = map_calls(lambda number: half(number) if number else client.ask(number), [2, 0], 1)
    assert first == 1
    assert isinstance(second, TypeError)


@pytest.mark.parametrize("form", ASYNC)
async def test_amap_awaits_an_async_call_of_any_form(form: str) -> None:
    assert await amap_calls(ASYNC[form](Client()), [2, 4]) == [1, 2]


async def test_amap_takes_a_plain_result_for_the_result() -> None:
    call: Callable[..., Any] = half
    found = await amap_calls(call, [2, 3, 4])
    assert plain(found) == [1, ("failed", 3), 2]


async def test_amap_lets_a_synchronous_call_hold_up_the_loop_once_only() -> None:
    places: list[threading.Thread] = []

    def call(number: int) -> int:
        places.append(threading.current_thread())
        with tags(step="2"):
            assert current()["agent"] == "planner"
        return half(number)

    with tags(agent="planner"):
        found = await amap_calls(cast("Callable[..., Any]", call), range(0, 20, 2))
    assert found == list(range(10))
    assert places.count(threading.main_thread()) == 1


async def test_amap_makes_what_needs_the_loop_on_the_loop() -> None:
    def call(number: int) -> asyncio.Future[tuple[int, int]]:
        return asyncio.gather(ahalf(number), ahalf(number + 2))

    found: list[Any] = list(await amap_calls(call, [2, 4]))
    assert found == [[1, 2], [2, 3]]
