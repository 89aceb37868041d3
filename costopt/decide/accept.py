"""Whether an answer passes the check of a cascade, so that a cheap model's answer may stand."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Literal, cast

import msgspec

from costopt.types import Json

Check = Literal["json", "json_schema", "non_empty", "none"]

#: Where the APIs carry the schema an answer must follow.
_SCHEMA_PATHS = (
    ("response_format", "json_schema", "schema"),
    ("text", "format", "schema"),
    ("output_config", "format", "schema"),
    ("output_format", "schema"),
)


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
    except (msgspec.DecodeError, UnicodeEncodeError):
        return False
    return check == "json" or schema is None or _follows(value, schema)


def asked_schema(body: Json) -> Json | None:
    """The JSON schema a request asks its answer to follow, or None."""
    for path in _SCHEMA_PATHS:
        found: object = body
        for key in path:
            found = cast("Mapping[str, object]", found).get(key) if isinstance(found, Mapping) else None
        if isinstance(found, dict):
            return cast("Json", found)
    return None


def _follows(value: object, schema: Json) -> bool:
    """A schema that is itself wrong, or points outside, checks nothing: the provider is the one to say so."""
    # why: imported at the first check, it takes a tenth of a second; litellm brings it along
    jsonschema: Any = import_module("jsonschema")
    referencing: Any = import_module("referencing")
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
        # why: an empty registry, or a remote $ref would be fetched from the network
        return bool(kind(schema, registry=referencing.Registry()).is_valid(value))
    except (jsonschema.exceptions.SchemaError, referencing.exceptions.Unresolvable):
        return True
