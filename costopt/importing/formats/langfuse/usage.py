"""Langfuse's usage and cost details in our buckets.

Source: "Token & Cost Tracking" (langfuse.com/docs/observability/features/token-and-cost-tracking): usage types are
mutually exclusive, `input` without `input_cached_tokens`, `output` without `output_reasoning_tokens`, and `total` is
their sum. Several integrations send inclusive counts all the same (langfuse #10592, litellm PR #26919): there `total`
gives them away. Usage types are free text, so they are known by the words in their names.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from costopt.importing import counts
from costopt.importing.chatform import parsed
from costopt.types import Json, Nano, Usage
from costopt.wire.loose import count, first_count, record, text

#: Names of the parts of a prompt and of an answer that stand beside `input` and `output`.
_SENT = ("read", "write", "write_1h", "audio_in", "image_in")
_SAID = ("reasoning", "audio_out")
_OLD = {
    "prompt_tokens": ("promptTokens", "input", "inputTokens", "inputUsage", "input_tokens", "input_usage"),
    "completion_tokens": (
        "completionTokens",
        "output",
        "outputTokens",
        "outputUsage",
        "output_tokens",
        "output_usage",
    ),
    "total_tokens": ("totalTokens", "total", "totalUsage", "total_tokens", "total_usage"),
}


def counted(details: Any, older: Any, row: Json) -> Usage | None:
    """From `usageDetails`, else from the `usage` of older versions, else from the columns of a table export."""
    if found := _of_details(record(parsed(details))):
        return found
    old = record(parsed(older))
    if text(old.get("unit")).upper() in ("", "TOKENS") and (found := _of_old(old)):
        return found
    return _of_old(row)


def _of_old(usage: Json) -> Usage | None:
    named = {
        ours: first_count(usage.get(ours), *(usage.get(each) for each in theirs))
        for ours, theirs in _OLD.items()
    }
    if not named["completion_tokens"]:
        named["completion_tokens"] = (
            max(0, named["total_tokens"] - named["prompt_tokens"]) if named["prompt_tokens"] else 0
        )
    return counts.inclusive(named)


def _of_details(details: Json) -> Usage | None:
    if "prompt_tokens_details" in details or "input_tokens_details" in details:
        return counts.inclusive(details)
    found = _Buckets(details)
    inside = found.inside()
    sent = max(0, found["input"] - sum(found[name] for name in _SENT if name in inside))
    said = max(0, found["output"] - sum(found[name] for name in _SAID if name in inside))
    usage = Usage(
        input=sent + found["audio_in"] + found["image_in"],
        cache_read=found["read"],
        cache_write=found["write"],
        cache_write_1h=found["write_1h"],
        output=said + found["reasoning"] + found["audio_out"],
        reasoning=found["reasoning"],
        audio_input=found["audio_in"],
        audio_output=found["audio_out"],
        image_input=found["image_in"],
    )
    return usage if usage.prompt or usage.output else None


class _Buckets(dict[str, int]):
    """Tokens by bucket; those without a name of their own are 0."""

    def __init__(self, details: Json) -> None:
        super().__init__()
        for key, value in details.items():
            name = _bucket(key)
            self[name] = self[name] + count(value)
        lasting = self["write_1h"] + self["write_5m"]
        self["write"] = self["write_5m"] + (0 if self["write"] == lasting else self["write"])

    def __missing__(self, key: str) -> int:
        return 0

    def inside(self) -> frozenset[str]:
        """The parts that `input` and `output` hold as well, which is what the total is too small by."""
        parts = [name for name in (*_SENT, *_SAID) if self[name]]
        over = self["input"] + self["output"] + sum(self[name] for name in parts) - self["total"]
        nothing: frozenset[str] = frozenset()
        if not self["total"] or over <= 0:
            return nothing
        some = (some for some in _choices(parts) if sum(self[name] for name in some) == over)
        return next(some, nothing)


def _choices(parts: list[str]) -> Iterator[frozenset[str]]:
    for size in range(1, len(parts) + 1):
        yield from map(frozenset, combinations(parts, size))


def _bucket(key: str) -> str:
    name = key.lower()
    if name in ("total", "total_tokens", "totaltokens"):
        return "total"
    if "cach" in name:
        return _cache_bucket(name)
    side = "out" if any(word in name for word in ("output", "completion", "candidates")) else "in"
    if "reason" in name or "thought" in name or "thinking" in name:
        return "reasoning"
    if "audio" in name:
        return f"audio_{side}"
    if "image" in name and side == "in":
        return "image_in"
    return "output" if side == "out" else "input" if "input" in name or "prompt" in name else "other"


def _cache_bucket(name: str) -> str:
    if "creat" not in name and "writ" not in name and "ephemeral" not in name:
        return "read"
    return "write_1h" if "1h" in name else "write_5m" if "5m" in name else "write"


def paid(details: Any, *totals: Any) -> Nano | None:
    """What Langfuse says it cost: the total, or the sum of the parts."""
    costs = record(parsed(details))
    parts = [each for key, each in costs.items() if key != "total" and isinstance(each, int | float)]
    amounts = (costs.get("total"), *totals, sum(parts))
    return next((nano for amount in amounts if (nano := counts.paid(amount))), None)
