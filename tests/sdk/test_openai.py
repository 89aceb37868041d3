"""`wrap` with the real OpenAI SDK (2.x on httpx, 3.x on httpx2), over an in-memory transport of that library."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import costopt
from costopt.policy import Budget, Policy

openai = pytest.importorskip("openai")
LIBRARY: Any = importlib.import_module("httpx2" if int(openai.VERSION.split(".")[0]) >= 3 else "httpx")

ASK: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Capital of France?"}],
}
USAGE = {"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 13}
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris"}, "finish_reason": "stop"}],
    "usage": USAGE,
}


def _event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
    return b"data: " + msgspec.json.encode({**head, "choices": [choice]}) + b"\n\n"


EVENTS = [
    _event({"role": "assistant", "content": ""}),
    _event({"content": "Pa"}),
    _event({"content": "ris"}),
    _event({}, "stop"),
    b"data: [DONE]\n\n",
]


class Chunks(LIBRARY.SyncByteStream, LIBRARY.AsyncByteStream):  # type: ignore[misc,name-defined]
    """A response body that arrives piece by piece."""

    def __init__(self, parts: list[bytes]) -> None:
        self.parts = parts

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.parts)

    async def __aiter__(self) -> Any:
        for part in self.parts:
            yield part


class Provider:
    """Answers like a provider, and keeps what it was sent."""

    def __init__(self, reply: Callable[[Any], Any] | None = None) -> None:
        self.seen: list[Any] = []
        self.reply = reply or self.default

    def __call__(self, request: Any) -> Any:
        self.seen.append(request)
        return self.reply(request)

    @staticmethod
    def default(request: Any) -> Any:
        body = msgspec.json.decode(request.content) if request.content.startswith(b"{") else {}
        if body.get("stream"):
            return LIBRARY.Response(200, headers={"content-type": "text/event-stream"}, stream=Chunks(EVENTS))
        return LIBRARY.Response(200, json=ANSWER, headers={"x-request-id": "req_1"})

    def client(self, **options: Any) -> Any:
        http = LIBRARY.Client(transport=LIBRARY.MockTransport(self))
        return openai.OpenAI(api_key="sk-test", http_client=http, **options)

    def aclient(self, **options: Any) -> Any:
        http = LIBRARY.AsyncClient(transport=LIBRARY.MockTransport(self))
        return openai.AsyncOpenAI(api_key="sk-test", http_client=http, **options)


def test_a_repeat_costs_nothing_and_looks_the_same(optimizer: costopt.Optimizer) -> None:
    provider = Provider()
    client = optimizer.wrap(provider.client())
    first, again = (client.chat.completions.create(**ASK, temperature=0) for _ in range(2))
    assert first == again
    assert again.usage.total_tokens == 13
    assert len(provider.seen) == 1


def test_wrap_returns_the_same_type_and_leaves_the_original_alone(optimizer: costopt.Optimizer) -> None:
    provider = Provider()
    original = provider.client(timeout=7.0, max_retries=5, default_headers={"x-mine": "1"})
    wrapped = optimizer.wrap(original)
    assert type(wrapped) is type(original)
    assert (wrapped.timeout, wrapped.max_retries, wrapped.base_url) == (7.0, 5, original.base_url)
    original.chat.completions.create(**ASK)
    original.chat.completions.create(**ASK)
    assert len(provider.seen) == 2
    wrapped.chat.completions.create(**ASK)
    assert provider.seen[2].headers["x-mine"] == "1"


def test_the_caller_s_bytes_reach_the_provider_unchanged(optimizer: costopt.Optimizer) -> None:
    plain, through = Provider(), Provider()
    plain.client().chat.completions.create(**ASK, extra_body={"unknown": [1, 2.50, None]})
    optimizer.wrap(through.client()).chat.completions.create(**ASK, extra_body={"unknown": [1, 2.50, None]})
    assert through.seen[0].content == plain.seen[0].content
    assert through.seen[0].headers == plain.seen[0].headers


def test_streams_arrive_as_sent_and_are_replayed_alike(optimizer: costopt.Optimizer) -> None:
    provider = Provider()
    client = optimizer.wrap(provider.client())
    bare = [chunk.model_dump() for chunk in provider.client().chat.completions.create(**ASK, stream=True)]
    first = [chunk.model_dump() for chunk in client.chat.completions.create(**ASK, stream=True)]
    again = [chunk.model_dump() for chunk in client.chat.completions.create(**ASK, stream=True)]
    assert bare == first == again
    assert len(provider.seen) == 2
    plain = client.chat.completions.create(**ASK)
    assert plain.choices[0].message.content == "Paris"
    assert len(provider.seen) == 2


def test_a_plain_answer_is_replayed_as_a_stream(optimizer: costopt.Optimizer) -> None:
    provider = Provider()
    client = optimizer.wrap(provider.client())
    client.chat.completions.create(**ASK)
    with client.chat.completions.stream(**ASK, stream_options={"include_usage": True}) as events:
        final = events.get_final_completion()
    assert final.choices[0].message.content == "Paris"
    assert final.usage.total_tokens == 13
    assert len(provider.seen) == 1


def test_closing_a_stream_early_is_recorded_as_left(optimizer: costopt.Optimizer) -> None:
    provider = Provider()
    client = optimizer.wrap(provider.client())
    with client.chat.completions.create(**ASK, stream=True) as events:
        next(iter(events))
    list(client.chat.completions.create(**ASK, stream=True))
    assert len(provider.seen) == 2, "a part is never served as an answer"


def test_raw_and_streaming_responses(optimizer: costopt.Optimizer) -> None:
    client = optimizer.wrap(Provider().client())
    raw = client.chat.completions.with_raw_response.create(**ASK)
    assert raw.headers["x-costopt-cache"] == "miss"
    assert raw.headers["x-request-id"] == "req_1"
    assert raw.headers["x-costopt-cost"] == "0.000002400"
    again = client.chat.completions.with_raw_response.create(**ASK)
    assert again.headers["x-costopt-cache"] == "memory"
    assert again.headers["x-costopt-saved"] == "0.000002400"
    assert again.parse().choices[0].message.content == "Paris"
    with client.chat.completions.with_streaming_response.create(**ASK) as response:
        assert b"Paris" in b"".join(response.iter_bytes())


def test_our_headers_never_reach_the_provider(optimizer: costopt.Optimizer) -> None:
    provider = Provider()
    client = optimizer.wrap(provider.client())
    asked = {"x-costopt-tags": "agent=planner", "x-costopt-cache": "off"}
    for _ in range(2):
        client.chat.completions.create(**ASK, extra_headers=asked)
    client.models.with_options(extra_headers=asked) if False else client.get(
        "/models", cast_to=object, options={"headers": asked}
    )
    assert len(provider.seen) == 3
    assert not [name for sent in provider.seen for name in sent.headers if name.startswith("x-costopt")]


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_provider_errors_come_through_as_the_sdks_own(optimizer: costopt.Optimizer, status: int) -> None:
    error = {"error": {"message": "no", "type": "t", "code": "c"}}
    provider = Provider(lambda _: LIBRARY.Response(status, json=error, headers={"x-request-id": "r"}))
    client = optimizer.wrap(provider.client(max_retries=2))
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(**ASK)
    assert caught.value.status_code == status
    assert caught.value.body == error["error"]
    assert caught.value.request_id == "r"
    assert len(provider.seen) == 1


def test_connection_errors_and_timeouts_stay_the_sdks_own(optimizer: costopt.Optimizer) -> None:
    def failing(request: Any) -> Any:
        raise LIBRARY.ConnectTimeout("late", request=request)

    client = optimizer.wrap(Provider(failing).client(max_retries=0))
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(**ASK)


def test_refusals_are_ours_and_the_sdks_and_are_not_retried(tmp_path: Path) -> None:
    provider = Provider()
    rules = Policy(name="tight", budgets=(Budget(1, "day"),))
    with costopt.Optimizer(rules, ledger=tmp_path) as optimizer:
        client = optimizer.wrap(provider.client(max_retries=2))
        with pytest.raises(costopt.BudgetExceeded) as caught:
            client.chat.completions.create(**ASK)
    assert isinstance(caught.value, openai.OpenAIError)
    assert provider.seen == []


def test_a_closed_optimizer_says_so(tmp_path: Path) -> None:
    optimizer = costopt.Optimizer(Policy(), ledger=tmp_path)
    client = optimizer.wrap(Provider().client())
    optimizer.close()
    with pytest.raises(costopt.Closed):
        client.chat.completions.create(**ASK)


def test_wrapping_twice_runs_the_pipeline_once(optimizer: costopt.Optimizer) -> None:
    provider = Provider()
    client = optimizer.wrap(optimizer.wrap(provider.client()))
    raw = client.chat.completions.with_raw_response.create(**ASK)
    assert raw.headers.get_list("x-costopt-call") == [raw.headers["x-costopt-call"]]


def test_what_is_not_a_model_call_passes_through(optimizer: costopt.Optimizer) -> None:
    provider = Provider(lambda _: LIBRARY.Response(200, json={"id": "file-1", "object": "file", "data": []}))
    plain = Provider(provider.reply)
    wrapped, bare = optimizer.wrap(provider.client()), plain.client()
    for client in (wrapped, bare):
        client.files.create(file=("a.jsonl", b'{"a": 1}\n'), purpose="batch")
        client.models.list()
        client.batches.retrieve("batch_1")
        client.moderations.create(input="hello", model="omni-moderation-latest")
    paths = [(sent.method, sent.url.path) for sent in provider.seen]
    assert paths == [(sent.method, sent.url.path) for sent in plain.seen]
    assert provider.seen[3].content == plain.seen[3].content


def test_azure_is_wrapped_and_priced_by_the_model_that_answered(optimizer: costopt.Optimizer) -> None:
    provider = Provider()
    azure = openai.AzureOpenAI(
        api_key="k",
        azure_endpoint="https://mine.openai.azure.com",
        api_version="2025-04-01-preview",
        http_client=LIBRARY.Client(transport=LIBRARY.MockTransport(provider)),
    )
    client = optimizer.wrap(azure)
    assert type(client) is type(azure)
    raw = client.chat.completions.with_raw_response.create(**{**ASK, "model": "dep1"})
    assert "/openai/deployments/dep1/chat/completions" in str(provider.seen[0].url)
    assert float(raw.headers["x-costopt-cost"]) > 0


def test_parse_with_a_schema(optimizer: costopt.Optimizer) -> None:
    from pydantic import BaseModel

    class City(BaseModel):
        name: str

    choice = {**ANSWER["choices"][0], "message": {"role": "assistant", "content": '{"name": "Paris"}'}}  # type: ignore[index,dict-item]
    provider = Provider(lambda _: LIBRARY.Response(200, json={**ANSWER, "choices": [choice]}))
    client = optimizer.wrap(provider.client())
    parse = getattr(client.chat.completions, "parse", None) or client.beta.chat.completions.parse
    for _ in range(2):
        assert parse(**ASK, response_format=City).choices[0].message.parsed == City(name="Paris")
    assert len(provider.seen) == 1


def test_an_answer_that_left_the_schema_is_asked_for_again(optimizer: costopt.Optimizer) -> None:
    from pydantic import BaseModel, ValidationError

    class City(BaseModel):
        name: str

    said = iter(['{"nom": "Paris"}', '{"name": "Paris"}'])

    def answer(_: Any) -> Any:
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": next(said)},
            "finish_reason": "stop",
        }
        return LIBRARY.Response(200, json={**ANSWER, "choices": [choice]})

    client = optimizer.wrap(Provider(answer).client())
    parse = getattr(client.chat.completions, "parse", None) or client.beta.chat.completions.parse
    with pytest.raises(ValidationError):
        parse(**ASK, response_format=City)
    for _ in range(2):
        assert parse(**ASK, response_format=City).choices[0].message.parsed == City(name="Paris")


def test_async_calls_streams_and_many_event_loops(optimizer: costopt.Optimizer) -> None:
    provider = Provider()

    async def main() -> tuple[Any, list[Any]]:
        client = optimizer.wrap(provider.aclient())
        answers = await asyncio.gather(*(client.chat.completions.create(**ASK) for _ in range(10)))
        chunks = [chunk async for chunk in await client.chat.completions.create(**ASK, stream=True)]
        return answers[0], chunks

    for _ in range(3):
        answer, chunks = asyncio.run(main())
        assert answer.choices[0].message.content == "Paris"
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Paris"
    assert len(provider.seen) == 1, "identical calls share one, in flight and after"


def test_an_http_client_for_frameworks(optimizer: costopt.Optimizer) -> None:
    client = openai.OpenAI(api_key="sk-test", http_client=optimizer.http_client())
    assert isinstance(client._client, LIBRARY.Client)


def test_legacy_completions_pass_through_and_are_priced(optimizer: costopt.Optimizer) -> None:
    body = {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1,
        "model": "gpt-3.5-turbo-instruct",
        "choices": [{"text": "Paris", "index": 0, "finish_reason": "stop", "logprobs": None}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
    }
    provider = Provider(lambda _: LIBRARY.Response(200, json=body))
    client = optimizer.wrap(provider.client())
    for _ in range(2):
        text = client.completions.create(model="gpt-3.5-turbo-instruct", prompt="The capital of France is")
        assert text.choices[0].text == "Paris"
    assert len(provider.seen) == 2


def test_unknown_clients_are_refused_with_what_to_do(optimizer: costopt.Optimizer) -> None:
    with pytest.raises(costopt.UnsupportedClient, match="http_client"):
        optimizer.wrap(object())
