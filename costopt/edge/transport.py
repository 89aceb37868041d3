"""One transport for httpx and httpx2, sync and async: HTTP in, flow, HTTP out.

The user's own HTTP client lends its transports (its pool, proxies, TLS); ours stands in front of them. What is not a
model call goes through untouched, byte for byte. Neither HTTP library is imported here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from functools import cache, partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from costopt.decide.retry import was_sent
from costopt.drive import Live, Opened, arun, astream, run, stream
from costopt.edge import answering, exchange
from costopt.edge.exchange import Exchange
from costopt.edge.intake import Address, Known, who_of
from costopt.edge.refusal import as_sdk_error
from costopt.effects import Perform
from costopt.errors import Closed, Refused, UpstreamError
from costopt.types import Reply, Request

if TYPE_CHECKING:
    from costopt.engine import Engine


class Edge(ABC):
    """`inner` is the user's own HTTP client; `on_close` runs after it was closed. Where that client `sends_itself`,
    in a way of its own, what it puts into a request nobody sees: no answer to it is kept."""

    #: The method that an HTTP client calls.
    entrance: ClassVar[str]

    def __init__(self, library: ModuleType, inner: Any, engine: Engine, on_close: Callable[[], None]) -> None:
        self.library: Any = library
        self.inner = inner
        self.engine = engine
        self.on_close = on_close
        self.sends_itself = _has_own(library, inner, "send")
        self.builds_itself = _has_own(library, inner, "build_request")
        self._known = Known(who_of(inner.cookies.jar))

    def _sender(self, sent: Any) -> Any:
        """What sends a request that the client's own work was done on: the user's transport (the proxy or mount that
        his client would have taken), or his client, where it sends in a way of its own."""
        if self.sends_itself:
            return partial(self.inner.send, stream=True)
        return getattr(self.inner._transport_for_url(sent.url), self.entrance)  # there is no public way to it

    def _address(self, sent: Any) -> Address | None:
        address = self._known.address(sent.method, str(sent.url))
        try:
            self.engine.check_open()
        except Closed as closed:
            raise as_sdk_error(closed, address.api if address else "chat") from None
        return address

    def _read(self, address: Address, sent: Any, content: bytes) -> Exchange | None:
        try:
            at = exchange.read(self.engine, self.library, self._known, address, sent, content)
        except Refused as refusal:
            raise as_sdk_error(refusal, address.api) from None
        if at and self.sends_itself:
            at.keep_out_of_caches("the HTTP client's own send() may yet say who asks")
        return at

    def _perform(self, at: Exchange, send: Callable[[Any], Any]) -> Perform:
        return self.engine.world.performing(partial(self._answered, at, send))

    def _answered(self, at: Exchange, send: Callable[[Any], Any], request: Request) -> Any:
        return self.engine.world.complete(request) if at.foreign(request) else self._call(at, send, request)

    @abstractmethod
    def _call(self, at: Exchange, send: Callable[[Any], Any], request: Request) -> Any: ...


def _has_own(library: ModuleType, client: Any, method: str) -> bool:
    """Whether `client` is of a class that does this in its own way."""
    if method in vars(client):
        return True
    doer = next(kind for kind in type(client).__mro__ if method in vars(kind))
    return doer.__module__.split(".")[0] != library.__name__


class SyncEdge(Edge):
    """Mixed into the library's `BaseTransport` by `transports`."""

    entrance = "handle_request"

    def handle_request(self, sent: Any) -> Any:
        send = self._sender(sent)
        answer = self.answer(sent, send)
        if answer is None:
            return send(exchange.passed_on(self.library, sent))
        return answering.unread(self.library, answer, sent)

    def answer(self, sent: Any, send: Callable[[Any], Any]) -> Any:
        """The response to the model call in `sent`, None where there is none in it. `send` asks the provider."""
        address = self._address(sent)
        if address is None:
            return None
        at = self._read(address, sent, sent.read())
        if at is None:
            return None
        try:
            result = run(self.engine.flow(at.request), self._perform(at, send))
        except UpstreamError as failure:
            return answering.failed(at, failure)
        except (Refused, Closed) as refusal:
            raise as_sdk_error(refusal, at.request.api) from None
        if isinstance(result, Live):
            return answering.live(at, result, _bodies(self.library)[0](stream(result), result, at))
        return answering.answered(at, result)

    def _call(self, at: Exchange, send: Callable[[Any], Any], request: Request) -> Reply | Opened:
        try:
            at.response = None
            at.came(request, send(at.outgoing(request)))
            if at.lives(request):
                return at.opened(request, at.response.iter_bytes() if at.packed else at.response.iter_raw())
            content = at.response.read()
        except Exception as error:
            raise UpstreamError(None, error, sent=was_sent(error)) from error
        return at.reply(request, content)

    def close(self) -> None:
        self.inner.close()
        self.on_close()


class AsyncEdge(Edge):
    """Mixed into the library's `AsyncBaseTransport` by `transports`."""

    entrance = "handle_async_request"

    async def handle_async_request(self, sent: Any) -> Any:
        send = self._sender(sent)
        answer = await self.answer(sent, send)
        if answer is None:
            return await send(exchange.passed_on(self.library, sent))
        return answering.unread(self.library, answer, sent)

    async def answer(self, sent: Any, send: Callable[[Any], Any]) -> Any:
        """`SyncEdge.answer` on an event loop."""
        address = self._address(sent)
        if address is None:
            return None
        at = self._read(address, sent, await sent.aread())
        if at is None:
            return None
        executor = self.engine.world.executor
        try:
            result = await arun(self.engine.flow(at.request), self._perform(at, send), executor)
        except UpstreamError as failure:
            return answering.failed(at, failure)
        except (Refused, Closed) as refusal:
            raise as_sdk_error(refusal, at.request.api) from None
        if isinstance(result, Live):
            return answering.live(at, result, _bodies(self.library)[1](astream(result, executor), result, at))
        return answering.answered(at, result)

    async def _call(self, at: Exchange, send: Callable[[Any], Any], request: Request) -> Reply | Opened:
        try:
            at.response = None
            at.came(request, await send(at.outgoing(request)))
            if at.lives(request):
                return at.opened(request, at.response.aiter_bytes() if at.packed else at.response.aiter_raw())
            content = await at.response.aread()
        except Exception as error:
            raise UpstreamError(None, error, sent=was_sent(error)) from error
        return at.reply(request, content)

    async def aclose(self) -> None:
        await self.inner.aclose()
        self.on_close()


C = TypeVar("C")


class Body(Generic[C]):
    """The bytes of a live stream. Closing it early tells the flow; a forgotten one does so when collected."""

    def __init__(self, chunks: C, live: Live, at: Exchange) -> None:
        self._chunks = chunks
        self._live = live
        self._at = at
        live.follow(self)


class SyncBody(Body[Generator[bytes]]):
    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        self._chunks.close()
        self._live.leave()
        self._at.response.close()
        answering.closed(self._at)


class AsyncBody(Body[AsyncGenerator[bytes]]):
    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def aclose(self) -> None:
        await self._chunks.aclose()
        self._live.leave(self._at.engine.world.executor)
        await self._at.response.aclose()
        answering.closed(self._at)


@cache
def transports(library: ModuleType) -> tuple[type[SyncEdge], type[AsyncEdge]]:
    """The two transport classes for an HTTP library (`httpx` or `httpx2`)."""
    lib: Any = library
    return (
        type("SyncTransport", (SyncEdge, lib.BaseTransport), {}),
        type("AsyncTransport", (AsyncEdge, lib.AsyncBaseTransport), {}),
    )


@cache
def _bodies(library: ModuleType) -> tuple[type[SyncBody], type[AsyncBody]]:
    lib: Any = library
    return (
        type("SyncBody", (SyncBody, lib.SyncByteStream), {}),
        type("AsyncBody", (AsyncBody, lib.AsyncByteStream), {}),
    )
