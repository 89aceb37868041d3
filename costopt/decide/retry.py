"""Whether a failed call is worth another try, and after what pause."""

from __future__ import annotations

from costopt.errors import UpstreamError
from costopt.policy import Retry

#: What HTTP libraries raise before any of a request has left (httpx, httpx2, httpcore, aiohttp), by name.
NEVER_SENT = frozenset(
    [
        "ConnectError",
        "ConnectTimeout",
        "PoolTimeout",
        "ProxyError",
        "UnsupportedProtocol",
        "LocalProtocolError",
        "InvalidURL",
        "ClientConnectorError",
        "ConnectionRefusedError",
        "gaierror",
    ]
)
#: What they raise for a request that never got a whole answer, by name; `NEVER_SENT` goes before.
LOST = frozenset(
    ["TransportError", "TimeoutError", "ConnectionError", "ClientConnectionError", "ClientPayloadError"]
)
#: What they raise for an answer that is an error: nothing before it was this request's failure.
ANSWERED = frozenset(["HTTPStatusError", "ClientResponseError"])
#: 408 timeout, 409 lock, 429 rate limit, 5xx server; what the OpenAI and Anthropic SDKs retry too.
RETRYABLE = frozenset({408, 409, 429})


def was_sent(error: BaseException | None) -> bool:
    """Whether a request that failed so may have reached the provider, who may then bill it. When in doubt, it may.
    A package that is missing is missed before anything is sent."""
    if isinstance(error, ImportError):
        return False
    origin = lost(error)
    return origin is None or not _is(origin, NEVER_SENT)


def lost(error: BaseException | None) -> BaseException | None:
    """What an HTTP library said of a request without an answer, if that is what `error` came from. The first word
    counts: deeper down may be a failure that the caller himself was handling."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        if _is(error, NEVER_SENT) or _is(error, LOST):
            return error
        if _is(error, ANSWERED):
            return None
        seen.append(error)
        error = error.__cause__ or error.__context__
    return None


def _is(error: BaseException, names: frozenset[str]) -> bool:
    return not names.isdisjoint(kind.__name__ for kind in type(error).__mro__)


def worth_it(failure: UpstreamError) -> bool:
    """False once the caller has seen a part of the answer: a second try would repeat it."""
    if failure.emitted:
        return False
    return failure.reply is None or failure.reply.status in RETRYABLE or failure.reply.status >= 500


def pause(rules: Retry, attempt: int, retry_after_s: float | None, random: float) -> float:
    """Seconds before attempt `attempt + 1`: exponential, full wait plus up to 25% jitter; Retry-After is a floor."""
    backoff = min(rules.cap, rules.base * 2.0 ** (attempt - 1))
    return max(backoff, retry_after_s or 0.0) * (1 + random / 4)
