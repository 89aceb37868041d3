"""What embeddings and legacy completions have in common: one field of texts or token lists, no
conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from costopt.types import Json, Need, Turn
from costopt.wire.loose import items


class Plain:
    """View and edit of such a body; `field` is where its texts stand. Nothing in it is ever cut."""

    field = "input"

    def turns(self, body: Json) -> list[Turn]:
        value = body.get(self.field)
        if isinstance(value, str) or _is_tokens(value):
            return [_turn(value)]
        return [_turn(item) for item in items(value)]

    def with_turns(self, body: Json, turns: Sequence[Turn]) -> Json:
        value = body.get(self.field)
        if not isinstance(value, list):
            return {**body, self.field: turns[0].raw} if turns else dict(body)
        whole = _is_tokens(items(value)) and len(turns) == 1
        return {**body, self.field: turns[0].raw if whole else [turn.raw for turn in turns]}

    def outputs(self, turn: Turn) -> list[str]:
        return []

    def with_outputs(self, turn: Turn, texts: Sequence[str]) -> Turn:
        return turn

    def with_model(self, body: Json, model: str) -> Json:
        return {**body, "model": model}

    def tools_text(self, body: Json) -> str:
        return ""

    def needs(self, body: Json) -> frozenset[Need]:
        return frozenset()


def _is_tokens(value: Any) -> bool:
    """A text given as its token numbers."""
    return bool(items(value)) and all(type(item) is int for item in items(value))


def _turn(raw: Any) -> Turn:
    text = raw if isinstance(raw, str) else ""
    return Turn("user", text, raw, pinned=True, extra_tokens=len(items(raw)))
