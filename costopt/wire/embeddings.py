"""OpenAI Embeddings. Nothing streams; every input is a pinned user turn, so that prompts can be counted."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from costopt.types import Json
from costopt.wire import peek, sse, tally
from costopt.wire.base import Event, Summary
from costopt.wire.loose import decode, record, text
from costopt.wire.plain import Plain


class _Row(Struct):
    """One vector, whose numbers nobody here needs."""


class _Answer(peek.Answer):
    data: list[_Row | None] | None = None


_ANSWERS = msgspec.json.Decoder(_Answer)


class Embeddings(Plain):
    def choices(self, body: Json) -> int:
        return 1

    def max_output(self, body: Json) -> int | None:
        return 0

    def summary(self, body: Json) -> Summary:
        return _summary(peek.convert(body, _Answer))

    def read(self, answer: bytes) -> Summary:
        return _summary(peek.decode(answer, _ANSWERS))

    def output_text(self, body: Json) -> str:
        return ""

    def written_text(self, body: Json) -> str:
        return self.output_text(body)

    def complete(self, events: Sequence[Event]) -> bool:
        return bool(self.assemble(events).get("data"))

    def assemble(self, events: Sequence[Event]) -> Json:
        return next((answer for event in events if (answer := decode(event.data))), decode(b""))

    def replay(self, answer: Json, request: Json) -> bytes:
        return sse.event(answer)

    def restream(self, events: Sequence[Event], request: Json) -> bytes:
        return b"".join(event.raw for event in events)


def _summary(answer: _Answer) -> Summary:
    raw = record(answer.usage) or None
    usage = tally.openai(raw) if raw else None
    failed = answer.error or not answer.data
    return Summary(text(answer.model), usage, raw, "error" if failed else "stop")
