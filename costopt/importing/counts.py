"""Token counts and dollars of other tools' logs, in our buckets and units.

Most tools follow OpenAI, whose prompt count holds what was read from and written to a prompt cache; some leave that
out. `inclusive` tells the two apart where the numbers themselves do.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from msgspec.structs import replace

from costopt.importing.words import Found, Imported, Unusable
from costopt.types import Api, Json, Nano, Usage
from costopt.wire import tally
from costopt.wire.loose import count, first_count, record

#: No call has more tokens, by far: beyond it a number is no count.
MOST_TOKENS = 100_000_000
_READ = ("cached_tokens",)
_WRITTEN = ("cache_write_tokens", "cache_creation_tokens")
_DETAILS = ("prompt_tokens_details", "input_tokens_details")


def inclusive(raw: Json, service_tier: Any = None) -> Usage | None:
    """A usage object in OpenAI's or litellm's form, in disjoint buckets; None where it counts nothing.

    The prompt count is taken without the cached tokens where it is smaller than they are, or where the total says so.
    """
    usage = tally.openai(_widened(raw), service_tier)
    return usage if usage.prompt or usage.output else None


def told(api: Api, raw: Json, service_tier: str) -> Usage | None:
    """A usage object in the form of `api`; None where it counts nothing."""
    if api != "messages" or "prompt_tokens" in raw:
        return inclusive(raw, service_tier)
    usage = tally.anthropic(raw)
    return (
        replace(usage, service_tier=service_tier or usage.service_tier)
        if usage.prompt or usage.output
        else None
    )


def _widened(raw: Json) -> Json:
    details = _details(raw)
    prompt = first_count(raw.get("prompt_tokens"), raw.get("input_tokens"))
    output = first_count(raw.get("completion_tokens"), raw.get("output_tokens"))
    read = first_count(*(details.get(key) for key in _READ), raw.get("cache_read_input_tokens"))
    written = first_count(*(details.get(key) for key in _WRITTEN), raw.get("cache_creation_input_tokens"))
    cached = read + written
    total = count(raw.get("total_tokens"))
    if cached > prompt or (cached and total == prompt + cached + output):
        return {**raw, "prompt_tokens": prompt + cached}
    return raw


def _details(raw: Json) -> Json:
    return next((record(raw[key]) for key in _DETAILS if raw.get(key)), record(None))


def believable(usage: Usage) -> bool:
    return max(usage.prompt, usage.output) <= MOST_TOKENS


def nano(dollars: Any) -> Nano | None:
    """US dollars as nano-USD; None for what is no amount, or none that a ledger can hold."""
    if isinstance(dollars, bool) or dollars is None:
        return None
    try:
        amount = int(Decimal(str(dollars)).scaleb(9).to_integral_value())
    except (InvalidOperation, ValueError, OverflowError):
        return None
    return amount if 0 <= amount < 2**63 else None


def paid(dollars: Any) -> Nano | None:
    """The same of a tool that writes 0 for an unknown price: None for 0 too."""
    return nano(dollars) or None


def checked(call: Imported, path: str, line: int) -> Found:
    """`call`, unless there is nothing in it to count: then its cost is unknown, and must not look like none."""
    if call.usage or not call.partial or call.error or call.status >= 400:
        return call
    return Unusable(
        path, line, "a call without token counts and without its prompt: nobody can tell what it cost"
    )
