"""A provider's own prompt cache, so that a lever which moves the prefix is seen to cost money.

OpenAI's published rule: prompts of 1,024 tokens and more, in steps of 128, exact prefix match, per model,
kept for five to ten minutes of inactivity. Ours never misses within that time; the real one sometimes does.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Sequence

LEAST = 1024
STEP = 128


class PromptCache:
    """Remembers prefixes by hash. `clock` gives seconds; after `keep` idle seconds one is forgotten.

    A new prefix can be read once the answer to its prompt begins, `prefill` seconds after it came."""

    def __init__(self, clock: Callable[[], float], keep: float = 300.0, prefill: float = 0.0) -> None:
        self._clock = clock
        self._keep = keep
        self._prefill = prefill
        self._seen: dict[bytes, tuple[float, float]] = {}

    def read(self, model: str, tokens: Sequence[int]) -> int:
        """Tokens of this prompt that were cached by an earlier one; from now on all of it is."""
        now = self._clock()
        cached = 0
        for length, prefix in self._prefixes(model, tokens):
            since, used = self._seen.get(prefix, (now, -self._keep))
            alive = now - used < self._keep
            if alive and since <= now:
                cached = length
            self._seen[prefix] = (since if alive else now + self._prefill, now)
        return cached

    def _prefixes(self, model: str, tokens: Sequence[int]) -> list[tuple[int, bytes]]:
        digest = hashlib.blake2b(model.encode(), digest_size=16)
        packed = memoryview(array("I", tokens)).cast("B")
        found: list[tuple[int, bytes]] = []
        start = 0
        for end in range(LEAST, len(tokens) + 1, STEP):
            digest.update(packed[start * 4 : end * 4])
            found.append((end, digest.digest()))
            start = end
        return found
