"""What the user's own HTTP client does around a request still happens, and nothing of it is skipped by a cache hit."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
import pytest
from sdk.openai_http import ASK, LIBRARY, URL, Heard, as_json, openai, wrapped

import costopt


class Provider(Heard):
    """Answers each call with its number."""

    def answer(self, request: Any) -> Any:
        if request.url.query == b"moved":
            return LIBRARY.Response(307, headers={"location": str(request.url).removesuffix("?moved")})
        choice = {"message": {"content": f"answer {len(self.heard)}"}, "finish_reason": "stop"}
        return as_json({"model": "m", "choices": [choice]})


@pytest.fixture
def provider() -> Provider:
    return Provider()


def said(client: Any, **more: Any) -> str:
    answer = client.chat.completions.create(**ASK, **more)
    return str(answer.choices[0].message.content)


def test_whom_a_hook_makes_a_request_come_from_gets_his_own_answers(
    optimizer: costopt.Optimizer, provider: Provider
) -> None:
    user = ["anne"]

    def sign(request: Any) -> None:
        request.headers["x-user-token"] = user[0]

    client = wrapped(optimizer, provider.http(event_hooks={"request": [sign]}))
    mine = said(client)
    user[0] = "bert"
    assert said(client) != mine
    user[0] = "anne"
    assert said(client) == mine
    assert [request.headers["x-user-token"] for request in provider.heard] == ["anne", "bert"]


def test_a_hook_set_after_wrapping_counts_too(optimizer: costopt.Optimizer, provider: Provider) -> None:
    http = provider.http()
    client = wrapped(optimizer, http)
    heard: list[str] = []
    client._client.event_hooks = {"request": [lambda request: heard.append(request.method)]}
    assert said(client) == said(client)
    assert heard == ["POST", "POST"]


def test_whom_auth_makes_a_request_come_from_gets_his_own_answers(
    optimizer: costopt.Optimizer, provider: Provider
) -> None:
    clients = [wrapped(optimizer, provider.http(auth=(name, "pw"))) for name in ("anne", "bert")]
    answers = [said(client) for client in clients]
    assert answers[0] != answers[1]
    assert [said(client) for client in clients] == answers
    sent = [request.headers["authorization"] for request in provider.heard]
    assert len(set(sent)) == 2
    assert all(value.startswith("Basic ") for value in sent)


def test_auth_of_one_request_is_kept_apart_as_well(optimizer: costopt.Optimizer, provider: Provider) -> None:
    http = optimizer.wrap(provider.http())
    answers = [http.post(URL, json=ASK, auth=(name, "pw")).json() for name in ("anne", "bert", "anne")]
    assert answers[0] == answers[2] != answers[1]
    named = [
        http.post(URL.replace("//", f"//{name}:pw@"), json=ASK).json() for name in ("cleo", "dora", "cleo")
    ]
    assert named[0] == named[2] != named[1]
    assert len(provider.heard) == 4


def test_a_client_that_sends_in_its_own_way_does_so_and_its_answers_are_nobody_elses(
    optimizer: costopt.Optimizer, provider: Provider
) -> None:
    class Signing(LIBRARY.Client):  # type: ignore[misc, name-defined]
        def send(self, request: Any, **how: Any) -> Any:
            request.headers["x-user-token"] = "anne"
            return super().send(request, **how)

    client = wrapped(optimizer, Signing(transport=LIBRARY.MockTransport(provider)))
    assert said(client) != said(client)
    assert [request.headers["x-user-token"] for request in provider.heard] == ["anne", "anne"]


def test_response_hooks_hear_of_hits(optimizer: costopt.Optimizer, provider: Provider) -> None:
    tiers: list[str] = []
    hook = [lambda response: tiers.append(response.headers["x-costopt-cache"])]
    client = wrapped(optimizer, provider.http(event_hooks={"response": hook}))
    assert said(client) == said(client)
    assert tiers == ["miss", "memory"]


def test_only_what_went_out_is_logged_as_an_http_request(
    optimizer: costopt.Optimizer, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    client = wrapped(optimizer, provider.http())
    with caplog.at_level(logging.INFO, logger=LIBRARY.__name__):
        assert said(client) == said(client)
    assert sum("HTTP Request" in record.getMessage() for record in caplog.records) == 1


def test_redirects_are_followed_once_and_their_answer_kept(
    optimizer: costopt.Optimizer, provider: Provider
) -> None:
    http = optimizer.wrap(provider.http())
    first, again = (http.post(f"{URL}?moved", json=ASK, follow_redirects=True) for _ in range(2))
    assert first.json() == again.json()
    assert len(provider.heard) == 2
    assert http.post(f"{URL}?moved", json=ASK | {"seed": 1}).status_code == 307


def test_what_a_plain_http_client_is_asked_for_it_does(
    optimizer: costopt.Optimizer, provider: Provider
) -> None:
    http = optimizer.wrap(provider.http())
    fresh, kept = (http.post(URL, json=ASK) for _ in range(2))
    assert (fresh.headers["x-costopt-cache"], kept.headers["x-costopt-cache"]) == ("miss", "memory")
    assert fresh.content == kept.content
    assert kept.is_closed
    assert kept.request.url == URL
    assert kept.elapsed.total_seconds() >= 0
    with http.stream("POST", URL, json=ASK) as opened:
        assert not opened.is_closed
        assert b"".join(opened.iter_raw()) == kept.content
    assert http.get("https://api.openai.com/v1/models").status_code == 200
    assert len(provider.heard) == 2


def test_a_closed_client_answers_nothing(optimizer: costopt.Optimizer, provider: Provider) -> None:
    client = wrapped(optimizer, provider.http())
    said(client)
    client.close()
    with pytest.raises(
        (openai.APIConnectionError, RuntimeError)
    ) as caught:  # openai 3.x wraps no RuntimeError
        said(client)
    assert "has been closed" in f"{caught.value} {caught.value.__cause__}"


def test_async_clients_do_the_same(optimizer: costopt.Optimizer, provider: Provider) -> None:
    tiers: list[str] = []

    async def note(response: Any) -> None:
        tiers.append(response.headers["x-costopt-cache"])

    async def ask(**settings: Any) -> None:
        http = provider.async_http(**settings)
        async with optimizer.wrap(openai.AsyncOpenAI(api_key="sk-test", http_client=http)) as client:
            for _ in range(2):
                raw = await client.chat.completions.with_raw_response.create(**ASK)
                assert raw.elapsed.total_seconds() >= 0
                assert raw.http_request.method == "POST"
                tiers.append(raw.headers["x-costopt-cache"])

    asyncio.run(ask())
    assert tiers == ["miss", "memory"]
    tiers.clear()
    asyncio.run(ask(event_hooks={"response": [note]}, auth=("anne", "pw")))
    assert tiers == ["miss", "miss", "memory", "memory"]


@pytest.mark.parametrize("settings", [{}, {"auth": ("anne", "pw")}], ids=["direct", "the long way"])
def test_a_stream_comes_through_and_is_kept(optimizer: costopt.Optimizer, settings: Any) -> None:
    def stream(request: Any) -> Any:
        chunk = {"model": "m", "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]}
        events = b"data: " + msgspec.json.encode(chunk) + b"\n\ndata: [DONE]\n\n"
        return LIBRARY.Response(
            200, headers={"content-type": "text/event-stream"}, stream=LIBRARY.ByteStream(events)
        )

    client = wrapped(optimizer, LIBRARY.Client(transport=LIBRARY.MockTransport(stream), **settings))
    for tier in ("miss", "memory"):
        live = client.chat.completions.create(**ASK, stream=True)
        assert [chunk.choices[0].delta.content for chunk in live] == ["hi"]
        live.close()
        assert live.response.headers["x-costopt-cache"] == tier
        assert live.response.elapsed.total_seconds() > 0
        assert live.response.request.method == "POST"
