"""One HTTP exchange: the caller's HTTP request as a `Request`, and replies as HTTP responses. Waits for nothing."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from costopt import wire
from costopt.drive import Live, Opened
from costopt.edge.intake import MAX_BODY, OURS, read_headers, request_of, retry_after_s
from costopt.errors import UpstreamError
from costopt.types import Api, Reply, Request, usd

if TYPE_CHECKING:
    from costopt.engine import Engine

#: Headers that described the bytes as they travelled, not the answer.
_TRAVEL = frozenset({"content-encoding", "content-length", "transfer-encoding", "connection"})


def read(engine: Engine, api: Api | None, sent: Any) -> Request | None:
    """The model call in `sent` (its body loaded), or None for what passes through untouched."""
    if api is None or len(sent.content) > MAX_BODY:
        return None
    head = read_headers(sent.headers.raw)
    shared = engine.shares_tenants
    request = request_of(api, str(sent.url), sent.url.host, head, sent.content, engine.new_id, shared)
    patience = sent.extensions.get("timeout", {}).get("read")
    return replace(request, patience_s=patience) if request and patience is not None else request


def outgoing(library: Any, sent: Any, request: Request | None = None) -> Any:
    """What the provider gets: the caller's own bytes without our headers, or the edited body if one was edited."""
    edited = request is not None and not request.raw
    if not edited and not any(name.lower().startswith(OURS) for name, _ in sent.headers.raw):
        return sent
    headers = [(name, value) for name, value in sent.headers.raw if not name.lower().startswith(OURS)]
    new = partial(library.Request, sent.method, sent.url, extensions=sent.extensions)
    if request is None or not edited:
        return new(headers=headers, stream=sent.stream)
    kept = [(name, value) for name, value in headers if name.lower() != b"content-length"]
    return new(headers=kept, content=msgspec.json.encode(request.body))


class Exchange:
    """The caller's HTTP request, the model call in it, and the provider's last response to it."""

    def __init__(self, engine: Engine, library: Any, sent: Any, request: Request) -> None:
        self.engine = engine
        self.library = library
        self.sent = sent
        self.request = request
        self.response: Any = None
        self.came = engine.world.clock.now()
        self._read: bytes | None = None

    def outgoing(self, request: Request) -> Any:
        return outgoing(self.library, self.sent, request)

    def foreign(self, request: Request) -> bool:
        """Whether the flow sends this call to another provider than the client's own."""
        return request.provider != self.request.provider

    def lives(self, request: Request) -> bool:
        """Whether the response's chunks may be passed on as they arrive."""
        kind = self.response.headers.get("content-type", "")
        streams = self.response.status_code == 200 and "event-stream" in kind
        return request.stream and not request.hold and streams

    def opened(self, request: Request, chunks: Any) -> Opened:
        status, headers = self.response.status_code, _headers(self.response)
        read_events = partial(wire.read_events, request.api, status, headers)
        return Opened(status, headers, chunks, read_events, self.engine.world.clock.now)

    def reply(self, request: Request, content: bytes) -> Reply:
        """The provider's answer. Raises UpstreamError for any status but 2xx (the HTTP client follows redirects)."""
        response, self._read = self.response, content
        headers = _headers(response)
        if not 200 <= response.status_code < 300:
            wait = retry_after_s(response.headers, self.engine.world.clock.now() / 1e9)
            failed = Reply(response.status_code, headers, content, finish="error")
            raise UpstreamError(failed, retry_after_s=wait)
        if "event-stream" in response.headers.get("content-type", ""):
            return wire.read_events(request.api, response.status_code, headers, content)[0]
        return wire.read_body(request.api, response.status_code, headers, content)

    def answer(self, reply: Reply) -> Any:
        """`reply` in the form the caller asked for: the provider's own response where that is what it is."""
        api, request = self.request.api, self.request
        if reply.body is self._read and not request.stream:
            told = [(name.encode(), value.encode()) for name, value in _told(request, reply)]
            self.response.headers = self.library.Headers([*self.response.headers.raw, *told])
            return self._timed(self.response)
        if reply.finish == "error" and not reply.events:  # not an answer of this API: as it came
            return self._response(reply, reply.headers, reply.body)
        if request.stream:
            return self._response(reply, _EVENTS, wire.answer_stream(api, reply, request.body))
        return self._response(reply, _JSON, wire.answer_body(api, reply))

    def _response(self, reply: Reply, kind: tuple[tuple[str, str], ...], content: bytes) -> Any:
        headers = [(name, value) for name, value in reply.headers if name != "content-type"]
        headers += [(name, value) for name, value in kind if name == "content-type"]
        headers += _told(self.request, reply)
        headers.append(
            ("content-length", str(len(content)))
        )  # left to the library, it costs more than all others
        return self._timed(self.library.Response(reply.status, headers=headers, content=content))

    def _timed(self, response: Any) -> Any:
        """With the time it took: an HTTP client sets that only on responses it reads itself."""
        response.elapsed = timedelta(microseconds=(self.engine.world.clock.now() - self.came) / 1000)
        return response

    def failed(self, failure: UpstreamError) -> Any:
        """The provider's own error answer. Raises the HTTP library's own exception where there was none.

        Where the policy tries again itself, the SDK is told (in the header both SDKs read) that this was the last
        attempt: two layers of retries would multiply."""
        reply = failure.reply
        if reply is None:
            raise failure.cause or failure
        headers = [
            (name, value) for name, value in reply.headers if name != "x-should-retry" or not self._retries
        ]
        headers += [("x-should-retry", "false")] * self._retries
        return self._timed(self.library.Response(reply.status, headers=headers, content=reply.body))

    @property
    def _retries(self) -> bool:
        return self.engine.policy.retry.attempts > 1

    def live(self, live: Live, body: Any) -> Any:
        self.engine.watch(live)
        ours = (("x-costopt-call", self.request.id), ("x-costopt-cache", "miss"))
        return self.library.Response(live.opened.status, headers=[*live.opened.headers, *ours], stream=body)


_EVENTS = (("content-type", "text/event-stream; charset=utf-8"),)
_JSON = (("content-type", "application/json"),)


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
        saved = sum(saving.nano for saving in receipt.savings)
        told += [("x-costopt-cost", usd(receipt.cost)), ("x-costopt-saved", usd(saved))]
    return told
