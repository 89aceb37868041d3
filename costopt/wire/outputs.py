"""Replacing what tools said. Usually one output stands in a turn; several share the room by need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from costopt.types import Json
from costopt.wire import parts
from costopt.wire.loose import record

_MARK = "\n[...]\n"


def replaced(blocks: list[Any], new: str, is_output: Callable[[Json], bool], field: str) -> list[Any]:
    """`blocks` whose outputs carry `new` in `field`. Where several outputs or other text share the turn, each
    output keeps its head and tail instead, within the length of `new`: no output can take another's place."""
    old = [parts.text_of(record(block).get(field)) for block in blocks if is_output(record(block))]
    other = [block for block in blocks if not is_output(record(block))]
    room = len(new) - len(parts.text_of(other))
    texts = [new] if len(old) == 1 and not other else shares(old, room)
    fresh = iter(texts)
    return [
        _with(record(block), next(fresh), field) if is_output(record(block)) else block for block in blocks
    ]


def _with(block: Json, new: str, field: str) -> Json:
    if parts.text_of(block.get(field)) == new:
        return block
    return {**block, field: parts.with_text(block.get(field), new)}


def shares(texts: list[str], room: int) -> list[str]:
    """`texts` cut to `room` characters in all: short ones stay whole, long ones share what is left evenly."""
    left, many = max(0, room), len(texts)
    cap = 0
    for length in sorted(map(len, texts)):
        cap = left // many if many else 0
        if length > cap:
            break
        left, many = left - length, many - 1
    return [text if len(text) <= cap or many == 0 else head_tail(text, cap) for text in texts]


def head_tail(text: str, room: int) -> str:
    """The first two thirds and the last third of `room` characters, a mark between them."""
    room = max(0, room - len(_MARK))
    head = room * 2 // 3
    return text[:head] + _MARK + text[len(text) - (room - head) :]
