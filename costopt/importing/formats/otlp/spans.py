"""OTLP JSON as plain spans.

Sources: "OTLP Specification: JSON Protobuf Encoding" (ids in hex, 64-bit integers as decimal text, names in camelCase)
and "OpenTelemetry Protocol File Exporter" (one TracesData object a line). Read as well: snake_case names, as protobuf's
own JSON writer can be told to use, `batches` of Tempo, and the spans that the SDKs print to the console.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from costopt.importing.reading import Item
from costopt.importing.times import moment
from costopt.types import Json
from costopt.wire.loose import items, record, records, text

_RESOURCES = ("resourceSpans", "resource_spans", "batches")
_SCOPES = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans", "instrumentation_library_spans")
#: Telemetry that is no spans: nothing of it is a call.
_OTHERS = ("resourceLogs", "resource_logs", "resourceMetrics", "resource_metrics")
_FAILED = (2, "2", "STATUS_CODE_ERROR", "ERROR")


class Event(Struct, frozen=True):
    name: str
    attributes: Json


class Span(Struct, frozen=True):
    """One span. `at` and `ended` are ns since the epoch, 0 where they are missing; `about` are the attributes of what
    sent it; `number` is the line it stands on."""

    path: str
    number: int
    trace: str
    id: str
    parent: str
    name: str
    at: int
    ended: int
    attributes: Json
    about: Json
    events: tuple[Event, ...] = ()
    failed: bool = False
    message: str = ""


def spans(item: Item) -> Iterator[Span] | None:
    """The spans of one document; None where it is nothing of the kind."""
    value = item.value
    for key in _RESOURCES:
        if isinstance(value.get(key), list):
            return _of_resources(item, records(value[key]))
    if any(key in value for key in _OTHERS):
        return iter(())
    if "attributes" in value and ("context" in value or "spanId" in value or "span_id" in value):
        return iter([_span(item, value, {})])
    return None


def _of_resources(item: Item, resources: list[Json]) -> Iterator[Span]:
    for resource in resources:
        about = attributes(record(resource.get("resource")).get("attributes"))
        for scope in _listed(resource, _SCOPES):
            for raw in _listed(scope, ("spans",)):
                yield _span(item, raw, about)


def _listed(value: Json, names: tuple[str, ...]) -> list[Json]:
    return next((records(value[name]) for name in names if name in value), records(None))


def _span(item: Item, raw: Json, about: Json) -> Span:
    context, status = record(raw.get("context")), record(raw.get("status"))
    return Span(
        path=item.path,
        number=item.number,
        trace=_text(raw, "traceId", "trace_id") or text(context.get("trace_id")),
        id=_text(raw, "spanId", "span_id") or text(context.get("span_id")),
        parent=_text(raw, "parentSpanId", "parent_span_id", "parent_id"),
        name=text(raw.get("name")),
        at=_time(raw, "startTimeUnixNano", "start_time_unix_nano", "start_time"),
        ended=_time(raw, "endTimeUnixNano", "end_time_unix_nano", "end_time"),
        attributes=attributes(raw.get("attributes")),
        about=about,
        events=tuple(_event(event) for event in records(raw.get("events"))),
        failed=(status.get("code") or status.get("status_code") or raw.get("status_code")) in _FAILED,
        message=text(status.get("message")) or text(status.get("description")),
    )


def _text(raw: Json, *names: str) -> str:
    return next((found for name in names if (found := text(raw.get(name)))), "")


def _time(raw: Json, *names: str) -> int:
    return next((at for name in names if (at := moment(raw.get(name)))), 0)


def _event(raw: Json) -> Event:
    about = attributes(raw.get("attributes"))
    return Event(text(raw.get("name")) or text(about.get("event.name")), about)


def attributes(raw: Any) -> Json:
    """Attributes by key, whether they come as key-value pairs or as an object."""
    if isinstance(raw, dict):
        return record(raw)
    return {text(pair.get("key")): _value(pair.get("value")) for pair in records(raw)}


def _value(raw: Any) -> Any:
    """One AnyValue; what is none of its kinds stays as it is."""
    value = record(raw)
    if len(value) != 1:
        return raw if value else None
    kind, held = next(iter(value.items()))
    match kind:
        case "intValue" | "int_value":
            return int(held) if isinstance(held, str) and held.lstrip("-").isdigit() else held
        case "arrayValue" | "array_value":
            return [_value(each) for each in items(record(held).get("values"))]
        case "kvlistValue" | "kvlist_value":
            return attributes(record(held).get("values"))
        case "stringValue" | "doubleValue" | "boolValue" | "bytesValue" | "string_value" | "double_value":
            return held
        case "bool_value" | "bytes_value":
            return held
        case _:
            return raw


def nested(attributes: Json, prefix: str) -> Any:
    """Attributes that flatten a list or an object (`llm.input_messages.0.message.role`), put together again; None
    where there are none."""
    start = prefix + "."
    tree: Json = {}
    for key, value in attributes.items():
        if key.startswith(start):
            _grow(tree, key[len(start) :].split("."), value)
    return _listing(tree) if tree else None


def _grow(tree: Json, path: list[str], value: Any) -> None:
    for step in path[:-1]:
        tree[step] = record(tree.get(step))
        tree = tree[step]
    tree.setdefault(path[-1], value)


def _listing(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    found = {str(key): _listing(value) for key, value in record(tree).items()}
    if all(key.isdigit() for key in found):
        return [found[key] for key in sorted(found, key=int)]
    return found
