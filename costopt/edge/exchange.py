"""One HTTP exchange: the caller's HTTP request as a `Request`, and replies as HTTP responses. Waits for nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

import msgspec

from costopt import wire
from costopt.drive import Live, Opened
from costopt.edge.intake import MAX_BODY, OURS, Address, Header, Known, request_of, retry_after_s
from costopt.edge.refusal import as_last_word
from costopt.errors import UpstreamError
from costopt.money import usd
from costopt.types import Control, Reply, Request

if TYPE_CHECKING:
    from costopt.engine import Engine

_log = logging.getLogger("costopt")
#: Headers that described the bytes as they travelled, not the answer.
_TRAVEL = frozenset({b"content-encoding", b"content-length", b"transfer-encoding", b"connection"})


def passed_on(library: Any, sent: Any) -> Any:
    """What is no model call, for the provider: the same without our headers."""
    if not any(name.lower().startswith(OURS) for name, _ in sent.headers.raw):
        return sent
    return library.Request(
        sent.method, sent.url, headers=_not_ours(sent), stream=sent.stream, extensions=sent.extensions
    )


def read(engine: Engine, library: Any, known: Known, address: Address, sent: Any) -> Exchange | None:
    """The model call in `sent` (its body loaded), or None for what passes through untouched."""
    content = sent.content
    if len(content) > MAX_BODY:
        _log.warning("costopt: a request of %d MB passes by unread and unrecorded", len(content) >> 20)
        return None
    head = known.letterhead(sent.headers.raw)
    call, at = engine.new_id(), engine.world.clock.now()
    patience_s = sent.extensions.get("timeout", {}).get("read")
    request = request_of(
        call, at, address, head, content, patience_s=patience_s, shared=engine.shares_tenants
    )
    return Exchange(engine, library, sent, request, told=bool(head.asked)) if request else None


class Exchange:
    """The caller's HTTP request, the model call in it, and the provider's last response to it. `told` says that
    there are headers of ours in it, which are not for the provider."""

    def __init__(self, engine: Engine, library: Any, sent: Any, request: Request, *, told: bool) -> None:
        self.engine = engine
        self.library = library
        self.sent = sent
        self.request = request
        self.response: Any = None
        self.headers: tuple[tuple[str, str], ...] = ()
        self.streams = self.packed = False
        self._told = told
        self._shown: Callable[[], Any] = lambda: None
        self._read: bytes | None = None

    def keep_out_of_caches(self, why: str) -> None:
        self.request = msgspec.structs.replace(self.request, control=Control("off", why=why))

    def outgoing(self, request: Request) -> Any:
        """What the provider gets: the caller's own bytes without our headers, or the edited body if one was edited."""
        if request.raw and not self._told:
            return self.sent
        headers = _not_ours(self.sent)
        new = partial(self.library.Request, self.sent.method, self.sent.url, extensions=self.sent.extensions)
        if request.raw:
            return new(headers=headers, stream=self.sent.stream)
        kept = [(name, value) for name, value in headers if name.lower() != b"content-length"]
        return new(headers=kept, content=msgspec.json.encode(request.body))

    def foreign(self, request: Request) -> bool:
        """Whether the flow sends this call to another provider than the client's own."""
        return request.provider != self.request.provider

    def came(self, response: Any) -> None:
        """The head of the provider's response is there. `packed`: its bytes are not to be had as they travel."""
        headers = [(name.lower(), value) for name, value in response.headers.raw]
        said = dict(headers)
        self.response = response
        self.headers = _text(headers)
        self.streams = b"event-stream" in said.get(b"content-type", b"")
        self.packed = b"content-encoding" in said or response.is_stream_consumed

    def lives(self, request: Request) -> bool:
        """Whether the response's chunks may be passed on as they arrive."""
        return self.streams and request.stream and not request.hold and self.response.status_code == 200

    def opened(self, request: Request, chunks: Any) -> Opened:
        status = self.response.status_code
        read_events = partial(wire.read_events, request.api, status, self.headers)
        return Opened(status, self.headers, chunks, read_events, self.engine.world.clock.now)

    def reply(self, request: Request, content: bytes) -> Reply:
        """The provider's answer. Raises UpstreamError for any status but 2xx (the HTTP client follows redirects)."""
        response, headers, self._read = self.response, self.headers, content
        if not 200 <= response.status_code < 300:
            wait = retry_after_s(response.headers, self.engine.world.clock.now() / 1e9)
            failed = Reply(response.status_code, headers, content, finish="error")
            raise UpstreamError(failed, retry_after_s=wait)
        if self.streams:
            return self._whole(
                request, *wire.read_events(request.api, response.status_code, headers, content)
            )
        return wire.read_body(request.api, response.status_code, headers, content)

    def _whole(self, request: Request, reply: Reply, complete: bool) -> Reply:
        """A streamed answer; who asked for a plain one must not take a part of it for all."""
        if complete or request.stream or reply.finish == "error":
            return reply
        cut = self.library.RemoteProtocolError("the answer was cut off", request=self.sent)
        raise UpstreamError(None, cut, partial=reply)

    def answer(self, reply: Reply) -> Any:
        """`reply` in the form the caller asked for: the provider's own response where that is what it is."""
        api, request = self.request.api, self.request
        if reply.body is self._read and not request.stream:
            self.response.headers = self.library.Headers([*self.response.headers.raw, *_told(request, reply)])
            return self._timed(self.response)
        if reply.finish == "error" and not reply.events:  # not an answer of this API: as it came
            return self._response(reply, reply.body)
        if request.stream:
            return self._response(reply, wire.answer_stream(api, reply, request.body), _EVENTS)
        return self._response(reply, wire.answer_body(api, reply), _JSON)

    def _response(self, reply: Reply, content: bytes, kind: bytes | None = None) -> Any:
        """`content` as a stream, which the HTTP client reads as it reads a provider's; reading it here as well would
        cost more than all the rest."""
        headers = _raw(reply.headers)
        if kind is not None:
            headers = [header for header in headers if header[0] != b"content-type"]
            headers.append((b"content-type", kind))
        headers += _told(self.request, reply)
        headers.append((b"content-length", b"%d" % len(content)))
        stream = self.library.ByteStream(content)
        return self._timed(
            self.library.Response(reply.status, headers=headers, stream=stream, request=self.sent)
        )

    def _timed(self, response: Any) -> Any:
        """With the time it took: an HTTP client sets that only on responses it reads itself."""
        response.elapsed = timedelta(microseconds=(self.engine.world.clock.now() - self.request.at) / 1000)
        return response

    def failed(self, failure: UpstreamError) -> Any:
        """The provider's own error answer. Raises the HTTP library's own exception where there was none.

        Where the policy tries again itself, the SDK is told (in the header both SDKs read, or by an error of its own)
        that this was the last attempt: two layers of retries would multiply."""
        reply = failure.reply
        if reply is None:
            cause = failure.cause or failure
            raise as_last_word(cause, self.request.api, self.sent) if self._retries else cause
        headers = _raw(reply.headers)
        if self._retries:
            headers = [header for header in headers if header[0] != b"x-should-retry"]
            headers.append((b"x-should-retry", b"false"))
        return self._timed(
            self.library.Response(reply.status, headers=headers, content=reply.body, request=self.sent)
        )

    @property
    def _retries(self) -> bool:
        return self.engine.policy.retry.attempts > 1

    def live(self, live: Live, body: Any) -> Any:
        self.engine.watch(live)
        headers = _raw(live.opened.headers)
        headers += [(b"x-costopt-call", self.request.id.encode()), (b"x-costopt-cache", b"miss")]
        response = self.library.Response(live.opened.status, headers=headers, stream=body, request=self.sent)
        self._shown = ref(response)  # no more: who forgets a stream leaves it, at once
        return response

    def closed(self) -> None:
        """A live stream came to its end, for the caller."""
        if (shown := self._shown()) is not None:
            self._timed(shown)


_EVENTS = b"text/event-stream; charset=utf-8"
_JSON = b"application/json"


def _text(headers: list[Header]) -> tuple[tuple[str, str], ...]:
    """What headers say of the answer; as Latin-1, so that `_raw` gives the same bytes again."""
    return tuple(
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers if name not in _TRAVEL]
    )


def _raw(headers: tuple[tuple[str, str], ...]) -> list[Header]:
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]


def _not_ours(sent: Any) -> list[Header]:
    return [header for header in sent.headers.raw if not header[0].lower().startswith(OURS)]


def _told(request: Request, reply: Reply) -> list[Header]:
    """What the caller is told about the call, in `x-costopt-*` headers: all of them on every answer (others rely on
    it, though the SDKs' HTTP clients take 5 to 10 µs for each)."""
    told = [
        (b"x-costopt-call", request.id.encode()),
        (b"x-costopt-cache", reply.tier.encode() if reply.tier else b"miss"),
    ]
    receipt = reply.receipt
    if receipt is None:
        return told
    told.append((b"x-costopt-model", receipt.model.encode()))
    if receipt.cost is not None:
        told.append((b"x-costopt-cost", usd(receipt.cost).encode()))
        saved = sum([saving.nano for saving in receipt.savings])
        told.append((b"x-costopt-saved", usd(saved).encode()))
    return told
