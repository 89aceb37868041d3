"""Prompts that had to be counted here, split as the provider's prompt cache would have.

Without that, the bill of an agent loop comes out several times too high: each call sends all of the last one again.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from msgspec.structs import replace

from costopt.decide.prices import PriceBook
from costopt.decide.promptcache import Cut, PromptCache, Split, pieces_from_parts, rules
from costopt.types import Json, Request, Usage
from costopt.wire.loose import encode, items

#: Parts of prompts whose pieces are remembered; a few MB.
_MEMO = 4096


class Splitter:
    """The prompt caches of everybody in one log; calls should come in the order of time."""

    def __init__(self, book: PriceBook) -> None:
        self._book = book
        self._cache = PromptCache()
        self._cuts: dict[tuple[str, bytes], Cut] = {}
        self._asked = False

    def split(self, request: Request, usage: Usage) -> Usage:
        """`usage` with its prompt split; the same where the provider has no prompt cache that is known."""
        self._asked = True
        split = self._sent(request, usage.prompt)
        if split is None:
            return usage
        return replace(
            usage,
            input=split.uncached,
            cache_read=split.read,
            cache_write=split.write,
            cache_write_1h=split.write_1h,
        )

    def saw(self, request: Request, usage: Usage) -> None:
        """A call whose log has the numbers: it warmed the caches for those that follow, if any of them needs it."""
        if self._asked:
            self._sent(request, usage.prompt)

    def _sent(self, request: Request, tokens: int) -> Split | None:
        row = self._book.find(request.model, request.provider)
        known = rules(row, request.provider, request.model, request.body)
        if known is None or tokens < known.least:
            return None
        if len(self._cuts) > _MEMO:
            self._cuts.clear()
        pieces = pieces_from_parts(request.api, _parts(request.body), request.body, self._cuts)
        scope = "/".join((request.provider, request.model, request.tenant))
        return self._cache.send(known, scope, pieces, tokens, request.at)


def _parts(body: Json) -> list[tuple[str, list[tuple[bytes, int, bytes]]]]:
    """Messages one by one and tools as a whole; what is small is read from the body itself."""
    listed = [(key, [_part(item) for item in items(body.get(key))]) for key in ("messages", "input")]
    whole = [(key, [_part(body[key])]) for key in ("tools", "system") if body.get(key)]
    return [(key, parts) for key, parts in (*listed, *whole) if parts]


def _part(value: Any) -> tuple[bytes, int, bytes]:
    data = encode(value)
    return blake2b(data, digest_size=16).digest(), len(data), data
