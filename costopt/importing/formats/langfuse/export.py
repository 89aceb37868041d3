"""Langfuse's observations: table exports (CSV, JSON), blob storage exports (JSON, JSONL, CSV), pages of
`GET /api/public/observations`, traces with their observations.

Sources: "Export Data from UI" and "Blob Storage Export Field Reference" (langfuse.com/docs/api-and-data-platform),
"Observation Types", "Token & Cost Tracking" (langfuse.com/docs/observability/features).

- Observations of type GENERATION and EMBEDDING are calls; the others only tell what stands inside what. A generation
  with another one inside is the same call told twice, and is counted once.
- Bodies and answers are put into the shape of Chat Completions; an answer that is a whole chat completion stays as it
  is. Langfuse keeps no reason why a model stopped: an answer as long as its bound is cut off, any other is complete.
- Level ERROR is a failure where there is neither output nor usage: otherwise the provider was paid.
- Metadata is not read, but for the provider's name: it holds anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from costopt.importing import chatform, chatsettings
from costopt.importing.formats.langfuse import usage as langfuse_usage
from costopt.importing.formats.langfuse.rows import rows
from costopt.importing.labels import failure, labelled, provider
from costopt.importing.nesting import Nest, Node
from costopt.importing.reading import Item
from costopt.importing.times import moment
from costopt.importing.words import Found, Imported, Line, Options, Unusable
from costopt.types import Json, Usage
from costopt.wire.loose import encode, first_count, items, record, records, text

_CALLS = ("GENERATION", "EMBEDDING")
_WALLS = ("TOOL", "AGENT")
_PROVIDER = ("ls_provider", "custom_llm_provider", "provider", "gen_ai.system")


def read(lines: Iterable[Line], options: Options) -> Iterator[Found]:
    nest = Nest()
    for item in rows(lines):
        node = item if isinstance(item, Unusable) else _node(item, options)
        if isinstance(node, Unusable):
            yield node
        else:
            yield from nest.add(node)
    yield from nest.rest()


def _node(item: Item, options: Options) -> Node | Unusable:
    row = item.value
    at = moment(row.get("starttime"))
    name = text(row.get("id"))
    if not name or at is None:
        return Unusable(item.path, item.number, "no Langfuse observation: it has no id or no start time")
    kind = text(row.get("type")).upper() or ("GENERATION" if _model(row) else "SPAN")
    call = _call(row, kind, at, options) if kind in _CALLS else None
    trace = text(row.get("traceid")) or name
    weight = len(encode(call.body)) if call else 0
    return Node(
        trace,
        name,
        text(row.get("parentobservationid")),
        call,
        kind in _WALLS,
        "",
        weight,
        item.path,
        item.number,
    )


def _model(row: Json) -> str:
    return text(row.get("model")) or text(row.get("providedmodelname"))


def _call(row: Json, kind: str, at: int, options: Options) -> Imported:
    usage = langfuse_usage.counted(row.get("usagedetails"), row.get("usage"), _columns(row))
    model = _model(row) or options.model
    body = _embedded(row, model) if kind == "EMBEDDING" else _body(row, model)
    answer = None if kind == "EMBEDDING" else _answer(row, model, body, usage)
    failed = text(row.get("level")).upper() == "ERROR" and not answer and not usage
    status, error = failure(text(row.get("statusmessage"))) if failed else (200, "")
    raw = record(chatform.parsed(row.get("usagedetails"))) or record(chatform.parsed(row.get("usage")))
    return Imported(
        id=text(row.get("id")),
        at=at,
        ended=moment(row.get("endtime")) or 0,
        api="embeddings" if kind == "EMBEDDING" else "chat",
        provider=_provider(row),
        model=model,
        body=body,
        answer=answer,
        usage=usage,
        raw_usage=raw or None,
        status=status,
        error=error,
        stream=moment(row.get("completionstarttime")) is not None,
        tags=_tags(row),
        cost=langfuse_usage.paid(
            row.get("costdetails"), row.get("calculatedtotalcost"), row.get("totalcost")
        ),
        partial=not row.get("input"),
    )


def _columns(row: Json) -> Json:
    """The count columns of a table export, by the names of the old `usage` object."""
    names = ("input", "output", "total")
    return {
        f"{name}Tokens": row.get(f"{name}usage") or row.get(f"{name}tokens") or row.get(f"{old}tokens")
        for name, old in zip(names, ("prompt", "completion", "total"), strict=True)
    }


def _provider(row: Json) -> str:
    about = record(chatform.parsed(row.get("metadata")))
    return provider(next((found for key in _PROVIDER if (found := text(about.get(key)))), ""))


# request and answer


def _embedded(row: Json, model: str) -> Json:
    said = chatform.parsed(row.get("input"))
    return {"model": model, "input": record(said).get("input", said)}


def _body(row: Json, model: str) -> Json:
    said = chatform.parsed(row.get("input"))
    asked = record(said)
    body: Json = {"model": model, **chatsettings.settings(row.get("modelparameters"))}
    spoken = next((asked[key] for key in ("messages", "input", "contents") if asked.get(key)), None)
    if spoken is not None:
        body |= chatsettings.settings(asked)
        said = [*_system(asked), *chatform.messages(spoken)]
    said, schemas = _without_schemas(chatform.messages(said))
    tools = body.get("tools") or schemas or row.get("tooldefinitions")
    return {**body, **({"tools": chatsettings.tools(tools)} if tools else {}), "messages": said}


def _system(asked: Json) -> list[Json]:
    told = asked.get("system") or asked.get("instructions")
    return [{"role": "system", "content": told}] if told else []


def _without_schemas(said: list[Json]) -> tuple[list[Json], list[Any]]:
    """LangChain's handler puts the tool schemas behind the messages, as messages of role `tool`."""
    schemas = [_schema(message) for message in said]
    kept = [message for message, schema in zip(said, schemas, strict=True) if not schema]
    return kept, [schema for schema in schemas if schema]


def _schema(message: Json) -> Json:
    if message.get("role") != "tool" or message.get("tool_call_id"):
        return {}
    content = record(chatform.parsed(message.get("content")))
    return content if content.get("type") == "function" and content.get("function") else {}


def _answer(row: Json, model: str, body: Json, usage: Usage | None) -> Json | None:
    said = chatform.parsed(row.get("output"))
    if records(record(said).get("choices")):
        return record(said)
    bound = first_count(
        body.get("max_completion_tokens"), body.get("max_tokens"), body.get("max_output_tokens")
    )
    cut = bool(bound and usage and usage.output >= bound)
    listed = items(record(said).get("output")) or said
    return chatform.completion(
        chatform.replies(listed), model, ["length"] if cut else [], usage, text(row.get("id"))
    )


# tags


def _tags(row: Json) -> dict[str, str]:
    fields = {
        "user": row.get("userid"),
        "session": row.get("sessionid") or row.get("traceid"),
        "environment": row.get("environment"),
        "trace": row.get("tracename"),
        "name": row.get("name"),
        "release": row.get("release"),
    }
    tags = {name: text(value) for name, value in fields.items() if text(value)}
    return tags | labelled(items(chatform.parsed(row.get("tags") or row.get("tracetags"))))
