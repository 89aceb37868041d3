"""Spans as an OpenTelemetry exporter writes them, and the calls that are read from them."""

from __future__ import annotations

import json
from typing import Any

from costopt.importing.formats.otlp.calls import read
from costopt.importing.words import Found, Imported, Line, Options
from costopt.types import Json
from costopt.wire.loose import items, record

BEGAN = 1_793_525_400 * 10**9 + 321


def any_value(value: Any) -> Json:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case list():
            return {"arrayValue": {"values": [any_value(each) for each in items(value)]}}
        case dict():
            return {"kvlistValue": {"values": pairs(record(value))}}
        case _:
            return {"stringValue": value}


def pairs(attributes: Json) -> list[Json]:
    return [{"key": key, "value": any_value(value)} for key, value in attributes.items()]


def span_of(attributes: Json, name: str = "s1", parent: str = "", start: int = 0, **fields: Any) -> Json:
    return {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": name,
        "parentSpanId": parent,
        "name": "chat gpt-4o-mini",
        "startTimeUnixNano": str(BEGAN + start),
        "endTimeUnixNano": str(BEGAN + start + 10**9),
        "attributes": pairs(attributes),
        **fields,
    }


def request_of(*spans: Json) -> Json:
    resource = {"attributes": pairs({"service.name": "shop"})}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {}, "spans": list(spans)}]}]}


def read_all(*requests: Json) -> list[Found]:
    lines = [Line("t.jsonl", number, json.dumps(each).encode()) for number, each in enumerate(requests, 1)]
    return list(read(lines, Options()))


def calls_of(*spans: Json) -> list[Imported]:
    return [found for found in read_all(request_of(*spans)) if isinstance(found, Imported)]


def chat(**more: Any) -> Json:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
        "gen_ai.usage.input_tokens": 2000,
        "gen_ai.usage.output_tokens": 7,
        **{key.replace("__", "."): value for key, value in more.items()},
    }
