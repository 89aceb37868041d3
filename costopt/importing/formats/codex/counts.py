"""What Codex says of tokens: one call's counts, and how to tell a new count from an old one told again.

`input_tokens` holds what was read from and written to the cache, `output_tokens` the reasoning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, NamedTuple

from costopt.types import Json, Usage
from costopt.wire import tally
from costopt.wire.loose import count, encode, record, text

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_TIERS = {"fast": "priority", "priority": "priority", "flex": "flex"}


class Counts(NamedTuple):
    """Tokens of one call, or of all calls so far; the last three are parts of the first two."""

    input: int = 0
    output: int = 0
    cached: int = 0
    written: int = 0
    reasoning: int = 0

    def __bool__(self) -> bool:
        return bool(self.input or self.output)

    def since(self, before: Counts) -> Counts:
        """What came on top of `before`; all of it where a count went down: then it began anew."""
        apart = [now - then for now, then in zip(self, before, strict=True)]
        return self if min(apart) < 0 else Counts(*apart)

    def raw(self) -> Json:
        """As the Responses API would have said it."""
        return {
            "input_tokens": self.input,
            "input_tokens_details": {"cached_tokens": self.cached, "cache_write_tokens": self.written},
            "output_tokens": self.output,
            "output_tokens_details": {"reasoning_tokens": self.reasoning},
        }

    def usage(self, tier: str) -> Usage:
        return tally.openai(self.raw(), tier)


def counts(value: Any) -> Counts | None:
    """None where the log has no counts."""
    said = record(value)
    if "input_tokens" not in said and "output_tokens" not in said:
        return None
    return Counts(
        input=count(said.get("input_tokens")),
        output=count(said.get("output_tokens")),
        cached=count(said.get("cached_input_tokens")),
        written=count(said.get("cache_write_input_tokens")),
        reasoning=count(said.get("reasoning_output_tokens")),
    )


def tier(settings: Json, before: str) -> str:
    """The service tier after `thread_settings_applied`; settings that name none leave it as it was."""
    return _TIERS.get(text(settings["service_tier"]), "") if "service_tier" in settings else before


def digest(parts: Iterable[Any]) -> str:
    """An id of what a call is made of."""
    return blake2b(encode(list(parts)), digest_size=16).hexdigest()


def uuid_in(value: str) -> str:
    """The last UUIDv7 in a text; empty where there is none."""
    return next(reversed(_UUID7.findall(value)), "").lower()


def born(uuid: str) -> int:
    """When a UUIDv7 was made, in ns; 0 for any other text."""
    return int(uuid.replace("-", "")[:12], 16) * 10**6 if _UUID7.fullmatch(uuid) else 0
