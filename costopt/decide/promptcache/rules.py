"""What each provider documents of its prompt cache, for one model and request.

OpenAI, "Prompt caching" guide and API reference (2026): automatic from 1,024 tokens, in steps of 128, exact
prefix, kept for 5 to 10 minutes of inactivity, 24 h with `prompt_cache_retention: "24h"` (the only choice from
gpt-5.5 on; the default of older models depends on the organisation and is taken as the short one).
From gpt-5.6 on, models that charge for cache writes keep prefixes that end at a breakpoint for 30 minutes: one
at the end of the newest message (unless `prompt_cache_options.mode` is "explicit") and up to three (four) of
the caller's; the latest 80 are looked at; nothing is rounded. Azure: the same.
Anthropic, "Prompt caching": only at `cache_control` breakpoints, 4 at most, 5 minutes or 1 hour since last use,
looking back over 20 blocks from each; minimum per model as the price map has it (`prompt_cache_min_tokens`).
The same on Bedrock, Vertex and wherever else a Claude model runs.
Gemini, "Context caching": implicit, minimum per model, no price for writing; a lifetime is not documented.
DeepSeek, "Context caching": automatic, units of 64 tokens, kept for hours; that a common prefix is found only
from the third prompt on is left out. Groq, "Prompt caching": automatic, 2 hours since last use. xAI, "Prompt
caching": automatic, no minimum, evicted at any time.
All others with a price for cached tokens: automatic; minimum and lifetime are assumed (OpenAI's). Where writes
are charged too (Qwen, MiniMax, ...), a prompt with `cache_control` breakpoints goes by those.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from costopt.decide.pricemap import Row
from costopt.decide.promptcache.words import Piece
from costopt.types import Json
from costopt.wire.loose import record, text

MINUTE = 60 * 10**9
HOUR = 60 * MINUTE
#: The lower end of OpenAI's "5 to 10 minutes of inactivity"; assumed where a provider tells no lifetime.
IDLE = 5 * MINUTE
#: "A few hours" at DeepSeek.
FEW_HOURS = 2 * HOUR

_OPENAI = re.compile(r"(^|[/.])(gpt-|chatgpt|o\d\b|codex|daybreak)")
_ONLY_24H = re.compile(r"(^|[/.])gpt-5\.5")
_OPENAI_PROVIDERS = frozenset({"openai", "azure"})


class Rules(Struct, frozen=True):
    """One rule set. Token counts, nanoseconds.

    Shorter prefixes than `least` are not cached; what is read is a multiple of `step`; a prefix lives `ttl` since
    it was last used. `marked`: only prefixes that end at a breakpoint, `marks` of them at most, `implicit` ones
    at the end of the newest message included, found when at most `reach` positions before a breakpoint
    (`by_message`: positions are ends of messages, else of content blocks). `ttl_1h` is the life of a breakpoint
    that asks for an hour. `either`: automatic where the prompt has no breakpoint. `key` partitions the cache.
    `assumed`: the provider documents no such figures.
    """

    least: int = 1024
    step: int = 1
    ttl: int = IDLE
    marked: bool = False
    marks: int = 4
    implicit: bool = False
    reach: int = 20
    by_message: bool = False
    ttl_1h: int = 0
    either: bool = False
    key: str = ""
    assumed: bool = False

    def breakpoints(self, pieces: Sequence[Piece]) -> list[tuple[int, int]]:
        """(number of pieces up to it, lifetime) of each breakpoint that counts, in order."""
        found = [(end, self._life(piece)) for end, piece in enumerate(pieces, 1) if piece.mark]
        if not self.implicit:
            return found[-self.marks :]
        newest = next((end for end in range(len(pieces), 0, -1) if pieces[end - 1].ends == "message"), 0)
        kept = [mark for mark in found if mark[0] != newest][-(self.marks - 1) :]
        return sorted([*kept, (newest, self.ttl)]) if newest else kept

    def reaches(self, pieces: Sequence[Piece], start: int, end: int) -> bool:
        """Whether a breakpoint after `end` pieces finds an entry that was written after `start` of them."""
        passed = 0
        for at in range(end - 1, start - 1, -1):
            passed += self._is_position(pieces[at])
            if passed >= self.reach:
                return False
        return True

    def _is_position(self, piece: Piece) -> bool:
        if self.by_message:
            return piece.ends == "message" or piece.mark != ""
        return piece.size > 0 and (piece.ends != "" or piece.mark != "")

    def _life(self, piece: Piece) -> int:
        return self.ttl_1h or self.ttl if piece.mark == "1h" else self.ttl


def rules(row: Row | None, provider: str, model: str, body: Json) -> Rules | None:
    """The rules for `model` (as asked for) at `provider` (the price map's name), with the price map's row.

    None where there is no prompt cache, or none that is known: no row, or a row without a price for cached tokens
    (OpenAI's, Anthropic's and Google's own are known without a row). `body` holds at least the small fields.
    """
    provider = row.provider if row else provider
    name = f"{row.name} {model}".lower() if row else model.lower()
    if not _has_price(row) if row else "embed" in name:
        return None
    if provider == "anthropic" or "claude" in name:
        return Rules(least=_least(row, name), marked=True, ttl_1h=HOUR)
    if provider in _OPENAI_PROVIDERS or (row and _OPENAI.search(name)):
        return _openai(row, name, body)
    if "gemini" in name:
        return Rules(least=_least(row, name), assumed=True)
    return _others(row, provider, body) if row else None


def _has_price(row: Row) -> bool:
    if row.mode == "embedding":
        return False
    return ("cache_read", 0, "") in row.sheet or row.half_price_cache


def charges_writes(row: Row) -> bool:
    """Whether writing costs more than not caching; a write price of 0 or below the input's stands for none."""
    return row.sheet.get(("cache_write", 0, ""), 0) > row.sheet.get(("input", 0, ""), 0)


def _openai(row: Row | None, name: str, body: Json) -> Rules | None:
    key = text(body.get("prompt_cache_key"))
    if row is not None and charges_writes(row):
        implicit = record(body.get("prompt_cache_options")).get("mode") != "explicit"
        return Rules(ttl=30 * MINUTE, marked=True, implicit=implicit, reach=80, by_message=True, key=key)
    long = body.get("prompt_cache_retention") == "24h" or _ONLY_24H.search(name)
    return Rules(step=128, ttl=24 * HOUR if long else IDLE, key=key)


def _others(row: Row, provider: str, body: Json) -> Rules:
    key = text(body.get("prompt_cache_key"))
    match provider:
        case "deepseek":
            return Rules(least=64, step=64, ttl=FEW_HOURS)
        case "groq":
            return Rules(ttl=2 * HOUR)
        case "xai":
            return Rules(least=1, key=key, assumed=True)
        case "bedrock":
            return Rules(least=_least(row, row.name), marked=True)
        case _:
            paid = charges_writes(row)
            return Rules(least=_least(row, row.name), marked=paid, either=paid, key=key, assumed=True)


def _least(row: Row | None, name: str) -> int:
    """The price map's minimum; where it has none, the documentation's for older models and Gemini."""
    if row is not None and row.cache_least:
        return row.cache_least
    if "gemini" in name:
        return 2048 if "2.5" in name else 4096
    return 2048 if "haiku" in name else 1024
