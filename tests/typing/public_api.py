"""The public API as a user's type checker sees it. Checked by mypy and pyright, never run."""

from typing import assert_type

from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI
from openai.types.chat import ChatCompletion

import costopt
from costopt.replaying import Replay


def wrap_keeps_the_type() -> None:
    assert_type(costopt.wrap(OpenAI()), OpenAI)
    assert_type(costopt.wrap(AsyncOpenAI(), policy="thrifty"), AsyncOpenAI)
    assert_type(costopt.wrap(Anthropic(), "policy.yaml"), Anthropic)
    with costopt.Optimizer({"version": 1}, ledger="spend", reload=True) as optimizer:
        assert_type(optimizer, costopt.Optimizer)
        assert_type(optimizer.wrap(AzureOpenAI(api_version="2025-04-01-preview")), AzureOpenAI)
        assert_type(optimizer.wrap(AsyncAzureOpenAI(api_version="2025-04-01-preview")), AsyncAzureOpenAI)
        assert_type(optimizer.wrap(AsyncAnthropic()), AsyncAnthropic)


def map_keeps_the_result(optimizer: costopt.Optimizer, client: OpenAI) -> None:
    def ask(text: str) -> ChatCompletion:
        message = {"role": "user", "content": text}
        return client.chat.completions.create(model="gpt-4o-mini", messages=[message])  # type: ignore[list-item] # pyright: ignore[reportArgumentType]

    assert_type(optimizer.map(ask, ["a", "b"]), list[ChatCompletion | Exception])


async def async_blocks() -> None:
    async with costopt.Optimizer(costopt.Policy()) as optimizer:
        assert_type(optimizer, costopt.Optimizer)


def tags_and_errors() -> None:
    with costopt.tags(agent="planner", user="42"):
        pass
    errors: list[type[costopt.CostoptError]] = [
        costopt.BudgetExceeded,
        costopt.BudgetUnavailable,
        costopt.StoreFailed,
        costopt.InvalidControl,
        costopt.Closed,
        costopt.LedgerError,
        costopt.LimitExceeded,
        costopt.NoModel,
        costopt.PolicyError,
        costopt.PromptTooLong,
        costopt.UnknownPrice,
        costopt.UnsupportedClient,
    ]
    assert errors


def replay_is_typed() -> None:
    found = costopt.replay("~/.costopt", "balanced", against={"version": 1}, tags={"agent": "planner"})
    assert_type(found, Replay)
    assert_type(found.outcome.saved, int)
    assert_type(found.outcome.interval, tuple[int, int] | None)
    assert_type(found.outcome.top[0].before, int | None)
