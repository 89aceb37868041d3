"""Messages as tracing tools write them, in the shape of OpenAI's Chat Completions.

Read are OpenAI's own messages (which stay as they are), the `parts` of OpenTelemetry's GenAI conventions, the content
blocks of Anthropic's Messages, and the parts of the Vercel AI SDK. What is none of these stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from costopt.types import Json, Usage
from costopt.wire import tally
from costopt.wire.loose import encode, items, record, records, text

_TEXT = frozenset({"text", "input_text", "output_text"})
_THOUGHT = frozenset({"reasoning", "thinking"})
_CALL = frozenset({"tool_call", "tool_use", "tool-call", "function_call"})
_RESULT = frozenset({"tool_call_response", "tool_result", "tool-result", "function_call_output"})
#: Roles by the names that frameworks give them, and the types of messages that have no role.
_ROLES = {"human": "user", "ai": "assistant", "model": "assistant"}
#: Fields that only messages have, and those a message may have beside its content.
_SURE = frozenset({"role", "parts", "tool_calls"})
_ASIDE = frozenset(
    {
        *(
            "content",
            "type",
            "name",
            "id",
            "refusal",
            "audio",
            "annotations",
            "function_call",
            "reasoning_content",
        ),
        *(
            "additional_kwargs",
            "response_metadata",
            "usage_metadata",
            "provider_specific_fields",
            "finish_reason",
        ),
    }
)
_ID = ("id", "tool_use_id", "toolCallId", "tool_call_id", "call_id")


def parsed(value: Any) -> Any:
    """`value`, or the JSON that it holds as text."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value, strict=False)
    except (ValueError, RecursionError):
        return value


def messages(said: Any) -> list[Json]:
    """A conversation: a list of messages, one message, or only the text of a user."""
    return _spoken(said, "user")


def replies(said: Any) -> list[Json]:
    """What the model said, one message per choice: a list of messages, one message, or only its text."""
    return _spoken(said, "assistant")


def _spoken(said: Any, role: str) -> list[Json]:
    opened = parsed(said)
    if said in (None, "", []):
        return []
    if _is_message(opened):
        return list(_messages(record(opened), role))
    listed = items(opened)
    if (
        listed
        and all(isinstance(each, str) or _is_message(each) for each in listed)
        and not _are_items(listed)
    ):
        return [message for each in listed for message in _spoken_in_list(each, role)]
    if listed and all(_kind(record(each)) for each in listed):
        return list(_from_parts({}, role, [part for each in listed for part in _opened(each)]))
    return [{"role": role, "content": said if isinstance(said, str) else encode(said).decode()}]


def _kind(part: Json) -> str:
    return text(part.get("type"))


def _is_message(value: Any) -> bool:
    """JSON that a model wrote may have any field: so a content alone makes no message where there is more."""
    message = record(value)
    if _kind(message) in _CALL | _RESULT | _THOUGHT or not _SURE.isdisjoint(message):
        return True
    if isinstance(message.get("message"), dict):
        return True
    return "content" in message and message.keys() <= _ASIDE


def _are_items(listed: list[Any]) -> bool:
    """Whether these are the items of one response, which together are one message."""
    return any(_kind(record(each)) in _CALL | _THOUGHT for each in listed) and all(
        record(each).get("role") in (None, "assistant") for each in listed
    )


def _spoken_in_list(each: Any, role: str) -> Iterator[Json]:
    if isinstance(each, str):
        yield {"role": role, "content": each}
    else:
        yield from _messages(record(each), role)


def _messages(message: Json, role: str) -> Iterator[Json]:
    if _kind(message) in _CALL | _RESULT | _THOUGHT and "role" not in message:
        yield from _from_parts({}, "assistant", [message])
        return
    message = record(message.get("message")) or message
    named = text(message.get("role"))
    role = _ROLES.get(named, named) or _ROLES.get(text(message.get("type")), role)
    parts = message.get("parts", message.get("content"))
    if not _is_foreign(message, parts):
        yield message if message.get("role") == role else {**message, "role": role}
    elif role == "tool" and isinstance(parts, dict):
        yield {**message, "content": encode(parts).decode()}
    else:
        yield from _from_parts(message, role, items(parts) if isinstance(parts, list) else [parts])


def _opened(part: Any) -> list[Any]:
    item = record(part)
    return items(item.get("content")) if item.get("type") == "message" else [part]


def _is_foreign(message: Json, parts: Any) -> bool:
    if "parts" in message or isinstance(parts, dict):
        return True
    if "content" not in message and "tool_calls" not in message and "function_call" not in message:
        return True
    kinds = {_kind(part) for part in records(parts)}
    return bool(kinds & (_CALL | _RESULT | _THOUGHT)) or _has_flat_calls(message)


def _has_flat_calls(message: Json) -> bool:
    return any("function" not in call and "name" in call for call in records(message.get("tool_calls")))


def _from_parts(message: Json, role: str, parts: Sequence[Any]) -> Iterator[Json]:
    """One message, and one more for each tool result in it: those stand alone in this shape, and come first."""
    rest: list[Any] = []
    calls = [_call(call) for call in records(message.get("tool_calls"))]
    thoughts: list[str] = []
    for part in parts:
        kind = _kind(record(part))
        if kind in _RESULT:
            yield _result(record(part))
        elif kind in _CALL:
            calls.append(_call(record(part)))
        elif kind in _THOUGHT:
            thoughts.append(_said(record(part)))
        elif part not in (None, ""):
            rest.append(_part(part))
    if rest or calls or thoughts:
        yield _message(message, role, rest, calls, thoughts)


def _message(message: Json, role: str, rest: list[Any], calls: list[Json], thoughts: list[str]) -> Json:
    built: Json = {"role": role, "content": _content(rest)}
    if thoughts:
        built["reasoning_content"] = "\n".join(thoughts)
    if calls:
        built["tool_calls"] = calls
    kept = {key: message[key] for key in ("name", "tool_call_id", "refusal") if message.get(key)}
    return {**built, **kept}


def _content(parts: list[Any]) -> Any:
    if not parts:
        return None
    if len(parts) == 1 and set(parts[0]) == {"type", "text"}:
        return parts[0]["text"]
    return parts


def _said(part: Json) -> str:
    return next((value for key in ("text", "content", "thinking") if (value := text(part.get(key)))), "")


def _part(raw: Any) -> Json:
    part = record(raw)
    kind = _kind(part)
    if not part:
        return {"type": "text", "text": raw if isinstance(raw, str) else encode(raw).decode()}
    if kind in _TEXT or (not kind and _said(part)):
        kept = {"cache_control": part["cache_control"]} if part.get("cache_control") else {}
        return {"type": "text", "text": _said(part), **kept}
    if kind in ("uri", "blob") and part.get("modality") == "image":
        return {"type": "image_url", "image_url": {"url": _url(part)}}
    return part


def _url(part: Json) -> str:
    return text(part.get("uri")) or f"data:{text(part.get('mime_type'))};base64,{text(part.get('content'))}"


def _call(part: Json) -> Json:
    if record(part.get("function")):
        return part
    arguments: Any = next(
        (part[key] for key in ("arguments", "input", "args") if part.get(key) is not None), "{}"
    )
    spoken = arguments if isinstance(arguments, str) else encode(arguments).decode()
    name = text(part.get("name")) or text(part.get("toolName"))
    return {"id": _id(part), "type": "function", "function": {"name": name, "arguments": spoken}}


def _result(part: Json) -> Json:
    said: Any = next(
        (part[key] for key in ("response", "result", "content", "output") if part.get(key) is not None), ""
    )
    return {
        "role": "tool",
        "tool_call_id": _id(part),
        "content": said if isinstance(said, str) else _plain(said),
    }


def _plain(said: Any) -> str:
    """Text blocks as their text, anything else as JSON."""
    blocks = items(said)
    if blocks and all(_kind(record(block)) in _TEXT for block in blocks):
        return "\n".join(_said(record(block)) for block in blocks)
    return encode(said).decode()


def _id(part: Json) -> str:
    return next((value.strip() for key in _ID if (value := text(part.get(key)))), "")


def completion(
    said: Iterable[Json],
    model: str = "",
    reasons: Sequence[Any] = (),
    usage: Usage | None = None,
    name: str = "",
) -> Json | None:
    """Messages as the chat completion `name`, one choice each; `reasons` are their finish reasons as far as they are
    known. None where nothing was said."""
    choices = [_choice(at, message, reasons) for at, message in enumerate(said)]
    if not choices:
        return None
    built: Json = {"id": name, "object": "chat.completion", "model": model, "choices": choices}
    return {**built, "usage": tally.as_openai(usage)} if usage else built


def _choice(at: int, message: Json, reasons: Sequence[Any]) -> Json:
    called = message.get("tool_calls") or message.get("function_call")
    reason = _reason(reasons[at]) if at < len(reasons) and reasons[at] else "tool_calls" if called else "stop"
    return {"index": at, "message": {**message, "role": "assistant"}, "finish_reason": reason}


def _reason(told: Any) -> str:
    """OpenTelemetry's conventions say `tool_call`, and some SDKs' enums come as `FinishReason.STOP`."""
    plain = str(told).rpartition(".")[2].lower()
    return "tool_calls" if plain == "tool_call" else plain
