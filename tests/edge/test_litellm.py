"""`wrap` with the real litellm against a provider on loopback."""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from edge.litellm_material import CACHING, MODEL, Desk, desk, litellm, said, told

import costopt
from costopt.errors import Closed, UnsupportedClient
from costopt.policy import Policy


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


def test_arguments_by_position_are_those_by_name(shop: Desk) -> None:
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


async def test_async_calls_share_the_answers_of_plain_ones(shop: Desk) -> None:
    first = await shop.acompletion(**shop.ask())
    again = await shop.acompletion(**shop.ask())
    assert said(first) == said(again) and shop.calls == 1
    assert said(shop.completion(**shop.ask())) == said(first)


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


def test_a_closed_optimizer_says_so(tmp_path: Path) -> None:
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


def test_litellms_own_function_is_known_where_a_wrapped_one_stands_for_it(
    shop: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = litellm.completion
    monkeypatch.setattr(litellm, "completion", shop.completion)
    shop.optimizer.wrap(original)(**shop.ask())
    shop.optimizer.wrap(litellm.completion)(**shop.ask())
    assert [fact.outcome for fact in shop.facts()] == ["ok", "hit"]


def test_a_wrapped_client_given_to_litellm_runs_the_flow_once(shop: Desk) -> None:
    openai = pytest.importorskip("openai")
    there = {"base_url": shop.provider.base_url, "api_key": "sk-test", "max_retries": 0}
    with shop.optimizer.wrap(openai.OpenAI(**there)) as client:
        first, again = (shop.completion(**shop.ask(), client=client) for _ in range(2))
    assert said(first) == said(again) and shop.calls == 1
    assert [fact.outcome for fact in shop.facts()] == ["ok", "hit"]
