"""Whether a failed call is worth another try, and after what pause."""

from __future__ import annotations

from costopt.errors import UpstreamError
from costopt.policy import Retry

#: 408 timeout, 409 lock, 429 rate limit, 5xx server; what the OpenAI and Anthropic SDKs retry too.
RETRYABLE = frozenset({408, 409, 429})


def worth_it(failure: UpstreamError) -> bool:
    """False once the caller has seen a part of the answer: a second try would repeat it."""
    if failure.emitted:
        return False
    return failure.reply is None or failure.reply.status in RETRYABLE or failure.reply.status >= 500


def pause(rules: Retry, attempt: int, retry_after_s: float | None, random: float) -> float:
    """Seconds before attempt `attempt + 1`: exponential, full wait plus up to 25% jitter; Retry-After is a floor."""
    backoff = min(rules.cap, rules.base * 2.0 ** (attempt - 1))
    return max(backoff, retry_after_s or 0.0) * (1 + random / 4)
