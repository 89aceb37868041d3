"""Many calls at once: order, failures in place, laziness, tags, and an end that is an end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

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
