"""The HTTP responses a caller gets: the provider's own where that is what he asked for, else one made of a reply."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from weakref import ref

from costopt import wire
from costopt.drive import Live
from costopt.edge.exchange import TRAVEL, Exchange
from costopt.edge.intake import Header
from costopt.edge.refusal import as_last_word
from costopt.money import usd

if TYPE_CHECKING:
    from costopt.errors import UpstreamError
    from costopt.types import Reply, Request

_EVENTS = b"text/event-stream; charset=utf-8"
_JSON = b"application/json"


def answered(at: Exchange, reply: Reply) -> Any:
    """`reply` in the form the caller asked for."""
    api, request = at.request.api, at.request
    if not request.stream and not reply.events and at.is_own(reply):
        return _with_headers(at, [*at.response.headers.raw, *_told(request, reply)])
    if reply.finish == "error" and not reply.events:  # not an answer of this API: as it came
        return _made(at, reply, reply.body)
    if request.stream:
        return _made(at, reply, wire.answer_stream(api, reply, request.body), _EVENTS)
    return _made(at, reply, wire.answer_body(api, reply), _JSON)


def failed(at: Exchange, failure: UpstreamError) -> Any:
    """The provider's own error answer. Raises the HTTP library's own exception where there was none; where an answer
    broke off, whoever reads it meets that exception: who streams it himself has not failed before.

    Where the policy tries again itself, the SDK is told (in the header both SDKs read, or by an error of its own)
    that this was the last attempt: two layers of retries would multiply."""
    retries, reply = at.engine.policy.retry.attempts > 1, failure.reply
    if reply is None:
        cause = failure.cause or failure
        error = as_last_word(cause, at.request.api, at.sent) if retries else cause
        if at.response is None:
            raise error
        return _broken_off(at, error)
    own = at.is_own(reply)
    headers: list[Header] = list(at.response.headers.raw) if own else _raw(reply.headers)
    if retries:
        headers = [header for header in headers if header[0].lower() != b"x-should-retry"]
        headers.append((b"x-should-retry", b"false"))
    return _with_headers(at, headers) if own else _response(at, reply.status, headers, reply.body)


def _broken_off(at: Exchange, error: BaseException) -> Any:
    came = at.response
    body = _cut(at.library)(error)
    return at.library.Response(came.status_code, headers=came.headers, stream=body, **_way(at))


class Cut:
    """The bytes of an answer that broke off."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __iter__(self) -> Iterator[bytes]:
        raise self._error

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise self._error


@cache
def _cut(library: Any) -> type[Cut]:
    return type("CutStream", (Cut, library.SyncByteStream, library.AsyncByteStream), {})


def live(at: Exchange, opened: Live, body: Any) -> Any:
    """The provider's stream, which `body` yields as it comes."""
    at.engine.watch(opened)
    headers = _raw(opened.opened.headers)
    headers += [(b"x-costopt-call", at.request.id.encode()), (b"x-costopt-cache", b"miss")]
    response = at.library.Response(opened.opened.status, headers=headers, stream=body, **_way(at))
    at.shown = ref(response)  # no more: who forgets a stream leaves it, at once
    return response


def closed(at: Exchange) -> None:
    """A live stream came to its end, for the caller."""
    if (shown := at.shown()) is not None:
        _timed(at, shown)


def unread(library: Any, response: Any, sent: Any) -> Any:
    """`response` as one that its caller can stream, though it may have been read here; `sent` is what it answers."""
    if not response.is_stream_consumed:
        return response
    content = response.content
    headers = [header for header in response.headers.raw if header[0].lower() not in TRAVEL]
    headers.append((b"content-length", b"%d" % len(content)))
    fresh = library.Response(
        response.status_code,
        headers=headers,
        stream=library.ByteStream(content),
        request=_question(response, sent),
        extensions=response.extensions,
        history=response.history,
        default_encoding=response.default_encoding,
    )
    fresh.next_request = response.next_request
    with suppress(RuntimeError):  # not known yet: the HTTP client is still to say it
        fresh.elapsed = response.elapsed
    return fresh


def _made(at: Exchange, reply: Reply, content: bytes, kind: bytes | None = None) -> Any:
    headers = _raw(reply.headers)
    if kind is not None:
        headers = [header for header in headers if header[0] != b"content-type"]
        headers.append((b"content-type", kind))
    headers += _told(at.request, reply)
    way = _way(at) if at.is_own(reply) else {}
    return _response(at, reply.status, headers, content, **way)


def _response(at: Exchange, status: int, headers: list[Header], content: bytes, **way: Any) -> Any:
    """`content` as a stream, which the HTTP client reads as it reads a provider's; reading it here as well would
    cost more than all the rest."""
    headers.append((b"content-length", b"%d" % len(content)))
    stream = at.library.ByteStream(content)
    way = way or {"request": at.sent}
    return _timed(at, at.library.Response(status, headers=headers, stream=stream, **way))


def _way(at: Exchange) -> dict[str, Any]:
    """How the provider's response came: after which redirects, by which protocol."""
    came = at.response
    return {"request": _question(came, at.sent), "extensions": came.extensions, "history": came.history}


def _question(response: Any, sent: Any) -> Any:
    """The last request that led to `response`; `sent` where it comes from a transport, which does not say."""
    try:
        return response.request
    except RuntimeError:
        return sent


def _with_headers(at: Exchange, headers: list[Header]) -> Any:
    """The provider's own response, read, under `headers`."""
    at.response.headers = at.library.Headers(headers)
    return at.response


def _timed(at: Exchange, response: Any) -> Any:
    """With the time it took: an HTTP client sets that only on responses it reads itself."""
    response.elapsed = timedelta(microseconds=(at.engine.world.clock.now() - at.request.at) / 1000)
    return response


def _raw(headers: tuple[tuple[str, str], ...]) -> list[Header]:
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]


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
