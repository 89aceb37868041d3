"""Streams through a wrapped litellm: played back as they came, left, cut off."""

from __future__ import annotations

import asyncio

import pytest
from edge.litellm_material import Desk, litellm, said, told


def test_a_stream_repeated_is_the_same_stream(shop: Desk) -> None:
    live = shop.completion(stream=True, **shop.ask())
    assert isinstance(live, litellm.CustomStreamWrapper)
    assert live.model == "gpt-4o-mini"
    first = list(live)
    again = shop.completion(stream=True, **shop.ask())
    assert isinstance(again, litellm.CustomStreamWrapper)
    assert (again.model, again.custom_llm_provider) == (live.model, live.custom_llm_provider)
    second = list(again)
    assert shop.calls == 1 and len(first) > 3
    assert {type(chunk) for chunk in second} == {litellm.ModelResponseStream}
    assert [said(chunk) for chunk in first] == [said(chunk) for chunk in second]
    assert told(live)["cache"] == "miss" and float(told(live)["cost"]) > 0
    assert told(again)["cache"] == "memory" and float(told(again)["cost"]) == 0


def test_a_stream_and_a_plain_call_share_their_answer(shop: Desk) -> None:
    chunks = list(shop.completion(stream=True, **shop.ask()))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    plain = shop.completion(**shop.ask())
    assert plain.choices[0].message.content == text
    assert plain.choices[0].finish_reason == "stop"
    assert plain.usage.total_tokens > 0
    other = shop.completion(**shop.ask("Another"))
    streamed = list(shop.completion(stream=True, **shop.ask("Another")))
    assert shop.calls == 2
    assert "".join(c.choices[0].delta.content or "" for c in streamed) == other.choices[0].message.content
    assert (
        litellm.stream_chunk_builder(streamed).choices[0].message.content == other.choices[0].message.content
    )


def test_usage_comes_exactly_where_it_is_asked_for(shop: Desk) -> None:
    wanting = {"stream": True, "stream_options": {"include_usage": True}}
    with_usage = list(shop.completion(**wanting, **shop.ask()))
    without = list(shop.completion(stream=True, **shop.ask()))
    again = list(shop.completion(**wanting, **shop.ask()))
    assert shop.calls == 1
    assert with_usage[-1].usage.total_tokens == again[-1].usage.total_tokens > 0
    assert [said(chunk) for chunk in without] == [said(chunk) for chunk in with_usage[:-1]]
    assert len(again) == len(with_usage)
    assert again[-1].choices[0].delta.content is None
    assert shop.facts()[0].usage == shop.facts()[-1].usage
    assert not shop.facts()[0].usage.estimated


def test_usage_of_a_stream_without_it_is_counted_and_says_so(shop: Desk) -> None:
    list(shop.completion(stream=True, **shop.ask()))
    usage = shop.facts()[0].usage
    assert usage is not None and usage.estimated and usage.prompt > 0 and usage.output > 0


@pytest.mark.parametrize("to_the_end", [True, False], ids=["read", "left after the last word"])
def test_usage_that_litellm_hides_is_found(shop: Desk, to_the_end: bool) -> None:
    """Anthropic always sends usage; litellm keeps it from callers who did not ask, we keep it for the bill."""
    claude = {"model": "anthropic/claude-haiku-4-5-20251001", "api_base": shop.provider.url}
    live = shop.completion(stream=True, **{**shop.ask(), **claude})
    for chunk in live:
        assert getattr(chunk, "usage", None) is None
        if chunk.choices[0].finish_reason and not to_the_end:
            break
    live.close()
    [fact] = shop.facts()
    assert fact.usage is not None and not fact.usage.estimated
    assert (fact.provider, fact.outcome) == ("anthropic", "ok") and fact.cost
    assert said(shop.completion(**{**shop.ask(), **claude}))["usage"]["prompt_tokens"] == fact.usage.prompt
    assert shop.calls == 1


def test_closing_a_stream_early_is_recorded_as_leaving(shop: Desk) -> None:
    live = shop.completion(stream=True, **shop.ask())
    next(live)
    live.close()
    assert list(live) == []
    [fact] = shop.facts()
    assert fact.outcome == "left" and fact.cost
    shop.completion(stream=True, **shop.ask()).close()
    assert [fact.outcome for fact in shop.facts()] == ["left", "left"]


def test_a_forgotten_stream_is_recorded_too(shop: Desk) -> None:
    for _ in shop.completion(stream=True, **shop.ask()):
        break
    assert [fact.outcome for fact in shop.facts()] == ["left"]


def test_leaving_after_the_last_word_is_not_leaving(shop: Desk) -> None:
    live = shop.completion(stream=True, **shop.ask())
    for chunk in live:
        if chunk.choices[0].finish_reason:
            break
    live.close()
    list(shop.completion(stream=True, **shop.ask()))
    assert [fact.outcome for fact in shop.facts()] == ["ok", "hit"] and shop.calls == 1


def test_an_interrupt_while_streaming(shop: Desk) -> None:
    live = shop.completion(stream=True, **shop.ask())
    with pytest.raises(KeyboardInterrupt):
        for _ in live:
            raise KeyboardInterrupt
    live.close()
    assert [fact.outcome for fact in shop.facts()] == ["left"]


def test_a_broken_stream_raises_what_litellm_raises_and_is_not_kept(shop: Desk) -> None:
    shop.provider.cut(3, times=2)
    with pytest.raises(Exception) as plain:
        list(litellm.completion(stream=True, **shop.ask()))
    with pytest.raises(type(plain.value)) as wrapped:
        list(shop.completion(stream=True, **shop.ask()))
    assert type(wrapped.value) is type(plain.value)
    [fact] = shop.facts()
    assert fact.outcome == "error" and fact.cost
    list(shop.completion(stream=True, **shop.ask()))
    assert shop.calls == 3


async def test_async_streams_share_the_answers_of_plain_ones(shop: Desk) -> None:
    live = await shop.acompletion(stream=True, **shop.ask())
    assert isinstance(live, litellm.CustomStreamWrapper)
    first = [said(chunk) async for chunk in live]
    second = [said(chunk) async for chunk in await shop.acompletion(stream=True, **shop.ask())]
    assert first == second and shop.calls == 1
    assert [said(chunk) for chunk in shop.completion(stream=True, **shop.ask())] == first


async def test_closing_an_async_stream_early(shop: Desk) -> None:
    live = await shop.acompletion(stream=True, **shop.ask())
    await anext(live)
    await live.aclose()
    assert [fact.outcome for fact in shop.facts()] == ["left"]


async def test_a_forgotten_async_stream_is_recorded_too(shop: Desk) -> None:
    async for _ in await shop.acompletion(stream=True, **shop.ask()):
        break
    assert [fact.outcome for fact in shop.facts()] == ["left"]


async def test_cancelling_the_reader_of_a_stream(shop: Desk) -> None:
    live = await shop.acompletion(stream=True, **shop.ask())
    first = asyncio.Event()

    async def read() -> None:
        async for _ in live:
            first.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(read())
    await first.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await live.aclose()
    assert [fact.outcome for fact in shop.facts()] == ["left"]
