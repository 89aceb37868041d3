"""OpenTelemetry spans of model calls, as OTLP JSON: one export request a line, as the collector's file exporter writes
them, or a single document.

Sources: "Semantic conventions for generative client AI spans" of OpenTelemetry (gen_ai.*) with the names of its older
versions, OpenLLMetry's and OpenInference's semantic conventions; `otlp_spans` and `otlp_content` name the rest.

- Calls are spans whose operation is chat, text_completion, embeddings or generate_content, or that OpenInference calls
  LLM or EMBEDDING, or that name a model and count tokens; tools, agents, workflows and retrieval are not.
- One call in several spans counts once: see `nesting`.
- Input tokens hold the cached ones ("SHOULD include all types of input tokens, including cached tokens"); where the
  numbers show that they do not, they are added.
- Bodies and answers are put into the shape of Chat Completions. Without captured content a call still has its
  parameters, tokens and model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from costopt.importing import chatform, counts
from costopt.importing.formats.otlp import content as otlp_content
from costopt.importing.formats.otlp.spans import Span, nested, spans
from costopt.importing.formats.otlp.usage import raw_usage, usage_of
from costopt.importing.labels import failure, labelled, provider
from costopt.importing.nesting import Nest, Node
from costopt.importing.reading import Item, documents
from costopt.importing.words import Found, Imported, Line, Options, Unusable
from costopt.types import Api, Json, Usage
from costopt.wire.loose import encode, items, record, text

_OPERATIONS: dict[str, Api] = {
    "chat": "chat",
    "completion": "chat",
    "generate_content": "chat",
    "text_completion": "completions",
    "embeddings": "embeddings",
    "embedding": "embeddings",
    "llm": "chat",
}
_WALLS = frozenset({"execute_tool", "invoke_agent", "create_agent", "tool", "agent"})
_NO_CALLS = _WALLS | {
    *(
        "invoke_workflow",
        "workflow",
        "task",
        "chain",
        "plan",
        "retrieval",
        "retriever",
        "rerank",
        "reranker",
        "prompt",
    ),
    *(
        "guardrail",
        "evaluator",
        "create_memory",
        "search_memory",
        "update_memory",
        "delete_memory",
        "upsert_memory",
    ),
    *("create_memory_store", "delete_memory_store"),
}
_NO_PLACE = ("image", "speech", "audio", "transcription", "video", "realtime")
_MODEL = ("llm.model_name", "gen_ai.response.model", "embedding.model_name", "ai.model.id")
_ASKED_MODEL = ("gen_ai.request.model", "llm.request.model_name", "llm.request.model")
_ANSWERED_MODEL = ("gen_ai.response.model", "llm.response.model_name", "llm.model_name")
#: Where OpenInference keeps the request.
_REQUESTS = ("llm.invocation_parameters", "embedding.invocation_parameters", "input.value")
_PROVIDER = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")
_COST = ("gen_ai.usage.cost", "gen_ai.cost.total", "gen_ai.cost.total_cost", "llm.cost.total")
_TAGS = {
    "session": ("gen_ai.conversation.id", "session.id"),
    "user": ("user.id", "enduser.id", "llm.user"),
    "agent": ("gen_ai.agent.name",),
}


def read(lines: Iterable[Line], options: Options) -> Iterator[Found]:
    nest = Nest()
    for item in documents(lines):
        for node in [item] if isinstance(item, Unusable) else _nodes(item, options):
            if isinstance(node, Unusable):
                yield node
            else:
                yield from nest.add(node)
    yield from nest.rest()


def _nodes(item: Item, options: Options) -> Iterator[Node | Unusable]:
    found = spans(item)
    if found is None:
        yield Unusable(item.path, item.number, "no OTLP traces: `resourceSpans` is missing")
        return
    for span in found:
        yield _node(span, options)


def _node(span: Span, options: Options) -> Node | Unusable:
    kind, usage = _kind(span), usage_of(span)
    if any(word in kind for word in _NO_PLACE) and usage:
        return Unusable(
            span.path, span.number, "an operation that has no place in a ledger (images, audio, video)"
        )
    is_call = _is_call(kind, span, usage)
    if is_call and not span.at:
        return Unusable(span.path, span.number, "a span without a start time")
    if is_call and not span.id:
        return Unusable(span.path, span.number, "a span without an id")
    call = _call(span, _OPERATIONS.get(kind, "chat"), usage, options) if is_call else None
    answer = text(span.attributes.get("gen_ai.response.id"))
    weight = len(encode(call.body)) if call else 0
    return Node(
        span.trace or span.id,
        span.id,
        span.parent,
        call,
        kind in _WALLS,
        answer,
        weight,
        span.path,
        span.number,
    )


def _kind(span: Span) -> str:
    """What the span says it is, in small letters; empty where it does not say."""
    about = span.attributes
    for key in (
        "gen_ai.operation.name",
        "openinference.span.kind",
        "llm.request.type",
        "traceloop.span.kind",
    ):
        if kind := text(about.get(key)).lower():
            return kind
    return "tool" if "ai.toolCall.name" in about else ""


def _is_call(kind: str, span: Span, usage: Usage | None) -> bool:
    if kind in _NO_CALLS:
        return False
    if kind in _OPERATIONS:
        return True
    return bool(usage and _model(span)) and not any(word in kind for word in _NO_PLACE)


def _first(about: Json, names: Iterable[str]) -> str:
    return next((found for name in names if (found := text(about.get(name)))), "")


def _model(span: Span) -> str:
    """The model asked for, else the one that answered."""
    about = span.attributes
    requests = (record(chatform.parsed(about.get(key))) for key in _REQUESTS)
    named = _first(about, _ASKED_MODEL) or next(
        (name for each in requests if (name := text(each.get("model")))), ""
    )
    return named or _first(about, _MODEL)


def _call(span: Span, api: Api, usage: Usage | None, options: Options) -> Imported:
    about = span.attributes
    model = _model(span) or options.model
    said = otlp_content.asked(span)
    body = _body(span, api, model, said)
    failed = span.failed and not usage
    status, error = failure(f"{about.get('error.type') or ''} {span.message}") if failed else (200, "")
    return Imported(
        id=f"{span.trace}:{span.id}",
        at=span.at,
        ended=span.ended,
        api=api,
        provider=provider(_first(about, _PROVIDER)),
        model=model,
        endpoint="",
        body=body,
        answer=None if failed else _answer(span, api, usage),
        usage=usage,
        raw_usage=raw_usage(span),
        status=status,
        error=error,
        stream=bool(about.get("gen_ai.request.stream") or about.get("llm.is_streaming")),
        tags=_tags(span),
        cost=next((nano for key in _COST if (nano := counts.paid(about.get(key)))), None),
        partial=not said and not body.get("input"),
    )


# request and answer


def _body(span: Span, api: Api, model: str, said: list[Json]) -> Json:
    body: Json = {"model": model, **otlp_content.settings(span)}
    if api == "embeddings":
        return {**body, "input": _embedded(span, said)}
    if api == "completions":
        told = [text(message.get("content")) for message in said]
        return {**body, "prompt": told[0] if len(told) == 1 else told}
    tools = otlp_content.tools(span)
    return {**body, **({"tools": tools} if tools else {}), "messages": said}


def _embedded(span: Span, said: list[Json]) -> list[Any]:
    told = items(nested(span.attributes, "embedding.embeddings"))
    texts = [record(record(each).get("embedding")).get("text") for each in told]
    return [each for each in texts if each] or [message.get("content") for message in said]


def _answer(span: Span, api: Api, usage: Usage | None) -> Json | None:
    if api == "embeddings":
        return None
    own = otlp_content.own_answer(span)
    if own:
        return own
    said, reasons = otlp_content.answered(span)
    about = span.attributes
    model = _first(about, _ANSWERED_MODEL) or _model(span)
    made = chatform.completion(said, model, reasons, usage, text(about.get("gen_ai.response.id")))
    return _completed(made) if made and api == "completions" else made


def _completed(chat: Json) -> Json:
    """A chat completion as a text completion."""
    choices = [
        {
            "index": each["index"],
            "text": text(each["message"].get("content")),
            "finish_reason": each["finish_reason"],
        }
        for each in chat["choices"]
    ]
    return {**chat, "object": "text_completion", "choices": choices}


# tags


def _tags(span: Span) -> dict[str, str]:
    tags = {name: found for name, keys in _TAGS.items() if (found := _first(span.attributes, keys))}
    tags.setdefault("session", span.trace or span.id)
    if service := text(span.about.get("service.name")):
        tags["service"] = service
    linked = nested(span.attributes, "traceloop.association.properties")
    tags |= {name: value for name, value in record(linked).items() if isinstance(value, str)}
    return tags | labelled(items(chatform.parsed(span.attributes.get("tag.tags"))))
