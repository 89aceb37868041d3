"""What was asked and answered in a GenAI span, from whichever of its places the instrumentation chose.

Sources: "Semantic conventions for generative client AI spans" (attributes `gen_ai.input.messages`,
`gen_ai.output.messages`, `gen_ai.system_instructions`, `gen_ai.tool.definitions`, and their JSON schemas), version
1.36 and before (events `gen_ai.user.message`, `gen_ai.choice`, ...), OpenLLMetry (`gen_ai.prompt.0.role`,
`gen_ai.completion.0.content`, `llm.request.functions.0.name`), OpenInference's "Semantic Conventions"
(`llm.input_messages.0.message.role`, `input.value`), and the Vercel AI SDK (`ai.prompt.messages`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from costopt.importing import chatform, chatsettings
from costopt.importing.formats.otlp.spans import Span, nested
from costopt.types import Json
from costopt.wire.loose import items, record, records, text

_DETAILS = "gen_ai.client.inference.operation.details"
_PARAMETERS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_tokens",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "seed": "seed",
    "stop_sequences": "stop",
    "choice.count": "n",
}
_EVENT_BODY = ("body", "event.body", "event_body", "gen_ai.event.content")
#: Where all of a request or an answer may stand as text, best first.
_ASKED = ("gen_ai.prompt", "ai.prompt.messages", "ai.prompt", "traceloop.entity.input")
_SAID = ("gen_ai.completion", "ai.response.text", "traceloop.entity.output")


def settings(span: Span) -> Json:
    """The parameters of the request in OpenAI's names."""
    given = chatsettings.settings(span.attributes.get("llm.invocation_parameters"))
    for theirs, ours in _PARAMETERS.items():
        if (value := span.attributes.get(f"gen_ai.request.{theirs}")) is not None:
            given[ours] = value
    return given


def tools(span: Span) -> list[Any]:
    told = _attribute(span, "gen_ai.tool.definitions")
    if told is None:
        told = [record(tool).get("tool", tool) for tool in items(nested(span.attributes, "llm.tools"))]
        told = [record(tool).get("json_schema", tool) for tool in told]
    told = told or nested(span.attributes, "llm.request.functions") or nested(span.attributes, "gen_ai.tool")
    return chatsettings.tools(told) if isinstance(told, list | str) else []


def asked(span: Span) -> list[Json]:
    """The conversation that was sent, in the shape of Chat Completions; empty where it was not captured."""
    told = _system(span)
    for found in _asked(span):
        if said := chatform.messages(found):
            return [*told, *said]
    return told


def _system(span: Span) -> list[Json]:
    told = chatform.parsed(_attribute(span, "gen_ai.system_instructions"))
    return (
        chatform.messages([{"role": "system", "parts": told if isinstance(told, list) else [told]}])
        if told
        else []
    )


def _asked(span: Span) -> Iterator[Any]:
    yield _attribute(span, "gen_ai.input.messages")
    yield nested(span.attributes, "gen_ai.prompt")
    yield _unwrapped(nested(span.attributes, "llm.input_messages"))
    yield [message for event in span.events if (message := _event_message(event.name, event.attributes))]
    yield _conversation(span.attributes.get("input.value"))
    for key in _ASKED:
        yield _conversation(_attribute(span, key))
    yield [record(each).get("prompt", each) for each in items(nested(span.attributes, "llm.prompts"))]


def _conversation(value: Any) -> Any:
    said = chatform.parsed(value)
    return record(said).get("messages") or said


def answered(span: Span) -> tuple[list[Json], list[Any]]:
    """What the model said, one message per choice, and why each stopped."""
    for found in _answers(span):
        if said := chatform.replies(found):
            reasons = [_reason(each) for each in items(found)]
            return said, reasons if any(reasons) else _reasons(span)
    return [], _reasons(span)


def own_answer(span: Span) -> Json | None:
    """The provider's own JSON, where the instrumentation keeps it."""
    said = record(chatform.parsed(span.attributes.get("output.value")))
    return said if records(said.get("choices")) else None


def _answers(span: Span) -> Iterator[Any]:
    yield chatform.parsed(_attribute(span, "gen_ai.output.messages"))
    yield nested(span.attributes, "gen_ai.completion")
    yield _unwrapped(nested(span.attributes, "llm.output_messages"))
    yield [_choice(event.attributes) for event in span.events if event.name == "gen_ai.choice"]
    called = chatform.parsed(span.attributes.get("ai.response.toolCalls"))
    if called:
        yield [{"role": "assistant", "parts": [span.attributes.get("ai.response.text"), *_vercel(called)]}]
    for key in _SAID:
        yield _attribute(span, key)
    yield span.attributes.get("output.value")


def _vercel(called: Any) -> list[Json]:
    return [{**call, "type": "tool-call"} for call in records(called)]


def _reason(message: Any) -> Any:
    return record(message).get("finish_reason")


def _reasons(span: Span) -> list[Any]:
    told = chatform.parsed(span.attributes.get("gen_ai.response.finish_reasons"))
    one = span.attributes.get("llm.response.finish_reason") or span.attributes.get("llm.finish_reason")
    return items(told) or ([told] if text(told) else []) or ([one] if text(one) else [])


def _attribute(span: Span, key: str) -> Any:
    """An attribute of the span, or of the event that has all of a call's content."""
    if key in span.attributes:
        return span.attributes[key]
    return next((event.attributes[key] for event in _detailed(span) if key in event.attributes), None)


def _detailed(span: Span) -> Iterator[Any]:
    """Events with content under attribute names; `gen_ai.content.*` are those of early versions."""
    names = (_DETAILS, "gen_ai.content.prompt", "gen_ai.content.completion")
    return (event for event in span.events if event.name in names)


# events of version 1.36 and before


def _event_message(name: str, about: Json) -> Json:
    start, _, kind = name.removeprefix("gen_ai.").partition(".")
    if kind != "message" or start not in ("system", "user", "assistant", "tool"):
        return {}
    return _clean({"role": start, **_told(about)}, start)


def _choice(about: Json) -> Json:
    told = _told(about)
    message = record(chatform.parsed(told.get("message"))) or told
    return {**_clean(message, "assistant"), "finish_reason": told.get("finish_reason")}


def _told(about: Json) -> Json:
    body = next(
        (record(found) for key in _EVENT_BODY if record(found := chatform.parsed(about.get(key)))),
        record(None),
    )
    return {
        key: chatform.parsed(value) if key == "tool_calls" else value
        for key, value in {**about, **body}.items()
    }


def _clean(told: Json, role: str) -> Json:
    names = ("content", "tool_calls", "refusal", "name", "role")
    message = {key: told[key] for key in names if told.get(key) is not None}
    if role == "tool" and told.get("id"):
        message["tool_call_id"] = told["id"]
    return {"role": role, "content": None, **message}


# OpenInference


def _unwrapped(told: Any) -> list[Json]:
    return [_message(record(record(each).get("message"))) for each in items(told)]


def _message(raw: Json) -> Json:
    parts = [_part(record(record(each).get("message_content"))) for each in items(raw.get("contents"))]
    calls = [_call(record(record(each).get("tool_call"))) for each in items(raw.get("tool_calls"))]
    names = ("role", "name", "tool_call_id")
    kept = {key: raw[key] for key in names if raw.get(key) is not None}
    return {**kept, "content": parts or raw.get("content"), **({"tool_calls": calls} if calls else {})}


def _part(raw: Json) -> Json:
    url = record(record(raw.get("image")).get("image")).get("url")
    if url:
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": text(raw.get("type")) or "text", "text": raw.get("text")}


def _call(raw: Json) -> Json:
    return {"id": raw.get("id"), "type": "function", "function": record(raw.get("function"))}
