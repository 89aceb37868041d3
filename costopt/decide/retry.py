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
#: 408 timeout, 409 lock, 429 rate limit, 5xx server; what the OpenAI and Anthropic SDKs retry too.
RETRYABLE = frozenset({408, 409, 429})


def was_sent(error: BaseException | None) -> bool:
    """Whether a request that failed so may have reached the provider, who may then bill it. When in doubt, it may."""
    while error is not None:
        if not NEVER_SENT.isdisjoint(kind.__name__ for kind in type(error).__mro__):
            return False
        error = error.__cause__
    return True


def worth_it(failure: UpstreamError) -> bool:
    """False once the caller has seen a part of the answer: a second try would repeat it."""
    if failure.emitted:
        return False
    return failure.reply is None or failure.reply.status in RETRYABLE or failure.reply.status >= 500


def pause(rules: Retry, attempt: int, retry_after_s: float | None, random: float) -> float:
    """Seconds before attempt `attempt + 1`: exponential, full wait plus up to 25% jitter; Retry-After is a floor."""
    backoff = min(rules.cap, rules.base * 2.0 ** (attempt - 1))
    return max(backoff, retry_after_s or 0.0) * (1 + random / 4)
