"""A wrapped litellm in the place of litellm's own: what litellm's own code asks a stream for is there, live and played
back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from edge.litellm_material import MODEL, Desk, litellm, said, told


@pytest.fixture
def router(shop: Desk, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A Router whose calls go through the wrapped functions; where a model fails it asks `spare`."""
    monkeypatch.setattr(litellm, "completion", shop.completion)
    monkeypatch.setattr(litellm, "acompletion", shop.acompletion)
    names = ("main", "spare")
    params = {"model": MODEL, **shop.there()}
    models = [
        {"model_name": name, "litellm_params": dict(params), "model_info": {"id": name}} for name in names
    ]
    return litellm.Router(model_list=models, num_retries=0, fallbacks=[{"main": ["spare"]}])


def question(text: str = "Where is my order?", **more: Any) -> dict[str, Any]:
    return {"model": "main", "messages": [{"role": "user", "content": text}], "stream": True, **more}


def text_of(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_a_router_streams_a_stored_answer(shop: Desk, router: Any) -> None:
    first = list(router.completion(**question()))
    again = router.completion(**question())
    assert [said(chunk) for chunk in again] == [said(chunk) for chunk in first]
    assert shop.calls == 1 and len(first) > 3
    assert (told(again)["cache"], again._hidden_params["model_id"]) == ("memory", "main")


async def test_a_router_streams_a_stored_answer_async(shop: Desk, router: Any) -> None:
    first = [chunk async for chunk in await router.acompletion(**question())]
    again = await router.acompletion(**question())
    assert [said(chunk) async for chunk in again] == [said(chunk) for chunk in first]
    assert shop.calls == 1 and len(first) > 3
    assert (told(again)["cache"], again._hidden_params["model_id"]) == ("memory", "main")


def test_a_router_stops_reading_a_stored_answer(shop: Desk, router: Any) -> None:
    whole = list(router.completion(**question()))
    stream = router.completion(**question())
    next(stream)
    del stream
    assert text_of(list(router.completion(**question()))) == text_of(whole)
    assert [fact.outcome for fact in shop.facts()] == ["ok", "hit", "hit"]


@pytest.mark.parametrize("after", [0, 3], ids=["before the first chunk", "amidst"])
def test_a_router_sees_a_stream_break_as_it_would(
    shop: Desk, router: Any, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Before the first chunk it asks the spare model; later it raises what the model raised."""

    def outcome() -> tuple[str, str]:
        shop.provider.cut(after)
        try:
            return text_of(list(router.completion(**question()))), ""
        except Exception as error:  # noqa: BLE001 - why: whatever it is, both must raise it
            return "", type(error).__name__

    wrapped, calls = outcome(), shop.calls
    monkeypatch.undo()
    assert wrapped == outcome()
    assert shop.calls == 2 * calls


@pytest.mark.parametrize("after", [0, 3], ids=["before the first chunk", "amidst"])
async def test_a_router_sees_an_async_stream_break_as_it_would(
    shop: Desk, router: Any, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    async def outcome() -> tuple[str, str]:
        shop.provider.cut(after)
        try:
            return text_of([chunk async for chunk in await router.acompletion(**question())]), ""
        except Exception as error:  # noqa: BLE001 - why: whatever it is, both must raise it
            return "", type(error).__name__

    wrapped, calls = await outcome(), shop.calls
    monkeypatch.undo()
    assert wrapped == await outcome()
    assert shop.calls == 2 * calls


def test_a_stored_stream_has_all_that_a_live_one_has(shop: Desk) -> None:
    asked = {"stream": True, "model_info": {"id": "deployment-1"}, **shop.ask()}
    live = shop.completion(**asked)
    first = list(live)
    again = shop.completion(**asked)
    assert told(again)["cache"] == "memory"
    known: dict[str, Any] = vars(live._like)
    assert [name for name in known if not hasattr(again, name)] == []
    assert again.logging_obj.messages == asked["messages"]
    for name in ("model_id", "api_base", "additional_headers"):
        assert name in again._hidden_params
    assert (again.response_id, again.chunks, again.response_uptil_now) == (None, [], "")
    second = [next(again)]
    assert (again.chunks, again.response_id, again.sent_first_chunk) == (second, first[0].id, True)
    second += again
    assert again.chunks == second and again.response_uptil_now == text_of(first)
    assert again.received_finish_reason == live.received_finish_reason == "stop"
    assert live._hidden_params["model_id"] == again._hidden_params["model_id"] == "deployment-1"


def test_the_log_of_a_call_that_has_one_is_its_streams(shop: Desk) -> None:
    list(shop.completion(stream=True, **shop.ask()))
    log: Any = litellm.Logging(
        "gpt-4o-mini", shop.ask()["messages"], True, "completion", datetime.now(), "call-7", "function-7"
    )
    again = shop.completion(stream=True, litellm_logging_obj=log, **shop.ask())
    assert told(again)["cache"] == "memory" and again.logging_obj is log


@pytest.mark.parametrize("times", [0, 1], ids=["live", "stored"])
def test_hidden_params_may_be_changed_and_replaced(shop: Desk, times: int) -> None:
    for _ in range(times):
        list(shop.completion(stream=True, **shop.ask()))
    stream = shop.completion(stream=True, **shop.ask())
    stream._hidden_params["additional_headers"]["x-a"] = "1"
    assert stream._hidden_params["additional_headers"]["x-a"] == "1"
    stream._hidden_params = {**stream._hidden_params, "b": 2}
    list(stream)
    assert stream._hidden_params["b"] == 2 and told(stream)["cache"] == ("memory" if times else "miss")
    assert stream.hidden_params == stream._hidden_params
