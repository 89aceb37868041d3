"""The wrapped copy of an OpenAI client is like the client itself in all but its HTTP client."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from sdk.openai_http import ASK, LIBRARY, Heard, as_json, openai

import costopt

AZURE: dict[str, Any] = {
    "api_key": "k",
    "api_version": "2024-10-21",
    "azure_endpoint": "https://mine.openai.azure.com",
    "azure_deployment": "dep",
}


class Provider(Heard):
    """Answers `reply` to every request."""

    def __init__(self, reply: Any = None) -> None:
        super().__init__()
        self.reply = reply or {"object": "list", "data": []}

    def answer(self, request: Any) -> Any:
        return as_json(self.reply)

    @property
    def asked(self) -> list[str]:
        return [str(request.url) for request in self.heard]


def urls(given: Any) -> list[str]:
    """Where the requests of the client go that `given` makes of one."""
    provider = Provider()
    client = given(openai.AzureOpenAI(**AZURE, http_client=provider.http()))
    client.chat.completions.create(**ASK)
    client.responses.create(model="m", input="hello")
    client.files.create(file=("a", b"x"), purpose="batch")
    client.models.list()
    return provider.asked


async def async_urls(given: Any) -> list[str]:
    provider = Provider()
    client = given(openai.AsyncAzureOpenAI(**AZURE, http_client=provider.async_http()))
    await client.responses.create(model="m", input="hello")
    await client.models.list()
    return provider.asked


def test_an_azure_deployment_sends_each_request_where_the_client_would(optimizer: costopt.Optimizer) -> None:
    assert urls(optimizer.wrap) == urls(lambda client: client)
    assert asyncio.run(async_urls(optimizer.wrap)) == asyncio.run(async_urls(_itself))
    again = urls(lambda client: optimizer.wrap(optimizer.wrap(client)))
    assert again == urls(_itself)


def test_with_options_of_it_goes_where_those_of_the_client_would(optimizer: costopt.Optimizer) -> None:
    wrapped = urls(lambda client: optimizer.wrap(client).with_options(timeout=5))
    assert wrapped == urls(lambda client: client.with_options(timeout=5))


def _itself(client: Any) -> Any:
    return client


@pytest.mark.parametrize("kind", ["OpenAI", "AsyncOpenAI"])
def test_an_answer_is_validated_as_strictly(optimizer: costopt.Optimizer, kind: str) -> None:
    provider = Provider({"id": 1, "choices": "no"})
    http = provider.http() if kind == "OpenAI" else provider.async_http()
    client = getattr(openai, kind)(api_key="k", http_client=http, _strict_response_validation=True)
    wrapped = optimizer.wrap(client)

    async def ask() -> None:
        answer = wrapped.chat.completions.create(**ASK)
        await answer if kind == "AsyncOpenAI" else answer

    with pytest.raises(openai.APIResponseValidationError):
        asyncio.run(ask())


class Team(openai.OpenAI):  # type: ignore[misc, name-defined]
    """Has an argument of its own and something made of itself, and counts what it prepares."""

    def __init__(self, *, team: str = "nobody", **more: Any) -> None:
        super().__init__(**more)
        self.team = team
        self.desk = Desk(self)
        self.ask = lambda: self.chat.completions.create(**ASK)


class Desk:
    def __init__(self, client: Any) -> None:
        self.client = client


def test_what_a_subclass_was_told_and_what_was_set_since_is_kept(optimizer: costopt.Optimizer) -> None:
    seen: list[str] = []
    client = Team(team="blue", api_key="k", http_client=Provider().http())
    client.note = "mine"
    client._prepare_options = lambda options: seen.append(options.url) or options  # type: ignore[func-returns-value]
    wrapped = optimizer.wrap(client)
    wrapped.models.list()
    assert (wrapped.team, wrapped.note, seen) == ("blue", "mine", ["/models"])


def test_nothing_kept_leads_past_the_flow(optimizer: costopt.Optimizer) -> None:
    """What the client made around itself before, its copy has made around the copy, or has not."""
    provider = Provider(
        {"model": "m", "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}
    )
    client = Team(api_key="k", http_client=provider.http())
    client.chat.completions.create(**ASK)  # resources are made and kept
    own_post = client.post
    client.post = lambda *args, **how: own_post(*args, **how)
    client.get = client.get  # a method, bound to the client
    wrapped = optimizer.wrap(client)
    for _ in range(2):
        wrapped.chat.completions.create(**ASK)
        wrapped.desk.client.chat.completions.create(**ASK)
        wrapped.ask()
    assert len(provider.heard) == 2
    assert {"post", "get"}.isdisjoint(vars(wrapped))
    assert msgspec.json.decode(provider.heard[0].content) == ASK
    assert LIBRARY.Client in type(wrapped._client).__mro__
