"""Rules of providers, and prompts of pieces that are easy to count."""

from __future__ import annotations

from collections.abc import Sequence

from costopt.decide.promptcache import Piece, PromptCache, Rules, Split

MINUTE = 60 * 10**9
OPENAI = Rules(step=128)
CLAUDE = Rules(marked=True, ttl_1h=60 * MINUTE)
GPT_6 = Rules(ttl=30 * MINUTE, marked=True, implicit=True, reach=80, by_message=True)
EITHER = Rules(marked=True, either=True)
ALL = (OPENAI, CLAUDE, GPT_6, EITHER, Rules(least=64, step=64), Rules(least=1))


def text(*names: object, size: int = 4000, ends: str = "message") -> list[Piece]:
    """One piece per name, 1,000 tokens each where a token is 4 bytes; a name with `@5m` or `@1h` is marked."""
    found: list[Piece] = []
    for name in map(str, names):
        bare, _, mark = name.partition("@")
        found.append(Piece(bare.encode(), size, mark, ends))  # type: ignore[arg-type]
    return found


def tokens(pieces: Sequence[Piece]) -> int:
    return sum(piece.size for piece in pieces) // 4


def sent(cache: PromptCache, rules: Rules, pieces: Sequence[Piece], at: int, owner: int = 0) -> Split:
    return cache.send(rules, "m", pieces, tokens(pieces), at, owner)
