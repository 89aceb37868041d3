"""Anthropic Messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from costopt.types import Finish, Json, Need, Turn
from costopt.wire import finish, messages_stream, parts, peek, tally
from costopt.wire.base import Event, Summary
from costopt.wire.loose import count, encode, items, record, records, text


class _Answer(peek.Answer):
    stop_reason: Any = None
    content: Any = None


_ANSWERS = msgspec.json.Decoder(_Answer)


class Messages:
    def turns(self, body: Json) -> list[Turn]:
        messages = items(body.get("messages"))
        first = next((m for m in messages if record(m).get("role") == "user"), None)
        return [*_system(body), *(_turn(message, message is first) for message in messages)]

    def with_turns(self, body: Json, turns: Sequence[Turn]) -> Json:
        """Without the system turn the copy has no system text. A plain `system` is told from messages by its
        shape: it is no JSON object."""
        edited = dict(body)
        if _system(body):
            edited.pop("system")
        outside = [turn for turn in turns if _stands_outside(turn)]
        if outside:
            edited["system"] = outside[0].raw
        if isinstance(body.get("messages"), list):
            edited["messages"] = [turn.raw for turn in turns if not _stands_outside(turn)]
        return {key: edited[key] for key in body if key in edited}

    def outputs(self, turn: Turn) -> list[str]:
        blocks = records(record(turn.raw).get("content"))
        return [said for block in blocks if (said := _output(block)) is not None]

    def with_outputs(self, turn: Turn, texts: Sequence[str]) -> Turn:
        if not texts:
            return turn
        message, fresh = record(turn.raw), iter(texts)
        blocks = [
            block if _output(record(block)) is None else _with_output(block, next(fresh))
            for block in items(message.get("content"))
        ]
        return replace(turn, raw={**message, "content": blocks}, text=_text(blocks))

    def with_model(self, body: Json, model: str) -> Json:
        return {**body, "model": model}

    def tools_text(self, body: Json) -> str:
        shown = [body["tools"]] if body.get("tools") else []
        shown += [schema] if (schema := _schema(body)) else []
        return "\n".join(encode(value).decode() for value in shown)

    def needs(self, body: Json) -> frozenset[Need]:
        found = set(parts.needs(message.get("content") for message in records(body.get("messages"))))
        if body.get("tools"):
            found.add("tools")
        if _schema(body):
            found.add("json_schema")
        if record(body.get("thinking")).get("type") not in (None, "disabled"):
            found.add("reasoning")
        return frozenset(found)

    def choices(self, body: Json) -> int:
        return 1

    def max_output(self, body: Json) -> int | None:
        return count(body.get("max_tokens")) or None

    def summary(self, body: Json) -> Summary:
        return _summary(peek.convert(body, _Answer))

    def read(self, answer: bytes) -> Summary:
        return _summary(peek.decode(answer, _ANSWERS))

    def output_text(self, body: Json) -> str:
        return "\n".join(said for block in records(body.get("content")) if (said := _spoken(block)))

    def written_text(self, body: Json) -> str:
        return _text(body.get("content"))

    def complete(self, events: Sequence[Event]) -> bool:
        return messages_stream.complete(events)

    def assemble(self, events: Sequence[Event]) -> Json:
        return messages_stream.assemble(events)

    def replay(self, answer: Json, request: Json) -> bytes:
        return messages_stream.replay(answer)

    def restream(self, events: Sequence[Event], request: Json) -> bytes:
        return b"".join(event.raw for event in events)


def _system(body: Json) -> list[Turn]:
    system = body.get("system")
    if not system or not isinstance(system, (str, list)):
        return []
    return [Turn("system", parts.text_of(system), system, pinned=True)]


def _stands_outside(turn: Turn) -> bool:
    return turn.role == "system" and not isinstance(turn.raw, dict)


def _turn(raw: Any, first: bool) -> Turn:
    message = record(raw)
    content = message.get("content")
    blocks = records(content)
    said, weight = _text(content), parts.tokens(content)
    if message.get("role") == "assistant":
        calls = tuple(text(block.get("id")) for block in blocks if block.get("type") == "tool_use")
        return Turn("assistant", said, raw, calls=calls, extra_tokens=weight)
    if message.get("role") == "system":
        return Turn("system", said, raw, pinned=True, extra_tokens=weight)
    answers = tuple(text(block.get("tool_use_id")) for block in blocks if _is_result(block))
    return Turn("tool" if answers else "user", said, raw, answers=answers, pinned=first, extra_tokens=weight)


def _is_result(block: Json) -> bool:
    return block.get("type") == "tool_result"


def _output(block: Json) -> str | None:
    """What a tool said, where this block says so in text."""
    return parts.plain_text(block.get("content")) if _is_result(block) else None


def _with_output(block: Json, new: str) -> Json:
    return {**block, "content": parts.with_text(block["content"], new)}


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(said for block in items(content) if (said := _block_text(block)))


def _block_text(block: Any) -> str:
    shown = record(block)
    called = [text(shown.get("name")), _arguments(shown)] if "input" in shown else []
    return "\n".join(piece for piece in (parts.text_of([block]), *called) if piece)


def _spoken(block: Json) -> str:
    """What a block of an answer says: its text, or the arguments of the tool it calls."""
    if block.get("type") == "text":
        return text(block.get("text"))
    return _arguments(block) if "input" in block else text(block.get("partial_json"))


def _arguments(block: Json) -> str:
    """What a tool is called with: as far as it came, where the stream broke off."""
    return text(block["partial_json"]) if "partial_json" in block else encode(block["input"]).decode()


def _schema(body: Json) -> Any:
    return record(body.get("output_config")).get("format") or body.get("output_format")


def _summary(answer: _Answer) -> Summary:
    raw = record(answer.usage) or None
    return Summary(text(answer.model), tally.anthropic(raw) if raw else None, raw, _finish(answer))


def _finish(answer: _Answer) -> Finish:
    if answer.error:
        return "error"
    found = finish.finish(answer.stop_reason)
    says = found != "stop" or any(_spoken(block).strip() for block in records(answer.content))
    return found if says else "empty"
