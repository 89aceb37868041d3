"""How many tokens a text, a turn or a prompt has: exact for OpenAI's published encodings, else an estimate.

Nothing here reads a file or the network: a `Loader` hands over an encoding, or None where there is none, and
then a token is taken to be four UTF-8 bytes (OpenAI's own rule of thumb for English).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import ceil
from typing import Any, TypeAlias, cast

from costopt.types import Turn

#: Text to token ids; must take any text, special tokens counting as the characters they are.
Encode: TypeAlias = Callable[[str], "list[int]"]
Loader: TypeAlias = Callable[[str], "Encode | None"]

#: Each message costs 3 tokens of frame and 1 for its role, each answer is primed with 3 (OpenAI cookbook).
PER_MESSAGE = 3
PER_ROLE = 1
PER_NAME = 1
PRIMING = 3

#: Longer texts are counted in pieces: one run without a space takes quadratic time or overflows a stack.
_PIECE = 4096
#: Above this many characters only every n-th piece is counted; no model's window reaches that far.
_SAMPLED_ABOVE = 2_000_000
_MEMO = 32_768
#: Model names come from outside, so no more of them than this are remembered.
_MODELS = 1024

_O200K = re.compile(r"(?:chatgpt-)?(?:gpt-4o|gpt-4\.[15]|gpt-5|o1|o3|o4)(?:[-.@:].*)?$")
_CL100K = re.compile(r"(?:gpt-4|gpt-3\.5|gpt-35-turbo|text-embedding-(?:3|ada))(?:[-.@:].*)?$")
_PREFIX = re.compile(r"^(?:openai/|azure/|ft:)+")


def calibrated(seen: int, counted: int) -> float:
    """The factor that makes counts meet what a provider reported: 0.25 to 4, and 1 without data."""
    return min(max(seen / counted, 0.25), 4.0) if seen > 0 and counted > 0 else 1.0


class TokenCounter:
    """Counts tokens and remembers what it counted; safe to share between threads.

    `scale` multiplies counts of models that are not exact, by model name or by its `provider/` prefix (else
    1).
    """

    def __init__(self, load: Loader, scale: Mapping[str, float] = {}) -> None:
        self._load = load
        self._scale = scale
        self._encodings: dict[str, Encode | None] = {}
        self._ways: dict[str, tuple[str, bool, float]] = {}
        self._memo = _Generations(_MEMO)

    def exact(self, model: str) -> bool:
        """Whether counts for this model are its own tokenizer's, not an estimate."""
        name, known, _ = self._way(model)
        return known and self._encoding(name) is not None

    def count_text(self, text: str, model: str) -> int:
        """Tokens of a bare text."""
        name, _, factor = self._way(model)
        count = self._count(text, name)
        return count if factor == 1.0 else ceil(count * factor)

    def count_turn(self, turn: Turn, model: str) -> int:
        """Tokens of one message, its frame and what is not text included."""
        name = _name(turn.raw) if turn.role != "tool" else ""
        named = PER_NAME + self.count_text(name, model) if name else 0
        return self.count_text(turn.text, model) + turn.extra_tokens + PER_MESSAGE + PER_ROLE + named

    def count_prompt(self, turns: Iterable[Turn], tools_text: str, model: str) -> int:
        """Tokens of a whole prompt. Schemas count as their JSON, a little more than is billed."""
        return sum(self.count_turn(turn, model) for turn in turns) + self.count_fixed(tools_text, model)

    def count_fixed(self, tools_text: str, model: str) -> int:
        """Tokens of a prompt that belong to no turn: schemas and the priming of the answer."""
        return PRIMING + (self.count_text(tools_text, model) if tools_text else 0)

    def _way(self, model: str) -> tuple[str, bool, float]:
        """Encoding of a model, whether it is its own, and the factor to its counts."""
        way = self._ways.get(model)
        if way is None:
            known = _known_encoding(model)
            scale = self._scale.get(model) or self._scale.get(model.partition("/")[0]) or 1.0
            way = (known or "o200k_base", known is not None, 1.0 if known else scale)
            if len(self._ways) < _MODELS:
                self._ways[model] = way
        return way

    def _count(self, text: str, encoding: str) -> int:
        # why: a hash and a length stand for the text, so the memo keeps no prompt in memory
        key = (hash(text), len(text), encoding)
        count = self._memo.get(key)
        if count is None:
            count = self._measure(text, self._encoding(encoding))
            self._memo.put(key, count)
        return count

    def _encoding(self, name: str) -> Encode | None:
        if name not in self._encodings:
            self._encodings[name] = self._load(name)
        return self._encodings[name]

    def _measure(self, text: str, encode: Encode | None) -> int:
        if encode is None:
            return (len(text.encode("utf-8", "surrogatepass")) + 3) // 4
        if len(text) <= _PIECE:
            return len(encode(text))
        step = max(ceil(len(text) / _SAMPLED_ABOVE), 1)
        counts = [len(encode(piece)) for piece in _every(step, _pieces(text))]
        return sum(counts) if step == 1 else ceil(sum(counts) * step)


class _Generations:
    """A bounded memo without locks: when the young half is full the old half is dropped."""

    def __init__(self, limit: int) -> None:
        self._half = limit // 2
        self._young: dict[tuple[int, int, str], int] = {}
        self._old: dict[tuple[int, int, str], int] = {}

    def get(self, key: tuple[int, int, str]) -> int | None:
        count = self._young.get(key)
        if count is None:
            count = self._old.get(key)
            if count is not None:
                self.put(key, count)
        return count

    def put(self, key: tuple[int, int, str], count: int) -> None:
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[key] = count


def _known_encoding(model: str) -> str | None:
    """The encoding OpenAI published for a model; None for other makers' and newer models."""
    name = _PREFIX.sub("", model)
    if _O200K.match(name):
        return "o200k_base"
    return "cl100k_base" if _CL100K.match(name) else None


def _name(raw: object) -> str:
    """A participant's name, which chat messages may carry."""
    name: object = (
        cast("dict[str, Any]", raw).get("name") if isinstance(raw, dict) and "role" in raw else None
    )
    return name if isinstance(name, str) else ""


def _pieces(text: str) -> Iterator[str]:
    """Parts that tokenize as they would together: cut where a space follows a visible character, which is a
    token border in both encodings. A run without such a place is cut anyway, at a cost of a token or two."""
    start = 0
    while len(text) - start > _PIECE:
        end = _border(text, start, start + _PIECE)
        yield text[start:end]
        start = end
    yield text[start:]


def _border(text: str, start: int, end: int) -> int:
    at = text.rfind(" ", start + 1, end)
    while at > start and text[at - 1].isspace():
        at = text.rfind(" ", start + 1, at)
    return at if at > start else end


def _every(step: int, pieces: Iterator[str]) -> Iterator[str]:
    return (piece for index, piece in enumerate(pieces) if index % step == 0)
