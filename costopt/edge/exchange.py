"""One HTTP exchange: the caller's HTTP request as a `Request`, and what the provider sends as a `Reply`.

Waits for nothing. What the caller gets is made in `costopt.edge.answering`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from costopt import wire
from costopt.drive import Opened
from costopt.edge.intake import MAX_BODY, OURS, Address, Header, Known, request_of, retry_after_s
from costopt.errors import UpstreamError
from costopt.types import Control, Reply, Request

if TYPE_CHECKING:
    from costopt.engine import Engine

_log = logging.getLogger("costopt")
#: Headers that described the bytes as they travelled, not the answer.
TRAVEL = frozenset({b"content-encoding", b"content-length", b"transfer-encoding", b"connection"})


def passed_on(library: Any, sent: Any) -> Any:
    """What is no model call, for the provider: the same without our headers."""
    if not any(name.lower().startswith(OURS) for name, _ in sent.headers.raw):
        return sent
    return library.Request(
        sent.method, sent.url, headers=_not_ours(sent), stream=sent.stream, extensions=sent.extensions
    )


def read(
    engine: Engine, library: Any, known: Known, address: Address, sent: Any, content: bytes
) -> Exchange | None:
    """The model call in `sent`, whose body is `content`, or None for what passes through untouched."""
    if len(content) > MAX_BODY:
        _log.warning("costopt: a request of %d MB passes by unread and unrecorded", len(content) >> 20)
        return None
    head = known.letterhead(sent.headers.raw)
    at = engine.world.clock.now()
    patience_s = sent.extensions.get("timeout", {}).get("read")
    request = request_of(
        engine.new_id(at), at, address, head, content, patience_s=patience_s, shared=engine.shares_tenants
    )
    return Exchange(engine, library, sent, request, told=bool(head.asked)) if request else None


class Exchange:
    """The caller's HTTP request, the model call in it, and the provider's last response to it. `told` says that
    there are headers of ours in it, which are not for the provider; `shown` gives the live stream, if there is one
    and the caller still has it."""

    def __init__(self, engine: Engine, library: Any, sent: Any, request: Request, *, told: bool) -> None:
        self.engine = engine
        self.library = library
        self.sent = sent
        self.request = request
        self.response: Any = None
        self.headers: tuple[tuple[str, str], ...] = ()
        self.streams = self.packed = False
        self.shown: Callable[[], Any] = lambda: None
        self._told = told
        self._read: bytes | None = None

    def keep_out_of_caches(self, why: str) -> None:
        self.request = msgspec.structs.replace(self.request, control=Control("off", why=why))

    def outgoing(self, request: Request) -> Any:
        """What the provider gets: the caller's own bytes without our headers, or the edited body if one was edited."""
        if request.raw and not self._told:
            return self.sent
        headers, url = _not_ours(self.sent), self.sent.url
        new = partial(self.library.Request, self.sent.method, extensions=self.sent.extensions)
        if request.raw:
            return new(url, headers=headers, stream=self.sent.stream)
        if request.model != self.request.model:
            url = wire.with_deployment(str(url), request.model)
        kept = [(name, value) for name, value in headers if name.lower() != b"content-length"]
        return new(url, headers=kept, content=msgspec.json.encode(request.body))

    def foreign(self, request: Request) -> bool:
        """Whether the flow sends this call to another provider than the client's own."""
        return request.provider != self.request.provider

    def came(self, request: Request, response: Any) -> None:
        """The head of the provider's response to `request` is there. `packed`: its bytes are not to be had as they
        travel."""
        headers = [(name.lower(), value) for name, value in response.headers.raw]
        said = dict(headers)
        self.response, self._read = response, None
        self.headers = _text(headers)
        self.streams = _of_events(request, response.status_code, said.get(b"content-type", b"").lower())
        self.packed = b"content-encoding" in said or response.is_stream_consumed

    def lives(self, request: Request) -> bool:
        """Whether the response's chunks may be passed on as they arrive."""
        return self.streams and request.stream and not request.hold and self.response.status_code == 200

    def opened(self, request: Request, chunks: Any) -> Opened:
        status = self.response.status_code
        read_events = partial(wire.read_events, request.api, status, self.headers, asked=request.body)
        return Opened(status, self.headers, chunks, read_events, self.engine.world.clock.now)

    def reply(self, request: Request, content: bytes) -> Reply:
        """The provider's answer. Raises UpstreamError for any status but 2xx (the HTTP client follows redirects)."""
        response, headers, self._read = self.response, self.headers, content
        if not 200 <= response.status_code < 300:
            wait = retry_after_s(response.headers, self.engine.world.clock.now() / 1e9)
            failed = Reply(response.status_code, headers, content, finish="error")
            raise UpstreamError(failed, retry_after_s=wait)
        if self.streams:
            status = response.status_code
            read = wire.read_events(request.api, status, headers, content, asked=request.body)
            return self._whole(request, *read)
        return wire.read_body(request.api, response.status_code, headers, content)

    def _whole(self, request: Request, reply: Reply, complete: bool) -> Reply:
        """A streamed answer; who asked for a plain one must not take a part of it for all."""
        if complete or request.stream or reply.finish == "error":
            return reply
        cut = self.library.RemoteProtocolError("the answer was cut off", request=self.sent)
        raise UpstreamError(None, cut, partial=reply)

    def is_own(self, reply: Reply) -> bool:
        """Whether `reply` is what the provider's last response says: no cached answer, no other provider's."""
        said = reply.events or reply.body
        return said is self._read and reply.status == self.response.status_code


def _of_events(request: Request, status: int, kind: bytes) -> bool:
    """Whether a response is a stream of events. Servers that name another type for one, or none, are read as streams
    by the SDKs; an answer that is no stream comes as JSON, a gateway's own page as HTML."""
    if b"event-stream" in kind:
        return True
    return request.stream and status == 200 and b"json" not in kind and b"html" not in kind


def _text(headers: list[Header]) -> tuple[tuple[str, str], ...]:
    """What headers say of the answer; as Latin-1, so that who encodes it gets the same bytes again."""
    return tuple(
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers if name not in TRAVEL]
    )


def _not_ours(sent: Any) -> list[Header]:
    return [header for header in sent.headers.raw if not header[0].lower().startswith(OURS)]
