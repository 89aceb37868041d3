"""OpenAI Responses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from costopt.types import Finish, Json, Need, Turn
from costopt.wire import finish, parts, peek, response_items, responses_stream, tally
from costopt.wire.base import Event, Summary
from costopt.wire.loose import count, encode, items, record, records, text


class _Item(Struct):
    type: Any = None
    content: Any = None


class _Reason(Struct):
    reason: Any = None


class _Answer(peek.Answer):
    service_tier: Any = None
    status: Any = None
    incomplete_details: _Reason | None = None
    output: list[_Item | None] | None = None


_ANSWERS = msgspec.json.Decoder(_Answer)
_ASKING = response_items.CALLS | {"mcp_approval_request"}
_CONTINUED = ("previous_response_id", "conversation")


class Responses:
    def turns(self, body: Json) -> list[Turn]:
        given = body.get("input")
        if isinstance(given, str):
            return [*_instructions(body), Turn("user", given, given, pinned=True)]
        continued = any(body.get(key) for key in _CONTINUED)
        return [*_instructions(body), *response_items.turns(items(given), continued=continued)]

    def with_turns(self, body: Json, turns: Sequence[Turn]) -> Json:
        """Without its turn the copy has no `instructions`; those are told from items by being a string."""
        edited = dict(body)
        if _instructions(body):
            edited.pop("instructions")
        outside = [turn for turn in turns if _stands_outside(turn)]
        inside = [turn for turn in turns if not _stands_outside(turn)]
        if outside:
            edited["instructions"] = outside[0].raw
        if isinstance(body.get("input"), list):
            edited["input"] = response_items.flatten(inside)
        elif inside and isinstance(body.get("input"), str):
            edited["input"] = inside[0].raw
        return {key: edited[key] for key in body if key in edited}

    def outputs(self, turn: Turn) -> list[str]:
        said = parts.plain_text(record(turn.raw).get("output")) if turn.role == "tool" else None
        return [] if said is None else [said]

    def with_outputs(self, turn: Turn, texts: Sequence[str]) -> Turn:
        if not texts:
            return turn
        item = record(turn.raw)
        raw = {**item, "output": parts.with_text(item["output"], texts[0])}
        return replace(turn, raw=raw, text=response_items.text_of([raw]))

    def with_model(self, body: Json, model: str) -> Json:
        return {**body, "model": model}

    def tools_text(self, body: Json) -> str:
        shown = [body["tools"]] if body.get("tools") else []
        shown += [_format(body)] if _format(body) else []
        return "\n".join(encode(value).decode() for value in shown)

    def needs(self, body: Json) -> frozenset[Need]:
        given = records(body.get("input"))
        contents = [content for item in given for content in (item.get("content"), item.get("output"))]
        found = set(parts.needs(contents))
        if body.get("tools"):
            found.add("tools")
        if _format(body):
            found.add("json_schema")
        if record(body.get("reasoning")).get("effort") not in (None, "none"):
            found.add("reasoning")
        return frozenset(found)

    def choices(self, body: Json) -> int:
        return 1

    def max_output(self, body: Json) -> int | None:
        return count(body.get("max_output_tokens")) or None

    def summary(self, body: Json) -> Summary:
        return _summary(peek.convert(body, _Answer))

    def read(self, answer: bytes) -> Summary:
        return _summary(peek.decode(answer, _ANSWERS))

    def output_text(self, body: Json) -> str:
        return "\n".join(said for item in records(body.get("output")) if (said := _spoken(item)))

    def written_text(self, body: Json) -> str:
        return response_items.text_of(records(body.get("output")))

    def complete(self, events: Sequence[Event]) -> bool:
        return responses_stream.complete(events)

    def assemble(self, events: Sequence[Event]) -> Json:
        return responses_stream.assemble(events)

    def replay(self, answer: Json, request: Json) -> bytes:
        return responses_stream.replay(answer)

    def restream(self, events: Sequence[Event], request: Json) -> bytes:
        return b"".join(event.raw for event in events)


def _instructions(body: Json) -> list[Turn]:
    said = body.get("instructions")
    return [Turn("system", said, said, pinned=True)] if isinstance(said, str) and said else []


def _stands_outside(turn: Turn) -> bool:
    return turn.role == "system" and isinstance(turn.raw, str)


def _format(body: Json) -> Any:
    wanted = record(record(body.get("text")).get("format"))
    return wanted if wanted.get("type") in ("json_schema", "json_object") else None


def _spoken(item: Json) -> str:
    """What an output item says: its text, or the arguments of the tool it calls."""
    if item.get("type") == "message":
        return parts.text_of(item.get("content"))
    if response_items.kind_of(item) in response_items.CALLS:
        return text(item.get("arguments")) or text(item.get("input"))
    return ""


def _summary(answer: _Answer) -> Summary:
    raw = record(answer.usage) or None
    searches = sum(item.type == "web_search_call" for item in answer.output or () if item)
    usage = tally.openai(raw, answer.service_tier, searches) if raw else None
    return Summary(text(answer.model), usage, raw, _finish(answer))


def _finish(answer: _Answer) -> Finish:
    if answer.error:
        return "error"
    if answer.status == "incomplete" and answer.incomplete_details and answer.incomplete_details.reason:
        return finish.finish(answer.incomplete_details.reason)
    found = finish.finish(answer.status)
    return _completed(answer) if found == "stop" else found


def _completed(answer: _Answer) -> Finish:
    output = [item for item in answer.output or () if item]
    if any(part.get("type") == "refusal" for item in output for part in records(item.content)):
        return "refusal"
    if any(text(item.type) in _ASKING for item in output):
        return "tool"
    says = any(parts.text_of(item.content).strip() for item in output if item.type == "message")
    return "stop" if says else "empty"
