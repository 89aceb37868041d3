"""A user's own HTTP client, with all that is done to it: a class of its own, late settings, a patched transport."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sdk.openai_http import ASK, LIBRARY, URL, Heard, as_json, openai, wrapped

import costopt

ANSWER = {"model": "m", "choices": [{"message": {"content": "On its way"}, "finish_reason": "stop"}]}


class Provider(Heard):
    """Answers every request."""

    def answer(self, request: Any) -> Any:
        if request.url.path.endswith("/content"):
            return LIBRARY.Response(
                200, headers={"content-type": "text/plain"}, content="café".encode("latin-1")
            )
        return as_json(ANSWER if request.method == "POST" else {"object": "list", "data": []})


@pytest.fixture
def provider() -> Provider:
    return Provider()


def tier(client: Any, **more: Any) -> str:
    return str(client.chat.completions.with_raw_response.create(**ASK, **more).headers["x-costopt-cache"])


def test_auth_and_hooks_set_on_it_after_wrapping_run(
    optimizer: costopt.Optimizer, provider: Provider
) -> None:
    http = provider.http()
    client = wrapped(optimizer, http)
    assert (tier(client), tier(client)) == ("miss", "memory")
    http.auth = ("anne", "pw")
    assert (tier(client), tier(client)) == ("miss", "memory")
    http.auth = None
    assert tier(client) == "memory"
    http.event_hooks["request"].append(lambda request: request.headers.update({"x-user-token": "bert"}))
    assert (tier(client), tier(client)) == ("miss", "memory")
    client.models.list()
    http.event_hooks = {}
    assert tier(client) == "memory"
    assert provider.sent("x-user-token") == [None, None, "bert", "bert"]
    assert [str(sent).partition(" ")[0] for sent in provider.sent("authorization")[:2]] == ["Bearer", "Basic"]


def test_late_auth_of_it_runs_for_what_is_no_model_call(
    optimizer: costopt.Optimizer, provider: Provider
) -> None:
    http = provider.http()
    front = optimizer.wrap(http)
    http.auth = ("anne", "pw")
    front.get("https://api.openai.com/v1/models")
    front.post(URL, json=ASK, auth=("bert", "pw"))
    assert [str(sent).partition(" ")[0] for sent in provider.sent("authorization")] == ["Basic"] * 2


@pytest.mark.parametrize("kind", ["patched", "swapped", "mounted"])
def test_who_stands_before_the_transport_of_the_wrapped_client_sees_every_call(
    optimizer: costopt.Optimizer, provider: Provider, kind: str
) -> None:
    client = wrapped(optimizer, provider.http())
    seen: list[str] = []
    http, transport = client._client, client._client._transport
    real = transport.handle_request

    def noting(request: Any) -> Any:
        seen.append(request.url.path)
        return real(request)

    if kind == "patched":  # as OpenTelemetry's instrument_client does
        transport.handle_request = noting
    elif kind == "swapped":
        http._transport = LIBRARY.MockTransport(noting)
    else:
        http._mounts = {
            next(iter(LIBRARY.Client(mounts={"all://": None})._mounts)): LIBRARY.MockTransport(noting)
        }
    assert (tier(client), tier(client)) == ("miss", "memory")
    client.models.list()
    assert seen == ["/v1/chat/completions"] * 2 + ["/v1/models"]


def test_a_patched_async_transport_too(optimizer: costopt.Optimizer, provider: Provider) -> None:
    seen: list[str] = []

    async def ask() -> None:
        http = provider.async_http()
        client = optimizer.wrap(openai.AsyncOpenAI(api_key="sk-test", http_client=http))
        transport: Any = client._client._transport
        real = transport.handle_async_request

        async def noting(request: Any) -> Any:
            seen.append(request.url.path)
            return await real(request)

        transport.handle_async_request = noting
        await client.chat.completions.create(**ASK)

    asyncio.run(ask())
    assert seen == ["/v1/chat/completions"]


class Signing(LIBRARY.Client):  # type: ignore[misc, name-defined]
    def send(self, request: Any, **how: Any) -> Any:
        request.headers["x-mine"] = "sent"
        return super().send(request, **how)


class Building(LIBRARY.Client):  # type: ignore[misc, name-defined]
    def build_request(self, *args: Any, **how: Any) -> Any:
        request = super().build_request(*args, **how)
        request.headers["x-mine"] = "built"
        return request


@pytest.mark.parametrize(("kind", "word"), [(Signing, "sent"), (Building, "built")])
def test_what_its_class_does_in_its_own_way_is_done_for_all_requests(
    optimizer: costopt.Optimizer, provider: Provider, kind: Any, word: str
) -> None:
    client = wrapped(optimizer, provider.http(kind))
    tier(client, extra_headers={"x-costopt-tags": "agent=planner"})
    client.models.list(extra_headers={"x-costopt-tags": "agent=planner"})
    assert client.files.content("f").content == "café".encode("latin-1")
    assert provider.sent("x-mine") == [word] * 3
    assert provider.sent("x-costopt-tags") == [None] * 3


def test_a_client_that_sends_itself_does_so_with_its_auth_and_hooks_once(
    optimizer: costopt.Optimizer, provider: Provider
) -> None:
    heard: list[str] = []
    http = provider.http(
        Signing,
        auth=("anne", "pw"),
        event_hooks={"request": [lambda request: heard.append(request.url.path)]},
    )
    client = wrapped(optimizer, http)
    assert (tier(client), tier(client)) == ("miss", "miss")
    assert heard == ["/v1/chat/completions"] * 2
    assert provider.sent("x-mine") == ["sent", "sent"]
    assert all(str(sent).startswith("Basic ") for sent in provider.sent("authorization"))
    client._client._transport.handle_request = (
        client._client._transport.handle_request
    )  # someone stands before it
    tier(client)
    assert provider.sent("x-mine") == ["sent"] * 3


def test_cookies_it_was_given_say_who_asks(optimizer: costopt.Optimizer, provider: Provider) -> None:
    def asked(**cookies: str) -> str:
        return tier(wrapped(optimizer, provider.http(cookies=cookies)))

    assert [asked(session="anne"), asked(session="bert"), asked(session="anne")] == ["miss", "miss", "memory"]
    assert [asked(), asked(__cf_bm="1"), asked(__cf_bm="2")] == ["miss", "memory", "memory"]


def test_a_class_that_the_sdk_cannot_copy_is_refused_with_what_to_do(
    optimizer: costopt.Optimizer, provider: Provider
) -> None:
    class Tenant(openai.OpenAI):  # type: ignore[misc, name-defined]
        def __init__(self, tenant: str, http_client: Any = None) -> None:
            super().__init__(api_key="sk-test", http_client=http_client)
            self.tenant = tenant

    with pytest.raises(costopt.UnsupportedClient, match=r"Tenant.*http_client=optimizer\.wrap"):
        optimizer.wrap(Tenant("anne"))
    client = Tenant("anne", optimizer.wrap(provider.http()))
    assert (tier(client), tier(client), client.tenant) == ("miss", "memory", "anne")


@pytest.mark.parametrize("late", [False, True], ids=["direct", "the long way"])
def test_its_default_encoding_is_kept(optimizer: costopt.Optimizer, provider: Provider, late: bool) -> None:
    http = provider.http(default_encoding="latin-1", auth=("anne", "pw") if late else None)
    front = optimizer.wrap(http)
    assert front.get("https://api.openai.com/v1/files/f/content").text == "café"
    for _ in range(2):
        assert front.post(URL, json=ASK).default_encoding == "latin-1"
    with front.stream("POST", URL, json=ASK) as opened:
        assert opened.default_encoding == "latin-1"
