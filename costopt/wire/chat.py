"""OpenAI Chat Completions, and everything that speaks it: Azure, gateways, local servers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from costopt.types import Finish, Json, Need, Turn, Usage
from costopt.wire import chat_stream, chunks, finish, parts, peek, tally, usage_chunks
from costopt.wire.base import Event, Summary
from costopt.wire.loose import count, encode, items, record, records, text


class _Seen(Struct):
    """Something whose being there is all that matters."""


class _Message(Struct):
    content: Any = None
    audio: Any = None
    refusal: Any = None
    annotations: Any = None
    tool_calls: list[_Seen | None] | None = None
    function_call: _Seen | None = None


class _Choice(Struct):
    finish_reason: Any = None
    message: _Message | None = None


class _Answer(peek.Answer):
    service_tier: Any = None
    choices: list[_Choice | None] | None = None


_ANSWERS = msgspec.json.Decoder(_Answer)

_SPOKEN = ("refusal", "reasoning_content", "reasoning", "name")
_ALSO_SPOKEN = frozenset({*_SPOKEN, "tool_calls", "function_call"})
"""Where a message has text besides its content."""


class Chat:
    def turns(self, body: Json) -> list[Turn]:
        messages = items(body.get("messages"))
        first = next((m for m in messages if record(m).get("role") == "user"), None)
        return [_turn(message, message is first) for message in messages]

    def with_turns(self, body: Json, turns: Sequence[Turn]) -> Json:
        if not isinstance(body.get("messages"), list):
            return dict(body)
        return {**body, "messages": [turn.raw for turn in turns]}

    def outputs(self, turn: Turn) -> list[str]:
        said = parts.plain_text(record(turn.raw).get("content")) if turn.role == "tool" else None
        return [] if said is None else [said]

    def with_outputs(self, turn: Turn, texts: Sequence[str]) -> Turn:
        if not texts:
            return turn
        message = record(turn.raw)
        raw = {**message, "content": parts.with_text(message["content"], texts[0])}
        return replace(turn, raw=raw, text=_text(raw))

    def with_model(self, body: Json, model: str) -> Json:
        return {**body, "model": model}

    def tools_text(self, body: Json) -> str:
        shown = [body[key] for key in ("tools", "functions") if body.get(key)]
        if _is_schema(body.get("response_format")):
            shown.append(body["response_format"])
        return "\n".join(encode(value).decode() for value in shown)

    def needs(self, body: Json) -> frozenset[Need]:
        found = set(parts.needs(message.get("content") for message in records(body.get("messages"))))
        if body.get("tools") or body.get("functions"):
            found.add("tools")
        if _is_schema(body.get("response_format")):
            found.add("json_schema")
        if "audio" in items(body.get("modalities")):
            found.add("audio")
        if body.get("reasoning_effort") not in (None, "none"):
            found.add("reasoning")
        return frozenset(found)

    def choices(self, body: Json) -> int:
        return max(1, count(body.get("n")))

    def max_output(self, body: Json) -> int | None:
        """Where both names of the bound are there, the larger: a provider may know that one only."""
        bound = max(count(body.get("max_completion_tokens")), count(body.get("max_tokens")))
        return bound * self.choices(body) if bound else None

    def summary(self, body: Json) -> Summary:
        return _summary(peek.convert(body, _Answer))

    def read(self, answer: bytes) -> Summary:
        return _summary(peek.decode(answer, _ANSWERS))

    def output_text(self, body: Json) -> str:
        return "\n".join(
            piece for choice in records(body.get("choices")) for piece in _spoken(choice) if piece
        )

    def written_text(self, body: Json) -> str:
        return "\n".join(_text(record(choice.get("message"))) for choice in records(body.get("choices")))

    def complete(self, events: Sequence[Event]) -> bool:
        return chunks.complete(events)

    def assemble(self, events: Sequence[Event]) -> Json:
        return chat_stream.assemble(events)

    def replay(self, answer: Json, request: Json) -> bytes:
        return chat_stream.replay(answer, request)

    def restream(self, events: Sequence[Event], request: Json) -> bytes:
        return usage_chunks.restream(events, request)


def _turn(raw: Any, first: bool) -> Turn:
    message = record(raw)
    role = message.get("role")
    said, weight = _text(message), parts.tokens(message.get("content"))
    match role:
        case "user":
            return Turn("user", said, raw, pinned=first, extra_tokens=weight)
        case "assistant":
            return Turn("assistant", said, raw, calls=_call_ids(message), extra_tokens=weight)
        case "tool":
            return Turn("tool", said, raw, answers=(text(message.get("tool_call_id")),), extra_tokens=weight)
        case "function":
            return Turn("tool", said, raw, answers=(_function_id(message),), extra_tokens=weight)
        case "system" | "developer":
            return Turn("system", said, raw, pinned=True, extra_tokens=weight)
        case _:
            return Turn("user", said, raw, extra_tokens=weight)


def _call_ids(message: Json) -> tuple[str, ...]:
    ids = [text(call.get("id")) for call in records(message.get("tool_calls"))]
    legacy = record(message.get("function_call"))
    return (*ids, _function_id(legacy)) if legacy else tuple(ids)


def _function_id(named: Json) -> str:
    """Functions, the ancestors of tools, have no ids: their name must do."""
    return "function:" + text(named.get("name"))


def _text(message: Json) -> str:
    said = parts.text_of(message.get("content"))
    if message.keys().isdisjoint(_ALSO_SPOKEN):
        return said
    pieces = [said, *(text(message.get(field)) for field in _SPOKEN)]
    pieces += [piece for function in _functions(message) for piece in function]
    return "\n".join([piece for piece in pieces if piece])


def _functions(message: Json) -> list[tuple[str, str]]:
    """Name and arguments of every function, custom tool and legacy function that a message calls."""
    called = [call.get("function") or call.get("custom") for call in records(message.get("tool_calls"))]
    found = [record(function) for function in (*called, message.get("function_call"))]
    return [(text(f.get("name")), text(f.get("arguments")) or text(f.get("input"))) for f in found]


def _spoken(choice: Json) -> list[str]:
    message = record(choice.get("message"))
    said = [parts.text_of(message.get("content")), text(message.get("refusal"))]
    said.append(text(record(message.get("audio")).get("transcript")))
    return said + [arguments for _, arguments in _functions(message)]


def _is_schema(response_format: Any) -> bool:
    return record(response_format).get("type") in ("json_schema", "json_object")


def _summary(answer: _Answer) -> Summary:
    raw, model = record(answer.usage) or None, text(answer.model)
    usage: Usage | None = None
    if raw:
        usage = tally.openai(raw, answer.service_tier, cites=_cites(answer), model=model)
    return Summary(model, usage, raw, _finish(answer))


def _cites(answer: _Answer) -> bool:
    """Whether it cites pages of the web, the only sign a chat gives of a search."""
    for choice in answer.choices or ():
        if choice and choice.message and choice.message.annotations:
            notes = records(choice.message.annotations)
            if any(note.get("type") == "url_citation" for note in notes):
                return True
    return False


def _finish(answer: _Answer) -> Finish:
    if answer.error:
        return "error"
    return finish.worst([_choice_finish(choice) for choice in answer.choices or () if choice])


def _choice_finish(choice: _Choice) -> Finish:
    """Providers say "stop" of a refusal, and of a tool call that the caller had forced."""
    message = choice.message or _Message()
    if message.refusal:
        return "refusal"
    found = finish.finish(choice.finish_reason)
    if found != "stop":
        return found
    if message.tool_calls or message.function_call:
        return "tool"
    return "stop" if _says(message) else "empty"


def _says(message: _Message) -> bool:
    """Whether there is more than blanks in a message that calls nothing and refuses nothing."""
    return bool(
        parts.text_of(message.content).strip() or text(record(message.audio).get("transcript")).strip()
    )
