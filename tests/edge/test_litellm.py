"""`wrap` with the real litellm against a provider on loopback."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from edge.litellm_material import CACHING, MODEL, Desk, desk, litellm, said
from msgspec.structs import replace
from pydantic import BaseModel

import costopt
from costopt.errors import BudgetExceeded, Closed, UnsupportedClient
from costopt.policy import Batch, Budget, Cascade, Limit, Model, Policy, Retry, Route, Trim


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as made:
        yield made


def told(answer: Any) -> dict[str, str]:
    found: dict[str, str] = answer._hidden_params["costopt"]
    return found


# what comes back


def test_a_repeat_costs_nothing_and_looks_the_same(shop: Desk) -> None:
    first, again = (shop.completion(**shop.ask()) for _ in range(2))
    assert shop.calls == 1
    assert type(first) is type(again) is litellm.ModelResponse
    assert said(first) == said(again)
    assert told(first)["cache"] == "miss" and told(again)["cache"] == "memory"
    assert float(told(again)["cost"]) == 0 and told(again)["saved"] == told(first)["cost"]
    assert again._hidden_params["response_cost"] == 0.0


def test_the_cost_is_litellms_own(shop: Desk) -> None:
    answer = shop.completion(**shop.ask())
    assert float(told(answer)["cost"]) == pytest.approx(answer._hidden_params["response_cost"], rel=1e-9)
    fact = shop.facts()[0]
    assert (fact.provider, fact.asked, fact.outcome) == ("openai", "gpt-4o-mini", "ok")
    assert fact.usage is not None and not fact.usage.estimated
    assert fact.usage.prompt == answer.usage.prompt_tokens


def test_completion_cost_of_a_hit_is_what_the_tokens_would_cost(shop: Desk) -> None:
    """litellm prices the usage it sees; that a hit was free stands in the hidden params."""
    first, again = (shop.completion(**shop.ask()) for _ in range(2))
    assert litellm.completion_cost(again) == litellm.completion_cost(first) > 0


def test_a_miss_is_litellms_own_object(shop: Desk) -> None:
    answer = shop.completion(**shop.ask())
    assert "litellm_call_id" in answer._hidden_params


def test_changing_an_answer_changes_no_other(shop: Desk) -> None:
    first = shop.completion(**shop.ask())
    text = first.choices[0].message.content
    first.choices[0].message.content = "poison"
    second = shop.completion(**shop.ask())
    second.choices[0].message.content = "poison"
    assert shop.completion(**shop.ask()).choices[0].message.content == text
    assert shop.calls == 1


def test_messages_may_hold_litellms_own_objects(shop: Desk) -> None:
    history: list[Any] = [{"role": "user", "content": "Hello"}]
    reply = shop.completion(**{**shop.ask(), "messages": history}).choices[0].message
    history += [reply, {"role": "user", "content": "And then?"}]
    asked = {**shop.ask(), "messages": history}
    first, again = shop.completion(**asked), shop.completion(**asked)
    assert said(first) == said(again) and shop.calls == 2
    as_dicts = [*history[:1], reply.model_dump(exclude_none=True), history[2]]
    shop.completion(**{**asked, "messages": as_dicts})
    assert shop.calls == 2


def test_positional_arguments(shop: Desk) -> None:
    messages = [{"role": "user", "content": "Where is my order?"}]
    shop.completion(MODEL, messages, **shop.there(), top_k=3)
    shop.completion(**shop.ask(top_k=3))
    assert shop.calls == 1
    litellm.completion(MODEL, messages, **shop.there(), top_k=3)
    ours, litellms = (body for _, body in shop.provider.requests)
    assert ours == litellms


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"temperature": 0, "stop": ["a"], "n": 2, "seed": 1, "user": "u"},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"extra_body": {"top_k": 3}, "extra_headers": {"x-mine": "1"}, "metadata": {"a": "b"}},
        {"response_format": {"type": "json_object"}, "timeout": 5, "num_retries": 0},
    ],
)
def test_the_provider_gets_what_litellm_alone_would_send(shop: Desk, more: dict[str, Any]) -> None:
    for function in (litellm.completion, shop.completion):
        answer = function(**shop.ask(**more))
        if more.get("stream"):
            list(answer)
    (bare_path, bare), (path, ours) = shop.provider.requests
    assert (path, ours) == (bare_path, bare)
    assert shop.provider.headers[0] == shop.provider.headers[1]


def test_the_call_shape_is_kept() -> None:
    with costopt.Optimizer(Policy(ledger=None)) as optimizer:
        for function in (litellm.completion, litellm.acompletion, litellm.embedding, litellm.aembedding):
            wrapped = optimizer.wrap(function)
            assert inspect.signature(wrapped) == inspect.signature(function)
            assert wrapped.__name__ == function.__name__
            assert inspect.iscoroutinefunction(wrapped) is function.__name__.startswith("a")


def test_litellm_itself_is_untouched(shop: Desk) -> None:
    shop.completion(**shop.ask())
    for _ in range(2):
        litellm.completion(**shop.ask())
    assert shop.calls == 3


# streams


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


# async


async def test_async_calls(shop: Desk) -> None:
    first = await shop.acompletion(**shop.ask())
    again = await shop.acompletion(**shop.ask())
    assert said(first) == said(again) and shop.calls == 1
    assert said(shop.completion(**shop.ask())) == said(first)


async def test_async_streams(shop: Desk) -> None:
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


async def test_cancelling_an_async_call(shop: Desk) -> None:
    shop.provider.hang()
    task = asyncio.ensure_future(shop.acompletion(**shop.ask()))
    while not shop.calls:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [fact.outcome for fact in shop.facts()] == ["left"]


def test_threads_and_event_loops_share_one_wrapped_function(shop: Desk) -> None:
    def sync(number: int) -> str:
        return str(shop.completion(**shop.ask(f"question {number % 4}")).choices[0].message.content)

    def looped(number: int) -> str:
        async def call() -> str:
            answer = await shop.acompletion(**shop.ask(f"question {number % 4}"))
            return str(answer.choices[0].message.content)

        return asyncio.run(call())

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda n: (sync if n % 2 else looped)(n), range(24)))
    assert [len({*found[n::4]}) for n in range(4)] == [1] * 4
    assert len(set(found)) == 4
    assert shop.calls == 4


# embeddings


def test_embeddings(shop: Desk) -> None:
    first, again = (shop.embedding(**shop.embed("a", "b")) for _ in range(2))
    assert type(first) is type(again) is litellm.EmbeddingResponse
    assert said(first) == said(again) and len(again.data) == 2
    assert shop.calls == 1 and float(told(again)["cost"]) == 0


async def test_async_embeddings(shop: Desk) -> None:
    first = await shop.aembedding("openai/text-embedding-3-small", ["a", "b"], **shop.there())
    again = await shop.aembedding(**shop.embed("a", "b"))
    assert said(first) == said(again)
    assert shop.calls == 1


def test_embeddings_of_several_callers_go_out_as_one_call(tmp_path: Path) -> None:
    policy = Policy(name="test", batch=Batch(max_size=4, max_wait=60.0))
    with desk(tmp_path, policy) as shop, ThreadPoolExecutor(4) as pool:
        texts = ["a", "b", "c", "d"]
        merged = [answer.data for answer in pool.map(lambda text: shop.embedding(**shop.embed(text)), texts)]
        assert shop.calls == 1
        alone = [litellm.embedding(**shop.embed(text)).data for text in texts]
        assert [data[0]["embedding"] for data in merged] == [data[0]["embedding"] for data in alone]
        assert all(len(data) == 1 and data[0]["index"] == 0 for data in merged)


async def test_what_litellms_own_cache_answers_is_not_billed(shop: Desk) -> None:
    fresh = {"caching": True, "extra_headers": {"x-costopt-cache": "off"}}
    litellm.enable_cache(type="local")
    try:
        for _ in range(2):
            await shop.aembedding(**shop.embed("a", "b"), **fresh)
    finally:
        litellm.disable_cache()
    assert shop.calls == 1
    first, second = (fact.cost for fact in shop.facts())
    assert first and second == 0


# what goes wrong


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_litellms_errors_are_raised_as_themselves(shop: Desk, status: int) -> None:
    shop.provider.fail(status, times=2)
    with pytest.raises(Exception) as plain:
        litellm.completion(**shop.ask())
    with pytest.raises(type(plain.value)) as wrapped:
        shop.completion(**shop.ask())
    assert type(wrapped.value) is type(plain.value)
    assert wrapped.value.status_code == status  # type: ignore[attr-defined]
    [fact] = shop.facts()
    assert (fact.outcome, fact.status, fact.error) == ("error", status, f"HTTP {status}")
    shop.completion(**shop.ask())
    assert shop.calls == 3


def test_a_failed_call_is_tried_again_where_the_policy_says_so(tmp_path: Path) -> None:
    policy = replace(CACHING, retry=Retry(attempts=2, base=0.001))
    with desk(tmp_path, policy) as shop:
        shop.provider.fail(500)
        shop.completion(**shop.ask())
        assert shop.calls == 2
        shop.provider.fail(400)
        with pytest.raises(litellm.exceptions.BadRequestError):
            shop.completion(**shop.ask("Other"))
        assert shop.calls == 3


def test_wrong_arguments_are_litellms_to_refuse(shop: Desk) -> None:
    for wrapped, own in ((shop.completion, litellm.completion), (shop.embedding, litellm.embedding)):
        with pytest.raises(Exception) as plain:
            own()
        with pytest.raises(type(plain.value)):
            wrapped()
    with pytest.raises(litellm.exceptions.BadRequestError, match="Provider NOT provided"):
        shop.completion(model="nobody-knows-me", messages=[])


def test_a_budget_refuses_before_money_is_spent(tmp_path: Path) -> None:
    policy = Policy(name="test", budgets=(Budget(limit=1000, window="day"),))
    with desk(tmp_path, policy) as shop:
        with pytest.raises(BudgetExceeded):
            shop.completion(**shop.ask())
        assert shop.calls == 0
        assert [fact.outcome for fact in shop.facts()] == ["refused"]


def test_a_closed_optimizer(tmp_path: Path) -> None:
    with desk(tmp_path) as shop:
        pass
    with pytest.raises(Closed):
        shop.completion(**shop.ask())


def test_a_callable_wrapped_alone_closes_what_it_opened(tmp_path: Path) -> None:
    alone: Any = costopt.wrap(litellm.completion, CACHING, ledger=tmp_path)
    asked = {"model": MODEL, "messages": [], "mock_response": "Hi"}
    assert alone(**asked).choices[0].message.content == "Hi"
    alone.close()
    with pytest.raises(Closed):
        alone(**asked)


def test_what_cannot_be_wrapped_says_so(shop: Desk) -> None:
    router = litellm.Router(model_list=[{"model_name": "a", "litellm_params": {"model": MODEL}}])
    for other in (litellm.text_completion, litellm.token_counter, router.completion):
        with pytest.raises(UnsupportedClient, match="completion, acompletion, embedding and aembedding"):
            shop.optimizer.wrap(other)


def test_wrapping_twice_runs_the_flow_once(shop: Desk) -> None:
    twice = shop.optimizer.wrap(shop.completion)
    twice(**shop.ask())
    assert len(shop.facts()) == 1


# what the flow changes


def test_control_and_tags_travel_in_headers_and_stay_here(shop: Desk) -> None:
    headers = {"x-costopt-tags": "agent=planner", "X-Costopt-Cache": "off", "x-mine": "1"}
    for _ in range(2):
        with costopt.tags(user="42"):
            shop.completion(**shop.ask(extra_headers=headers))
    assert shop.calls == 2
    sent = shop.provider.headers[-1]
    assert sent["x-mine"] == "1" and not [name for name in sent if "costopt" in name]
    assert shop.facts()[-1].tags == {"agent": "planner", "user": "42"}


def test_litellms_own_cache_controls_are_understood(shop: Desk) -> None:
    shop.completion(**shop.ask())
    shop.completion(**shop.ask(cache={"no-cache": True}))
    assert shop.calls == 2
    shop.completion(**shop.ask())
    assert shop.calls == 2


def test_trimming_edits_the_messages_that_litellm_sends(tmp_path: Path) -> None:
    policy = Policy(name="test", trim=Trim(budget=400, keep=200))
    with desk(tmp_path, policy) as shop:
        history: list[dict[str, Any]] = [{"role": "user", "content": "Begin"}]
        for number in range(20):
            history += [
                {"role": "assistant", "content": f"answer {number} " + "word " * 30},
                {"role": "user", "content": f"question {number}"},
            ]
        shop.completion(**{**shop.ask(), "messages": history})
        _, body = shop.provider.requests[-1]
        assert len(body["messages"]) < len(history)
        assert body["messages"][0] == history[0] and body["messages"][-1] == history[-1]
        assert len(history) == 41


def test_routing_names_the_model_as_litellm_wants_it(tmp_path: Path) -> None:
    models = (Model("openai/gpt-4o-mini"), Model("openai/gpt-4o"))
    route = Route(strategy="cheapest", cascade=Cascade(check="json"))
    with desk(tmp_path, Policy(name="test", models=models, route=route)) as shop:
        answer = shop.completion(**{**shop.ask(), "model": "auto"})
        asked = [body["model"] for _, body in shop.provider.requests]
        assert asked == ["gpt-4o-mini", "gpt-4o"]
        assert answer.model == "gpt-4o"
        [fact] = shop.facts()
        assert fact.asked == "auto" and len(fact.attempts) == 1


def test_a_stream_that_must_be_checked_is_held_back_and_played_back(tmp_path: Path) -> None:
    models = (Model("openai/gpt-4o-mini"), Model("openai/gpt-4o"))
    route = Route(strategy="cheapest", cascade=Cascade(check="non_empty"))
    with desk(tmp_path, Policy(name="test", models=models, route=route)) as shop:
        chunks = list(shop.completion(stream=True, **{**shop.ask(), "model": "auto"}))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert shop.calls == 1


def test_a_429_is_a_429_for_the_limiter_too(tmp_path: Path) -> None:
    policy = Policy(
        name="test",
        limits=(Limit(group="openai", requests=100),),
        retry=Retry(attempts=2, base=0.001),
    )
    with desk(tmp_path, policy) as shop:
        shop.provider.fail(429, retry_after=0.01)
        shop.completion(**shop.ask())
        decisions = [decision.what for decision in shop.facts()[0].decisions if decision.layer == "retry"]
        assert shop.calls == 2 and "HTTP 429" in decisions[0]


class Order(BaseModel):
    number: int
    note: str = ""


def test_a_pydantic_response_format_reaches_litellm_as_it_is(shop: Desk) -> None:
    first, again = (shop.completion(**shop.ask(response_format=Order)) for _ in range(2))
    assert said(first) == said(again) and shop.calls == 1
    assert shop.provider.requests[0][1]["response_format"]["json_schema"]["name"] == "Order"


def test_mock_responses_are_cached_like_any_other(shop: Desk) -> None:
    for text in ("one", "two", "one"):
        answer = shop.completion(model=MODEL, messages=[], mock_response=text)
        assert answer.choices[0].message.content == text
    assert [fact.outcome for fact in shop.facts()] == ["ok", "ok", "hit"]
