"""One transport for httpx and httpx2, sync and async: HTTP in, flow, HTTP out.

The user's own HTTP client stays the one that talks to the network (its proxies, auth, hooks, pool); ours stands in
front of it. What is not a model call goes through untouched, byte for byte. Neither HTTP library is imported here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from functools import cache, partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

import msgspec

from costopt import wire
from costopt.drive import Live, Opened, arun, astream, run, stream
from costopt.edge.intake import MAX_BODY, OURS, read_headers, request_of, retry_after_s
from costopt.edge.refusal import as_sdk_error
from costopt.effects import Call, Effect
from costopt.errors import Closed, Refused, UpstreamError
from costopt.types import Api, Nano, Reply, Request

if TYPE_CHECKING:
    from costopt.optimizer import Optimizer

#: Headers that described the bytes as they travelled, not the answer.
_TRAVEL = frozenset({"content-encoding", "content-length", "transfer-encoding", "connection"})


class _Edge:
    """What the sync and the async transport share: everything that is not waiting."""

    def __init__(
        self, library: ModuleType, inner: Any, optimizer: Optimizer, on_close: Callable[[], None]
    ) -> None:
        self.library: Any = library
        self.inner = inner
        self.optimizer = optimizer
        self._on_close = on_close

    def api(self, sent: Any) -> Api | None:
        api = wire.recognise(sent.method, sent.url.path)
        try:
            self.optimizer.check_open()
        except Closed as closed:
            raise as_sdk_error(
                closed, "messages" if "anthropic" in sent.url.host else api or "chat"
            ) from None
        return api

    def intake(self, api: Api, sent: Any, content: bytes) -> Request | None:
        if len(content) > MAX_BODY:
            return None
        url = sent.url
        head = read_headers(sent.headers.raw)
        return request_of(
            api, str(url), url.host, head, content, self.optimizer.new_id, self.optimizer.shares_tenants
        )

    def outgoing(self, sent: Any, request: Request | None = None) -> Any:
        """The request as the provider gets it: without our headers, and with an edited body only if one was edited."""
        edited = request is not None and not request.raw
        if not edited and not any(name.lower().startswith(OURS) for name, _ in sent.headers.raw):
            return sent
        headers = [(name, value) for name, value in sent.headers.raw if not name.lower().startswith(OURS)]
        if not edited or request is None:
            return self.library.Request(
                sent.method, sent.url, headers=headers, stream=sent.stream, extensions=sent.extensions
            )
        kept = [(name, value) for name, value in headers if name.lower() != b"content-length"]
        content = msgspec.json.encode(request.body)
        return self.library.Request(
            sent.method, sent.url, headers=kept, content=content, extensions=sent.extensions
        )

    def foreign(self, request: Request, first: Request) -> bool:
        return request.provider != first.provider

    def lives(self, request: Request, response: Any) -> bool:
        """Whether chunks may be passed on as they arrive."""
        kind = response.headers.get("content-type", "")
        return request.stream and not request.hold and response.status_code == 200 and "event-stream" in kind

    def opened(self, request: Request, response: Any, chunks: Any) -> Opened:
        headers = _headers(response)
        read = partial(wire.read_events, request.api, response.status_code, headers)
        return Opened(response.status_code, headers, chunks, read, self.optimizer.world.clock.now)

    def reply(self, request: Request, response: Any, content: bytes) -> Reply:
        """The provider's answer. Raises UpstreamError for a status of 400 or more."""
        headers = _headers(response)
        if response.status_code >= 400:
            reply = Reply(response.status_code, headers, content, finish="error")
            wait = retry_after_s(response.headers, self.optimizer.world.clock.now() / 1e9)
            raise UpstreamError(reply, retry_after_s=wait)
        if "event-stream" in response.headers.get("content-type", ""):
            return wire.read_events(request.api, response.status_code, headers, content)[0]
        return wire.read_body(request.api, response.status_code, headers, content)

    def answer(self, request: Request, reply: Reply) -> Any:
        """`reply` in the form the caller asked for."""
        streamed = request.stream and reply.status == 200
        if streamed:
            content = wire.answer_stream(request.api, reply, request.body)
        else:
            content = wire.answer_body(request.api, reply)
        kind = "text/event-stream; charset=utf-8" if streamed else "application/json"
        headers = [(name, value) for name, value in reply.headers if name != "content-type"]
        headers += [("content-type", kind), *_told(request, reply)]
        return self.library.Response(reply.status, headers=headers, content=content)

    def failed(self, failure: UpstreamError) -> Any:
        """The provider's own error answer, or the HTTP library's own exception."""
        reply = failure.reply
        if reply is None:
            raise failure.cause or failure
        return self.library.Response(reply.status, headers=list(reply.headers), content=reply.body)

    def live(self, request: Request, live: Live, body: Any) -> Any:
        headers = [*live.opened.headers, ("x-costopt-call", request.id), ("x-costopt-cache", "miss")]
        return self.library.Response(live.opened.status, headers=headers, stream=body)


class SyncEdge(_Edge):
    """Mixed into the library's `BaseTransport` by `transports`."""

    def handle_request(self, sent: Any) -> Any:
        api = self.api(sent)
        request = self.intake(api, sent, sent.read()) if api else None
        if request is None:
            return self.inner.send(self.outgoing(sent), stream=True)
        responses: list[Any] = []
        try:
            result = run(self.optimizer.flow(request), partial(self._perform, sent, request, responses))
        except UpstreamError as failure:
            return self.failed(failure)
        except Refused as refusal:
            raise as_sdk_error(refusal, request.api) from None
        if isinstance(result, Live):
            body = _streams(self.library)[0](stream(result), result, responses[-1])
            return self.live(request, result, body)
        return self.answer(request, result)

    def _perform(self, sent: Any, first: Request, responses: list[Any], effect: Effect[Any]) -> Any:
        if type(effect) is not Call:
            return self.optimizer.world.perform(effect)
        if self.foreign(effect.request, first):
            return self.optimizer.world.complete(effect.request)
        return self._call(sent, effect.request, responses)

    def _call(self, sent: Any, request: Request, responses: list[Any]) -> Reply | Opened:
        try:
            response = self.inner.send(self.outgoing(sent, request), stream=True)
            if self.lives(request, response):
                responses.append(response)
                return self.opened(request, response, response.iter_bytes())
            content = response.read()
        except Exception as error:
            raise UpstreamError(None, error) from error
        return self.reply(request, response, content)

    def close(self) -> None:
        self.inner.close()
        self._on_close()


class AsyncEdge(_Edge):
    """Mixed into the library's `AsyncBaseTransport` by `transports`."""

    async def handle_async_request(self, sent: Any) -> Any:
        api = self.api(sent)
        request = self.intake(api, sent, await sent.aread()) if api else None
        if request is None:
            return await self.inner.send(self.outgoing(sent), stream=True)
        responses: list[Any] = []
        perform = partial(self._perform, sent, request, responses)
        try:
            result = await arun(self.optimizer.flow(request), perform, self.optimizer.world.executor)
        except UpstreamError as failure:
            return self.failed(failure)
        except Refused as refusal:
            raise as_sdk_error(refusal, request.api) from None
        if isinstance(result, Live):
            chunks = astream(result, self.optimizer.world.executor)
            return self.live(request, result, _streams(self.library)[1](chunks, result, responses[-1]))
        return self.answer(request, result)

    def _perform(self, sent: Any, first: Request, responses: list[Any], effect: Effect[Any]) -> Any:
        if type(effect) is not Call:
            return self.optimizer.world.perform(effect)
        if self.foreign(effect.request, first):
            return self.optimizer.world.complete(effect.request)
        return self._call(sent, effect.request, responses)

    async def _call(self, sent: Any, request: Request, responses: list[Any]) -> Reply | Opened:
        try:
            response = await self.inner.send(self.outgoing(sent, request), stream=True)
            if self.lives(request, response):
                responses.append(response)
                return self.opened(request, response, response.aiter_bytes())
            content = await response.aread()
        except Exception as error:
            raise UpstreamError(None, error) from error
        return self.reply(request, response, content)

    async def aclose(self) -> None:
        await self.inner.aclose()
        self._on_close()


class _SyncBody:
    """The bytes of a live stream. Closing it early tells the flow; a forgotten one does so when collected."""

    def __init__(self, chunks: Generator[bytes], live: Live, response: Any) -> None:
        self._chunks = chunks
        self._live = live
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        self._chunks.close()
        self._live.leave()
        self._response.close()

    def __del__(self) -> None:
        self._live.leave()


class _AsyncBody:
    def __init__(self, chunks: AsyncGenerator[bytes], live: Live, response: Any) -> None:
        self._chunks = chunks
        self._live = live
        self._response = response

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def aclose(self) -> None:
        await self._chunks.aclose()
        self._live.leave()
        await self._response.aclose()

    def __del__(self) -> None:
        self._live.leave()


@cache
def transports(library: ModuleType) -> tuple[type[SyncEdge], type[AsyncEdge]]:
    """The two transport classes for an HTTP library (`httpx` or `httpx2`)."""
    lib: Any = library
    return (
        type("SyncTransport", (SyncEdge, lib.BaseTransport), {}),
        type("AsyncTransport", (AsyncEdge, lib.AsyncBaseTransport), {}),
    )


@cache
def _streams(library: ModuleType) -> tuple[type[_SyncBody], type[_AsyncBody]]:
    lib: Any = library
    return (
        type("SyncBody", (_SyncBody, lib.SyncByteStream), {}),
        type("AsyncBody", (_AsyncBody, lib.AsyncByteStream), {}),
    )


def _headers(response: Any) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in response.headers.multi_items() if name not in _TRAVEL)


def _told(request: Request, reply: Reply) -> list[tuple[str, str]]:
    """What the caller is told about the call, in `x-costopt-*` headers."""
    told = [("x-costopt-call", request.id), ("x-costopt-cache", reply.tier or "miss")]
    receipt = reply.receipt
    if receipt is None:
        return told
    told.append(("x-costopt-model", receipt.model))
    if receipt.cost is not None:
        told += [
            ("x-costopt-cost", usd(receipt.cost)),
            ("x-costopt-saved", usd(sum(s.nano for s in receipt.savings))),
        ]
    return told


def usd(nano: Nano) -> str:
    """Nano-USD as decimal dollars, exact."""
    sign, nano = ("-", -nano) if nano < 0 else ("", nano)
    return f"{sign}{nano // 10**9}.{nano % 10**9:09d}"
