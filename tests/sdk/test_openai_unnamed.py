"""Calls whose body names no model: it stands in the URL, or only the provider knows it. They are paid all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ledgers import facts
from sdk.openai_http import LIBRARY, Heard, as_json, openai

import costopt
from costopt.policy import Budget, Cache, Model, Policy, Route

HELLO = [{"role": "user", "content": "Hello"}]
CHAT = {
    "model": "gpt-4o-2024-08-06",
    "choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 100, "completion_tokens": 10},
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "model": "gpt-4o-2024-08-06",
    "status": "completed",
    "output": [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]},
    ],
    "usage": {"input_tokens": 100, "output_tokens": 10},
}
COST = 100 * 2500 + 10 * 10_000


class Provider(Heard):
    def answer(self, request: Any) -> Any:
        return as_json(RESPONSE if request.url.path.endswith("/responses") else CHAT)


@pytest.fixture
def provider() -> Provider:
    return Provider()


def in_the_url(provider: Provider, optimizer: costopt.Optimizer, deployment: str = "gpt-4o") -> Any:
    """As LangChain's AzureChatOpenAI asks where it is told the deployment alone."""
    client = openai.AzureOpenAI(
        api_key="k",
        api_version="2024-10-21",
        azure_endpoint="https://mine.openai.azure.com",
        azure_deployment=deployment,
        http_client=provider.http(),
    )
    return optimizer.wrap(client).chat.completions.create(model=None, messages=HELLO)


def stored_prompt(provider: Provider, optimizer: costopt.Optimizer, **more: Any) -> Any:
    client = optimizer.wrap(openai.OpenAI(api_key="k", http_client=provider.http()))
    return client.responses.create(prompt={"id": "pmpt_1"}, input="x", **more)


def policy(unknown: Any = "reject", limit: int = 10**9) -> Policy:
    return Policy(cache=Cache(), budgets=(Budget(limit, "day", on_unknown_price=unknown),))


def test_the_deployment_of_the_url_is_the_model(provider: Provider, tmp_path: Path) -> None:
    with costopt.Optimizer(policy(), ledger=tmp_path) as optimizer:
        for _ in range(2):
            in_the_url(provider, optimizer)
    assert len(provider.heard) == 1
    assert b'"model":null' in provider.heard[0].content
    paid, hit = facts(tmp_path)
    assert (paid.asked, paid.cost, paid.outcome, hit.outcome, hit.cost) == ("gpt-4o", COST, "ok", "hit", 0)


def test_a_budget_holds_a_call_whose_model_is_in_the_url(provider: Provider, tmp_path: Path) -> None:
    with costopt.Optimizer(policy(limit=1), ledger=tmp_path) as optimizer:
        with pytest.raises(costopt.BudgetExceeded):
            in_the_url(provider, optimizer)
        with pytest.raises(costopt.UnknownPrice, match="my dep has no known price"):
            in_the_url(provider, optimizer, "my%20dep")
    assert provider.heard == []


def test_a_stored_prompt_is_priced_by_the_model_that_answered_and_never_kept(
    provider: Provider, tmp_path: Path
) -> None:
    with costopt.Optimizer(policy("allow"), ledger=tmp_path) as optimizer:
        for _ in range(2):
            assert stored_prompt(provider, optimizer).output_text == "Hi"
    assert len(provider.heard) == 2
    for fact in facts(tmp_path):
        assert (fact.asked, fact.served, fact.cost, fact.outcome) == ("", "gpt-4o-2024-08-06", COST, "ok")
        assert any("it names no model" in note.what for note in fact.decisions)


def test_what_stored_prompts_cost_is_booked(provider: Provider, tmp_path: Path) -> None:
    with costopt.Optimizer(policy("allow", limit=COST), ledger=tmp_path) as optimizer:
        stored_prompt(provider, optimizer)
        with pytest.raises(costopt.BudgetExceeded):
            stored_prompt(provider, optimizer, model="gpt-4o-2024-08-06", max_output_tokens=16)


def test_a_budget_that_rejects_unknown_prices_says_that_no_model_is_named(
    provider: Provider, tmp_path: Path
) -> None:
    with costopt.Optimizer(policy(), ledger=tmp_path) as optimizer:
        with pytest.raises(costopt.UnknownPrice, match="the call names no model"):
            stored_prompt(provider, optimizer)
    assert provider.heard == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat/completions", {"model": 3, "messages": HELLO}),
        ("embeddings", {"model": {}, "input": "x"}),
        ("channels/1/messages", {"content": "hello"}),
        ("v1/messages", {"messages": HELLO}),
        ("forms/1/responses", {"answers": []}),
    ],
)
def test_what_asks_no_model_passes_untouched(
    provider: Provider, tmp_path: Path, path: str, body: dict[str, Any]
) -> None:
    with costopt.Optimizer(policy(), ledger=tmp_path) as optimizer:
        front = optimizer.wrap(provider.http())
        answer = front.post(f"https://example.com/{path}", json=body)
        assert "x-costopt-call" not in answer.headers
    assert len(provider.heard) == 1
    assert answer.status_code == LIBRARY.codes.OK


@pytest.mark.parametrize("settings", [{}, {"azure_deployment": "gpt-4o"}], ids=["by model", "by deployment"])
def test_a_cheaper_model_is_asked_at_its_own_deployment(
    tmp_path: Path, provider: Provider, settings: Any
) -> None:
    ladder = (Model("azure/gpt-4o-mini"), Model("azure/gpt-4o"))
    narrow = Budget(2 * COST, "day", on_exceed="downgrade")
    with costopt.Optimizer(Policy(models=ladder, budgets=(narrow,)), ledger=tmp_path) as optimizer:
        client = openai.AzureOpenAI(
            api_key="k",
            api_version="2024-10-21",
            azure_endpoint="https://mine.openai.azure.com",
            http_client=provider.http(),
            **settings,
        )
        optimizer.wrap(client).chat.completions.create(model="gpt-4o", messages=HELLO, max_tokens=1000)
    (sent,) = provider.heard
    assert sent.url.path == "/openai/deployments/gpt-4o-mini/chat/completions"
    assert sent.url.params["api-version"] == "2024-10-21"
    assert b'"model":"gpt-4o-mini"' in sent.content


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4o-mini"])
def test_a_budget_holds_the_dearer_of_the_deployment_in_the_url_and_the_model_in_the_body(
    tmp_path: Path, provider: Provider, model: str
) -> None:
    with costopt.Optimizer(Policy(budgets=(Budget(COST, "day"),)), ledger=tmp_path) as optimizer:
        client = openai.AzureOpenAI(
            api_key="k",
            api_version="2024-10-21",
            azure_endpoint="https://mine.openai.azure.com",
            azure_deployment="gpt-4o",
            http_client=provider.http(),
        )
        with pytest.raises(costopt.BudgetExceeded):
            optimizer.wrap(client).chat.completions.create(model=model, messages=HELLO, max_tokens=100)
    assert not provider.heard


@pytest.mark.parametrize("ladder", [("gpt-4o-mini", "gpt-4o"), ("openai/gpt-4o-mini", "openai/gpt-4o")])
def test_a_model_of_the_policy_without_a_provider_is_one_of_the_clients(
    tmp_path: Path, provider: Provider, ladder: tuple[str, str]
) -> None:
    narrow = Budget(3 * COST, "day", on_exceed="downgrade")
    rules = Policy(models=tuple(map(Model, ladder)), route=Route(), budgets=(narrow,))
    with costopt.Optimizer(rules, ledger=tmp_path) as optimizer:
        client = optimizer.wrap(openai.OpenAI(api_key="k", http_client=provider.http()))
        for model in ("auto", "gpt-4o"):
            client.chat.completions.create(model=model, messages=HELLO, max_tokens=1000)
    assert [b'"model":"gpt-4o-mini"' in sent.content for sent in provider.heard] == [True, True]
