"""Whether an answer is what was asked for: a cheap model's answer may stand, an answer may be kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from importlib import import_module
from typing import Any, Literal, cast

import msgspec

from costopt.types import Json
from costopt.wire.loose import record, records

Check = Literal["json", "json_schema", "non_empty", "none"]

#: Where the APIs carry the form an answer must have.
_FORMATS = (("response_format",), ("text", "format"), ("output_config", "format"), ("output_format",))
_FIELDS = frozenset(path[0] for path in _FORMATS)
_JSON = ("json_object", "json_schema")
#: What no reader makes a value of: text that is no JSON, or that is nested deeper than Python can follow.
_UNREADABLE = (msgspec.DecodeError, UnicodeEncodeError, RecursionError)


def accept(text: str, check: Check, body: Json) -> bool:
    """Whether `text`, the answer to `body`, passes. `json_schema` checks nothing where no schema was asked
    for."""
    if check == "none":
        return True
    if check == "non_empty":
        return bool(text.strip())
    schema = asked_schema(body)
    if check == "json_schema" and schema is None:
        return True
    try:
        value = msgspec.json.decode(text)
    except _UNREADABLE:
        return False
    return check == "json" or schema is None or _follows(value, schema)


def asks_json(body: Json) -> bool:
    """Whether a request asks its answer to be JSON, with a schema or without."""
    return not _FIELDS.isdisjoint(body) and any(form.get("type") in _JSON for form in _forms(body))


def asked_schema(body: Json) -> Json | None:
    """The JSON schema a request asks its answer to follow, or None."""
    for form in _forms(body):
        for holder in (record(form.get("json_schema")), form):
            if isinstance(holder.get("schema"), dict):
                return cast("Json", holder["schema"])
    return None


def _forms(body: Json) -> Iterator[Json]:
    for path in _FORMATS:
        found: object = body
        for key in path:
            found = record(found).get(key)
        if isinstance(found, dict):
            yield cast("Json", found)


def fits(name: str, arguments: str, body: Json) -> bool:
    """Whether `arguments` are a JSON object, as the function `name` of the request's tools wants it. No text at all is
    an empty object: so providers write a call without arguments."""
    try:
        given = msgspec.json.decode(arguments or "{}", type=dict[str, Any])
    except _UNREADABLE:
        return False
    schema = _parameters(name, body)
    return schema is None or _follows(given, schema)


def _parameters(name: str, body: Json) -> Json | None:
    """The schema of a function's arguments, in the words of any API; None where there is none."""
    for tool in (*records(body.get("tools")), *records(body.get("functions"))):
        function = record(tool.get("function")) or tool
        if function.get("name") == name:
            return record(function.get("parameters")) or record(function.get("input_schema")) or None
    return None


def _follows(value: object, schema: Json) -> bool:
    """A schema that is itself wrong, or points outside, checks nothing: the provider is the one to say so."""
    try:
        validator = _validator(json.dumps(schema))
        return validator is None or bool(validator.is_valid(value))
    except Exception:  # noqa: BLE001 - why: a schema may be right and still break its check (a $ref that points
        return True  # outside or at itself, a pattern that Python does not know): no reason to lose a paid answer


@lru_cache(256)
def _validator(encoded: str) -> Any:
    """What checks answers against the schema in `encoded`, or None where the schema is wrong. Looking that over takes
    three times as long as an answer, and a program asks with the same few schemas."""
    # why: imported at the first check, it takes a tenth of a second; litellm brings it along
    jsonschema: Any = import_module("jsonschema")
    schema: Any = json.loads(encoded)
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.exceptions.SchemaError:
        return None
    kind = jsonschema.validators.extend(kind, {"multipleOf": _multiple_of})
    # why: an empty registry, or a remote $ref would be fetched from the network
    return kind(schema, registry=import_module("referencing").Registry())


def _multiple_of(validator: Any, step: float, value: Any, _: object) -> Iterator[Exception]:
    """JSON schema's `multipleOf`, in the decimals that were written: as floats, 19.99 is no multiple of 0.01."""
    if validator.is_type(value, "number") and (Fraction(str(value)) / Fraction(str(step))).denominator != 1:
        yield import_module("jsonschema").ValidationError(f"{value} is not a multiple of {step}")
