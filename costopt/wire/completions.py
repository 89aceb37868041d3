"""OpenAI's legacy completions: observed and counted, never edited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from costopt.types import Finish, Json
from costopt.wire import chunks, finish, peek, tally, usage_chunks
from costopt.wire.base import Event, Summary
from costopt.wire.loose import first_count, items, record, records, text
from costopt.wire.plain import Plain
from costopt.wire.sse import event

_DEFAULT_MAX_TOKENS = 16
"""API reference, "Create completion"."""
_LOGPROB_LISTS = ("tokens", "token_logprobs", "top_logprobs", "text_offset")


class _Choice(Struct):
    finish_reason: Any = None


class _Answer(peek.Answer):
    service_tier: Any = None
    choices: list[_Choice | None] | None = None


_ANSWERS = msgspec.json.Decoder(_Answer)


class Completions(Plain):
    field = "prompt"

    def choices(self, body: Json) -> int:
        """Of each prompt; `best_of` are made, though only `n` are given."""
        each = max(first_count(body.get("n")), first_count(body.get("best_of")), 1)
        return each * max(1, len(self.turns(body)))

    def max_output(self, body: Json) -> int | None:
        bound = first_count(body.get("max_tokens")) or _DEFAULT_MAX_TOKENS
        return bound * self.choices(body)

    def summary(self, body: Json) -> Summary:
        return _summary(peek.convert(body, _Answer))

    def read(self, answer: bytes) -> Summary:
        return _summary(peek.decode(answer, _ANSWERS))

    def output_text(self, body: Json) -> str:
        return "\n".join(text(choice.get("text")) for choice in records(body.get("choices")))

    def written_text(self, body: Json) -> str:
        return self.output_text(body)

    def complete(self, events: Sequence[Event]) -> bool:
        return chunks.complete(events)

    def assemble(self, events: Sequence[Event]) -> Json:
        answer = chunks.answer_of(events, lambda index: {"index": index, "text": ""}, _merge_choice)
        if "choices" in answer:
            answer["choices"] = [{"finish_reason": None, **choice} for choice in answer["choices"]]
        return answer

    def replay(self, answer: Json, request: Json) -> bytes:
        if answer.get("error"):
            return event({"error": answer["error"]})
        head = {key: value for key, value in answer.items() if key not in ("choices", "usage")}
        spoken = [{**head, "choices": [choice]} for choice in records(answer.get("choices"))]
        return chunks.stream(usage_chunks.added(spoken, answer.get("usage"), request))

    def restream(self, events: Sequence[Event], request: Json) -> bytes:
        return usage_chunks.restream(events, request)


def _merge_choice(choice: Json, part: Json) -> None:
    for key, value in part.items():
        if key == "text":
            choice["text"] += text(value)
        elif key == "logprobs" and value:
            choice[key] = _merged_logprobs(record(choice.get(key)), record(value))
        elif value is not None or key not in choice:
            choice[key] = value


def _merged_logprobs(held: Json, more: Json) -> Json:
    return {**held, **more} | {
        key: items(held.get(key)) + items(more.get(key)) for key in _LOGPROB_LISTS if key in more
    }


def _summary(answer: _Answer) -> Summary:
    raw = record(answer.usage) or None
    usage = tally.openai(raw, answer.service_tier) if raw else None
    found: list[Finish] = [finish.finish(choice.finish_reason) for choice in answer.choices or () if choice]
    return Summary(text(answer.model), usage, raw, "error" if answer.error else finish.worst(found))
