"""`wrap` with the real Anthropic SDK, over an in-memory transport of the HTTP library it uses."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

import costopt
from costopt.edge.wrap import library_of
from costopt.policy import Budget, Policy

anthropic = pytest.importorskip("anthropic")
LIBRARY: Any = library_of(anthropic.Anthropic(api_key="k")._client)

ASK: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "max_tokens": 20,
    "system": "terse",
    "messages": [{"role": "user", "content": "Capital of France?"}],
}
ANSWER: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5",
    "content": [{"type": "text", "text": "Paris"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 10,
        "output_tokens": 2,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 0,
    },
}


def _events() -> bytes:
    start = {**ANSWER, "content": [], "stop_reason": None, "usage": {**ANSWER["usage"], "output_tokens": 1}}
    listed: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Pa"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ris"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 2},
        },
        {"type": "message_stop"},
    ]
    return b"".join(
        b"event: " + event["type"].encode() + b"\ndata: " + msgspec.json.encode(event) + b"\n\n"
        for event in listed
    )


class Provider:
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __call__(self, request: Any) -> Any:
        self.seen.append(request)
        if request.url.path.endswith("/count_tokens"):
            return LIBRARY.Response(200, json={"input_tokens": 9})
        if msgspec.json.decode(request.content).get("stream"):
            return LIBRARY.Response(200, headers={"content-type": "text/event-stream"}, content=_events())
        return LIBRARY.Response(200, json=ANSWER)

    def client(self) -> Any:
        http = LIBRARY.Client(transport=LIBRARY.MockTransport(self))
        return anthropic.Anthropic(api_key="sk-test", http_client=http)

    def aclient(self) -> Any:
        http = LIBRARY.AsyncClient(transport=LIBRARY.MockTransport(self))
        return anthropic.AsyncAnthropic(api_key="sk-test", http_client=http)


def test_a_repeat_costs_nothing_and_looks_the_same(optimizer: costopt.Optimizer) -> None:
    provider = Provider()
    client = optimizer.wrap(provider.client())
    assert type(client) is anthropic.Anthropic
    first, again = (client.messages.create(**ASK) for _ in range(2))
    assert first == again
    assert len(provider.seen) == 1


def test_cache_reads_are_priced_as_cache_reads(optimizer: costopt.Optimizer) -> None:
    raw = optimizer.wrap(Provider().client()).messages.with_raw_response.create(**ASK)
    assert raw.headers["x-costopt-cost"] == f"{(10 * 1000 + 100 * 100 + 2 * 5000) / 1e9:.9f}"


def test_stream_events_and_helper_are_replayed_alike(optimizer: costopt.Optimizer) -> None:
    provider = Provider()
    client = optimizer.wrap(provider.client())
    bare = [event.model_dump() for event in provider.client().messages.create(**ASK, stream=True)]
    first = [event.model_dump() for event in client.messages.create(**ASK, stream=True)]
    with client.messages.stream(**ASK) as events:
        final = events.get_final_message()
    again = [event.model_dump() for event in client.messages.create(**ASK, stream=True)]
    assert bare == first == again
    assert final.content[0].text == "Paris"
    assert len(provider.seen) == 2
    assert client.messages.create(**ASK).content[0].text == "Paris"
    assert len(provider.seen) == 2


def test_a_plain_answer_is_replayed_as_a_stream(optimizer: costopt.Optimizer) -> None:
    provider = Provider()
    client = optimizer.wrap(provider.client())
    client.messages.create(**ASK)
    with client.messages.stream(**ASK) as events:
        assert "".join(events.text_stream) == "Paris"
    assert len(provider.seen) == 1


def test_counting_tokens_passes_through(optimizer: costopt.Optimizer) -> None:
    provider = Provider()
    client = optimizer.wrap(provider.client())
    for _ in range(2):
        assert client.messages.count_tokens(model=ASK["model"], messages=ASK["messages"]).input_tokens == 9
    assert len(provider.seen) == 2


def test_beta_headers_are_part_of_the_key(optimizer: costopt.Optimizer) -> None:
    provider = Provider()
    client = optimizer.wrap(provider.client())
    client.messages.create(**ASK)
    client.messages.create(**ASK, extra_headers={"anthropic-beta": "something-new"})
    assert len(provider.seen) == 2


def test_refusals_are_ours_and_the_sdks(tmp_path: Path) -> None:
    provider = Provider()
    with costopt.Optimizer(Policy(budgets=(Budget(1, "day"),)), ledger=tmp_path) as optimizer:
        with pytest.raises(costopt.BudgetExceeded) as caught:
            optimizer.wrap(provider.client()).messages.create(**ASK)
    assert isinstance(caught.value, anthropic.AnthropicError)
    assert provider.seen == []


def test_async_calls_and_streams_share_one_answer(optimizer: costopt.Optimizer) -> None:
    provider = Provider()

    async def main() -> str:
        client = optimizer.wrap(provider.aclient())
        await asyncio.gather(*(client.messages.create(**ASK) for _ in range(5)))
        async with client.messages.stream(**ASK) as events:
            return "".join([text async for text in events.text_stream])

    assert asyncio.run(main()) == "Paris"
    assert len(provider.seen) == 1


@pytest.mark.parametrize("side", ["", "Async"])
@pytest.mark.parametrize(
    ("kind", "more", "name"),
    [
        (
            "AnthropicBedrock",
            {"aws_access_key": "a", "aws_secret_key": "b", "aws_region": "us-east-1"},
            "bedrock/",
        ),
        ("AnthropicVertex", {"region": "us-east5", "project_id": "p", "access_token": "t"}, "vertex_ai/"),
    ],
)
def test_clients_that_send_no_messages_are_refused_with_what_to_use(
    optimizer: costopt.Optimizer, side: str, kind: str, more: dict[str, str], name: str
) -> None:
    client = getattr(anthropic, side + kind)(**more)
    with pytest.raises(costopt.UnsupportedClient, match=rf"{kind}.*litellm\.completion.*{name}"):
        optimizer.wrap(client)


def test_foundry_is_wrapped(optimizer: costopt.Optimizer) -> None:
    provider = Provider()
    http = LIBRARY.Client(transport=LIBRARY.MockTransport(provider))
    client = optimizer.wrap(anthropic.AnthropicFoundry(api_key="k", resource="mine", http_client=http))
    assert client.messages.create(**ASK) == client.messages.create(**ASK)
    assert [request.url.host for request in provider.seen] == ["mine.services.ai.azure.com"]


def test_middleware_and_strict_validation_of_the_client_are_kept(optimizer: costopt.Optimizer) -> None:
    """The SDK makes a client's middleware into functions around that client: the copy needs its own."""
    provider, through = Provider(), list[Any]()

    def passing(request: Any, call_next: Any) -> Any:
        through.append(request)
        return call_next(request)

    http = LIBRARY.Client(transport=LIBRARY.MockTransport(provider))
    client = optimizer.wrap(
        anthropic.Anthropic(
            api_key="k", http_client=http, middleware=[passing], _strict_response_validation=True
        )
    )
    for _ in range(2):
        client.messages.create(**ASK)
    assert (len(through), len(provider.seen)) == (2, 1)
    assert client._strict_response_validation
