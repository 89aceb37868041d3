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
#: Parameters of a request that say nothing of who sent it.
_SETTINGS = frozenset(
    {
        *(
            "temperature",
            "top_p",
            "top_k",
            "max_tokens",
            "max_completion_tokens",
            "max_output_tokens",
            "n",
            "seed",
        ),
        *(
            "stop",
            "frequency_penalty",
            "presence_penalty",
            "reasoning_effort",
            "reasoning",
            "thinking",
            "verbosity",
        ),
        *("tools", "tool_choice", "parallel_tool_calls", "response_format", "functions", "function_call"),
        *(
            "logprobs",
            "top_logprobs",
            "logit_bias",
            "service_tier",
            "modalities",
            "prompt_cache_key",
            "prediction",
        ),
    }
)
_NOTHING = frozenset(
    {"", "none", "null", "undefined", "nan", "inf", "infinity", "-1", "notgiven", "not_given"}
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
    said = parsed(said)
    if isinstance(said, list):
        return [message for each in items(said) for message in _messages(each, "user")]
    return list(_messages(said, "user")) if said not in (None, "") else []


def replies(said: Any) -> list[Json]:
    """What the model said, one message per choice: a list of messages, one message, or only its text."""
    said = parsed(said)
    listed: list[Any] = items(said) if isinstance(said, list) and _are_messages(said) else [said]
    return [
        message for each in listed if each not in (None, "", []) for message in _messages(each, "assistant")
    ]


def _are_messages(said: Any) -> bool:
    return all("role" in each or "message" in each or "parts" in each for each in map(record, items(said)))


def _messages(raw: Any, role: str) -> Iterator[Json]:
    message = record(raw)
    if not message:
        yield from _bare(raw, role)
        return
    if text(message.get("type")) in _CALL | _RESULT | _THOUGHT and "role" not in message:
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


def _bare(raw: Any, role: str) -> Iterator[Json]:
    """Messages of which only the content is left: text, blocks, the items of a response, or some JSON."""
    if isinstance(raw, list) and records(raw):
        yield from _from_parts({}, role, [part for each in items(raw) for part in _opened(each)])
    else:
        yield {"role": role, "content": raw if isinstance(raw, str) else encode(raw).decode()}


def _opened(part: Any) -> list[Any]:
    item = record(part)
    return items(item.get("content")) if item.get("type") == "message" else [part]


def _is_foreign(message: Json, parts: Any) -> bool:
    if "parts" in message or isinstance(parts, dict):
        return True
    if "content" not in message and "tool_calls" not in message and "function_call" not in message:
        return True
    kinds = {part.get("type") for part in records(parts)}
    return bool(kinds & (_CALL | _RESULT | _THOUGHT)) or _has_flat_calls(message)


def _has_flat_calls(message: Json) -> bool:
    return any("function" not in call and "name" in call for call in records(message.get("tool_calls")))


def _from_parts(message: Json, role: str, parts: Sequence[Any]) -> Iterator[Json]:
    """One message, and one more for each tool result in it: those stand alone in this shape, and come first."""
    rest: list[Any] = []
    calls = [_call(call) for call in records(message.get("tool_calls"))]
    thoughts: list[str] = []
    for part in parts:
        kind = text(record(part).get("type"))
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
    kind = text(part.get("type"))
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
    if blocks and all(text(record(block).get("type")) in _TEXT for block in blocks):
        return "\n".join(_said(record(block)) for block in blocks)
    return encode(said).decode()


def _id(part: Json) -> str:
    return next((value.strip() for key in _ID if (value := text(part.get(key)))), "")


def settings(raw: Any) -> Json:
    """The parameters in `raw` that shape an answer; some tools write numbers as text, and all there is as "None"."""
    named = record(parsed(raw)).items()
    return {key: _plain_value(value) for key, value in named if key in _SETTINGS and _is_set(value)}


def _is_set(value: Any) -> bool:
    return value is not None and str(value).strip().lower() not in _NOTHING


def _plain_value(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        number = float(value)
    except ValueError:
        return parsed(value)
    return int(number) if number.is_integer() else number


def tools(raw: Any) -> list[Any]:
    """Tool definitions; those in other shapes are put into OpenAI's, which also needs no more than name and schema."""
    found = parsed(raw)
    if isinstance(found, dict) and "type" not in found:
        return [_tool({"name": name, **record(parsed(each))}) for name, each in record(found).items()]
    listed: list[Any] = items(found) if isinstance(found, list) else [found]
    return [_tool(parsed(tool)) for tool in listed if tool]


def _tool(raw: Any) -> Any:
    tool = record(raw)
    schema = next((tool[key] for key in ("parameters", "input_schema", "inputSchema") if key in tool), None)
    if (
        record(tool.get("function"))
        or not tool.get("name")
        or tool.get("type") not in (None, "function", "custom")
    ):
        return raw
    function = {"name": tool["name"], "description": tool.get("description"), "parameters": parsed(schema)}
    return {
        "type": "function",
        "function": {key: value for key, value in function.items() if value is not None},
    }


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
