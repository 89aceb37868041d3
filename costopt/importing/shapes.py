"""Which API a logged request and its answer speak, and an answer in that API's shape made from what a log kept."""

from __future__ import annotations

from typing import Any, get_args

from costopt import wire
from costopt.types import Api, Json
from costopt.wire.base import Event
from costopt.wire.loose import encode, items, record, records, text

_APIS: tuple[Api, ...] = get_args(Api)
_OBJECTS: dict[str, Api] = {
    "chat.completion": "chat",
    "chat.completion.chunk": "chat",
    "response": "responses",
    "text_completion": "completions",
}
#: Blocks that only Anthropic's messages have.
_BLOCKS = frozenset({"tool_use", "tool_result", "thinking", "redacted_thinking", "document"})
_PROVIDERS = {
    "azure_openai": "azure",
    "azure.ai.openai": "azure",
    "aws": "bedrock",
    "aws.bedrock": "bedrock",
    "amazon": "bedrock",
    "google": "gemini",
    "google_ai": "gemini",
    "gcp.gemini": "gemini",
    "vertex": "vertex_ai",
    "vertexai": "vertex_ai",
    "gcp.vertex_ai": "vertex_ai",
    "x_ai": "xai",
    "mistral_ai": "mistral",
    "together": "together_ai",
    "fireworks": "fireworks_ai",
}


def provider_named(name: Any) -> str:
    """The price map's name of a provider, however a log spells it."""
    plain = text(name).strip().lower().replace("-", "_").replace(" ", "_")
    return _PROVIDERS.get(plain, plain)


def api_of(named: object, url: str, body: Json, said: Any = None) -> Api | None:
    """The API that a log names, or the one of its URL, or the one these shapes belong to; None: none we know. `said` is
    the answer or the chunks of its stream."""
    if named in _APIS:
        return named
    told = wire.recognise("POST", url) if url else None
    shown = _by_answers(records(said) or [record(said)]) if told is None else None
    return told or shown or _by_request(body)


def _by_answers(answers: list[Json]) -> Api | None:
    for answer in answers:
        if api := _by_answer(answer):
            return api
    return None


def _by_answer(answer: Json) -> Api | None:
    kind = text(answer.get("object"))
    if kind in _OBJECTS:
        return _OBJECTS[kind]
    event = text(answer.get("type"))
    if event in ("message", "message_start") or "stop_reason" in answer:
        return "messages"
    if event.startswith("response."):
        return "responses"
    if choices := records(answer.get("choices")):
        return "chat" if any(each.keys() & {"message", "delta"} for each in choices) else "completions"
    if isinstance(answer.get("output"), list):
        return "responses"
    return "embeddings" if any("embedding" in each for each in records(answer.get("data"))) else None


def _by_request(body: Json) -> Api | None:
    if "messages" in body:
        return "messages" if _is_anthropic(body) else "chat"
    if "prompt" in body:
        return "completions"
    if "input" in body:
        return "embeddings" if "embed" in text(body.get("model")).lower() else "responses"
    return None


def _is_anthropic(body: Json) -> bool:
    if "system" in body or "anthropic_version" in body:
        return True
    if any("input_schema" in tool for tool in records(body.get("tools"))):
        return True
    return any(
        block.get("type") in _BLOCKS
        for message in records(body.get("messages"))
        for block in records(message.get("content"))
    )


def answered(api: Api, said: Any, usage: Any = None) -> Json | None:
    """The answer that a log kept, however it kept it: whole, as the chunks of its stream, as the message or the text
    in it. `usage` stood beside it and is put where the answer has none. None where nothing was kept."""
    if said is None or said in ({}, []):
        return None
    chunks = items(said)
    whole = _assembled(api, chunks) if chunks else record(said)
    if not _is_answer(whole):
        whole = _rebuilt(api, said)
    return {**whole, "usage": usage} if usage and not whole.get("usage") else whole


def _assembled(api: Api, chunks: list[Any]) -> Json:
    events = [Event(b"", text(record(chunk).get("type")), encode(chunk)) for chunk in chunks]
    return wire.dialect(api).assemble(events)


def _is_answer(value: Json) -> bool:
    known = {"choices", "output", "data", "error", "stop_reason"}
    return bool(known & value.keys()) or value.get("type") == "message"


def _rebuilt(api: Api, said: Any) -> Json:
    message = record(said) or {"content": text(said)}
    content = message.get("content")
    if api == "messages":
        return _message(content)
    if api == "responses":
        return _response(content)
    if api == "completions":
        choice = {"index": 0, "text": text(content), "finish_reason": "stop"}
        return {"object": "text_completion", "choices": [choice]}
    return completion(message)


def completion(message: Json) -> Json:
    """A chat completion that says `message`."""
    called = message.get("tool_calls") or message.get("function_call")
    choice = {
        "index": 0,
        "message": {**message, "role": "assistant"},
        "finish_reason": "tool_calls" if called else "stop",
    }
    return {"object": "chat.completion", "choices": [choice]}


def _message(content: Any) -> Json:
    blocks = items(content) or [{"type": "text", "text": text(content)}]
    called = any(block.get("type") == "tool_use" for block in records(blocks))
    stop = "tool_use" if called else "end_turn"
    return {"type": "message", "role": "assistant", "content": blocks, "stop_reason": stop}


def _response(content: Any) -> Json:
    blocks = items(content) or [{"type": "output_text", "text": text(content)}]
    said = {"type": "message", "role": "assistant", "status": "completed", "content": blocks}
    return {"object": "response", "status": "completed", "output": [said]}
