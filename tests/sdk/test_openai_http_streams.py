"""What an HTTP caller sees of an answer beyond its words: when it comes, by which way, and its raw bytes."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ledgers import facts
from sdk.openai_http import LIBRARY, URL, openai

import costopt

ASK: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Where is my parcel?"}],
}
COUNTS = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
ANSWER = msgspec.json.encode(
    {
        "model": "gpt-4o-mini",
        "choices": [{"message": {"content": "Here"}, "finish_reason": "stop"}],
        "usage": COUNTS,
    }
)
WAYS = pytest.mark.parametrize("settings", [{}, {"auth": ("anne", "pw")}], ids=["direct", "the long way"])


def chunk(**fields: Any) -> bytes:
    return b"data: " + msgspec.json.encode({"model": "gpt-4o-mini", **fields}) + b"\n\n"


def spoken(text: str, finish: str | None = None) -> bytes:
    return chunk(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": finish}])


EVENTS = [spoken("on "), spoken("its way", "stop"), chunk(choices=[], usage=COUNTS), b"data: [DONE]\n\n"]


class Drops(LIBRARY.SyncByteStream, LIBRARY.AsyncByteStream):  # type: ignore[misc, name-defined]
    """A body that comes bit by bit; `fell` is what has come."""

    def __init__(self, parts: list[bytes]) -> None:
        self.parts = parts
        self.fell: list[bytes] = []

    def __iter__(self) -> Iterator[bytes]:
        for part in self.parts:
            self.fell.append(part)
            yield part

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self:
            yield part


def http(answer: Any, **settings: Any) -> Any:
    return LIBRARY.Client(transport=LIBRARY.MockTransport(answer), **settings)


def sdk(optimizer: costopt.Optimizer, client: Any) -> Any:
    return optimizer.wrap(openai.OpenAI(api_key="sk-test", http_client=client, max_retries=0))


def body(
    parts: list[bytes], *, kind: str | None = "text/event-stream", status: int = 200, **more: Any
) -> Any:
    headers = {"content-type": kind} if kind else {}
    return LIBRARY.Response(status, headers=headers | more.pop("headers", {}), stream=Drops(parts), **more)


@pytest.mark.parametrize(
    "kind", [None, "text/plain; charset=utf-8", "application/octet-stream", "Text/Event-Stream"]
)
def test_a_stream_is_one_whatever_its_type_says(
    optimizer: costopt.Optimizer, tmp_path: Path, kind: str | None
) -> None:
    sent: list[Any] = []

    def answer(request: Any) -> Any:
        sent.append(body(EVENTS, kind=kind))
        return sent[-1]

    client = sdk(optimizer, http(answer))
    live = client.chat.completions.create(**ASK, stream=True)
    drops = sent[0].stream
    drops = getattr(drops, "_stream", drops)  # an HTTP client binds the stream to its response
    assert next(live).choices[0].delta.content == "on "
    assert drops.fell == EVENTS[:1]
    assert len(list(live)) == 2
    again = client.chat.completions.create(**ASK, stream=True)
    assert [part.choices[0].delta.content for part in again if part.choices] == ["on ", "its way"]
    assert again.response.headers["x-costopt-cache"] == "memory"
    optimizer.close()
    assert [fact.outcome for fact in facts(tmp_path)] == ["ok", "hit"]


@pytest.mark.parametrize("kind", ["application/json", "text/html"])
def test_what_is_no_stream_is_none(optimizer: costopt.Optimizer, kind: str) -> None:
    said = ANSWER if kind.endswith("json") else b"<html>Sign in</html>"
    front = optimizer.wrap(http(lambda _: body([said], kind=kind)))
    with front.stream("POST", URL, json=ASK | {"stream": True}) as opened:
        words = opened.read()
    assert (b"Here" in words and b"[DONE]" in words) if kind.endswith("json") else words == said


@WAYS
@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("packed", [False, True])
def test_raw_bytes_can_be_had_of_every_answer(
    optimizer: costopt.Optimizer, settings: Any, status: int, packed: bool
) -> None:
    def answer(_: Any) -> Any:
        headers = {"content-encoding": "gzip"} if packed else {}
        content = gzip.compress(ANSWER) if packed else ANSWER
        return body([content], kind="application/json", status=status, headers=headers)

    front = optimizer.wrap(http(answer, **settings))
    for _ in range(2):
        sent = front.send(front.build_request("POST", URL, json=ASK), stream=True)
        assert not sent.is_stream_consumed
        assert b"".join(sent.iter_raw()) == ANSWER
        assert "content-encoding" not in sent.headers
        assert sent.headers["content-length"] == str(len(ANSWER))
        sent.close()
        assert sent.elapsed.total_seconds() >= 0
    plain = front.post(URL, json=ASK)
    assert plain.content == ANSWER and plain.status_code == status


def test_raw_bytes_can_be_had_on_an_event_loop(optimizer: costopt.Optimizer) -> None:
    async def answer(_: Any) -> Any:
        return body([ANSWER], kind="application/json")

    async def ask() -> list[bytes]:
        async with optimizer.wrap(LIBRARY.AsyncClient(transport=LIBRARY.MockTransport(answer))) as front:
            raw: list[bytes] = []
            for _ in range(2):
                sent = await front.send(front.build_request("POST", URL, json=ASK), stream=True)
                raw.append(b"".join([part async for part in sent.aiter_raw()]))
                await sent.aclose()
            return raw

    assert asyncio.run(ask()) == [ANSWER] * 2


class Moving:
    """Sends callers on from `/old/…` to `/new/…`, where they get `parts`."""

    def __init__(self, parts: list[bytes], **how: Any) -> None:
        self.parts, self.how = parts, how

    def __call__(self, request: Any) -> Any:
        if "/old/" in request.url.path:
            there = str(request.url).replace("/old/", "/new/")
            return LIBRARY.Response(307, headers={"location": there})
        return body(self.parts, **self.how)


OLD, NEW = URL.replace("/v1/", "/old/v1/"), URL.replace("/v1/", "/new/v1/")


@WAYS
@pytest.mark.parametrize(
    ("asked", "moving"),
    [
        (ASK | {"stream": True}, Moving(EVENTS)),
        (ASK, Moving([ANSWER], kind="application/json")),
        (ASK, Moving([ANSWER], kind="application/json", status=400)),
        (ASK | {"stream": True}, Moving([ANSWER], kind="application/json", status=400)),
    ],
    ids=["stream", "plain", "error", "error of a stream"],
)
def test_a_response_tells_of_the_redirects_before_it(
    optimizer: costopt.Optimizer, settings: Any, asked: Any, moving: Moving
) -> None:
    front = optimizer.wrap(http(moving, follow_redirects=True, **settings))
    with front.stream("POST", OLD, json=asked) as opened:
        assert [past.status_code for past in opened.history] == [307]
        assert (opened.url, opened.request.method) == (NEW, "POST")
        opened.read()


@WAYS
@pytest.mark.parametrize("stream", [False, True])
def test_a_redirect_that_is_not_followed_says_where_to_go(
    optimizer: costopt.Optimizer, settings: Any, stream: bool
) -> None:
    front = optimizer.wrap(http(Moving([ANSWER]), **settings))
    sent = front.send(front.build_request("POST", OLD, json=ASK), stream=stream)
    assert sent.status_code == 307
    assert sent.next_request.url == NEW


@WAYS
@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("asked", [ASK, ASK | {"stream": True}], ids=["plain", "stream"])
def test_a_response_tells_how_it_came(
    optimizer: costopt.Optimizer, settings: Any, status: int, asked: Any
) -> None:
    events = status == 200 and "stream" in asked
    came = {"http_version": b"HTTP/2", "reason_phrase": b"Quite So", "x-mine": 1}

    def answer(_: Any) -> Any:
        kind = "text/event-stream" if events else "application/json"
        return body(EVENTS if events else [ANSWER], kind=kind, status=status, extensions=came)

    front = optimizer.wrap(http(answer, **settings))
    for stream in (True, False):
        sent = front.send(front.build_request("POST", URL, json=asked | {"seed": stream}), stream=stream)
        sent.read()
        assert (sent.http_version, sent.reason_phrase) == ("HTTP/2", "Quite So")
        assert sent.extensions["x-mine"] == 1


def test_who_repeats_a_request_gets_the_same_events_and_another_what_he_asks_for(
    optimizer: costopt.Optimizer,
) -> None:
    front = optimizer.wrap(http(lambda _: body(EVENTS)))  # usage, though nobody asked for it

    def asked(**more: Any) -> bytes:
        return bytes(front.post(URL, json=ASK | more).content)

    first = asked(stream=True)
    assert first == b"".join(EVENTS)
    assert asked(stream=True) == first
    assert asked(stream=True, stream_options={"include_usage": True}) == first
    assert msgspec.json.decode(asked())["choices"][0]["message"]["content"] == "on its way"


class Torn(Drops):
    """A body that breaks off."""

    def __iter__(self) -> Iterator[bytes]:
        yield from super().__iter__()
        raise LIBRARY.ReadError("the connection broke")


def ask(client: Any, *, streams: bool) -> None:
    if not streams:
        client.chat.completions.create(**ASK)
    with client.chat.completions.with_streaming_response.create(**ASK) as came:
        came.read()


async def aask(client: Any, *, streams: bool) -> None:
    if not streams:
        await client.chat.completions.create(**ASK)
    async with client.chat.completions.with_streaming_response.create(**ASK) as came:
        await came.read()


@WAYS
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("streams", [False, True])
def test_an_answer_that_breaks_off_is_asked_for_again_only_where_the_bare_client_would(
    optimizer: costopt.Optimizer, settings: Any, is_async: bool, streams: bool
) -> None:
    asked: list[Any] = []

    def answer(request: Any) -> Any:
        asked.append(request)
        return LIBRARY.Response(200, headers={"content-type": "application/json"}, stream=Torn([b"{"]))

    def tries(wrap: Callable[[Any], Any]) -> int:
        asked.clear()
        transport = LIBRARY.MockTransport(answer)
        with pytest.raises((openai.APIConnectionError, LIBRARY.ReadError)):
            if is_async:
                own = LIBRARY.AsyncClient(transport=transport, **settings)
                client = openai.AsyncOpenAI(api_key="sk-test", http_client=own, max_retries=1)
                asyncio.run(aask(wrap(client), streams=streams))
            else:
                own = LIBRARY.Client(transport=transport, **settings)
                client = openai.OpenAI(api_key="sk-test", http_client=own, max_retries=1)
                ask(wrap(client), streams=streams)
        return len(asked)

    assert tries(optimizer.wrap) == tries(lambda client: client)
