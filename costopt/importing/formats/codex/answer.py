"""One answer in a Codex session, while it is put together from items and a count, and as a call."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from costopt.importing.formats.codex.counts import Counts
from costopt.importing.words import Imported
from costopt.tagging import TIMELESS
from costopt.types import Json
from costopt.wire.loose import text


class Answer(Struct):
    """Items the model wrote in one go, and what it had been asked: the first `start` items of `history`.

    `counted` are its tokens (None: nobody said) and `key` is its id then; `early` says the count came before the
    items.
    """

    history: list[Json]
    start: int
    asked: int
    model: str
    turn: str
    tier: str
    items: list[Json]
    first: int = 0
    last: int = 0
    key: str = ""
    response: str = ""
    counted: Counts | None = None
    early: bool = False

    def write(self, item: Json, now: int) -> None:
        self.first = self.first or now
        self.last = now
        self.items.append(item)

    def call(self, at: int, ended: int, provider: str, fixed: Json, tags: Mapping[str, str]) -> Imported:
        """The call this answered. `fixed` is what the session sends each time, beside the conversation."""
        used = self.counted
        return Imported(
            id=self.key,
            at=at,
            ended=ended,
            api="responses",
            provider=provider,
            model=self.model,
            body={"model": self.model, **fixed, "input": self.history[: self.start]},
            answer=self._response() if self.items else None,
            usage=used.usage(self.tier) if used else None,
            raw_usage=used.raw() if used else None,
            finish=None if used else "unknown",
            stream=True,
            tags=tags if at else {**tags, **TIMELESS},
            partial=True,
        )

    def _response(self) -> Json:
        used = self.counted
        return {
            **({"id": self.response} if self.response else {}),
            "object": "response",
            "model": self.model,
            **({"status": "completed"} if used else {}),
            "output": self.items,
            **({"usage": used.raw()} if used else {}),
        }


def is_written(item: Json) -> bool:
    """Whether the model wrote this item."""
    kind = text(item.get("type"))
    if kind == "message" or (not kind and "role" in item):
        return item.get("role") == "assistant"
    return kind == "reasoning" or kind.endswith("_call")
