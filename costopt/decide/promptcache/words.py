"""What a prompt consists of, and what a prompt cache makes of it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Piece(Struct, frozen=True):
    """A stretch of a prompt that is compared as a whole. `size` is its weight in bytes of text (media: as many
    as weigh the same), 0 for what counts as content and costs nothing (a switch).

    `mark` is a breakpoint right after this piece, by its lifetime; OpenAI's have one lifetime and stand as `5m`.
    `ends` says what ends with this piece: nothing (a long text goes on), a content block, or a message that
    the caller sent (all but the model's own), which ends a block too.
    """

    digest: bytes
    size: int
    mark: Literal["", "5m", "1h"] = ""
    ends: Literal["", "block", "message"] = "message"


class Split(Struct, frozen=True):
    """The tokens of one prompt by what they cost; they add up to the whole prompt."""

    read: int
    write: int
    write_1h: int
    uncached: int
