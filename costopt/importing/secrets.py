"""Keeps keys and cookies out of the ledger: no header of a logged request or answer is imported.

Logs hold them in many places: beside the body (`headers`), in it (`extra_headers`, an MCP tool's `authorization`),
in a call that litellm logged with all its arguments (`api_key`). What goes is the field, by its name, at any depth;
JSON schemas, which may describe a property of that name, stay whole.
"""

from __future__ import annotations

from typing import Any, cast

from costopt.types import Json

#: Names without `-`, `_` and capitals: objects of headers, then single fields.
_NAMES = frozenset(
    {
        "headers",
        "httpheaders",
        "extraheaders",
        "defaultheaders",
        "additionalheaders",
        "requestheaders",
        "responseheaders",
        "authorization",
        "proxyauthorization",
        "cookie",
        "cookies",
        "setcookie",
        "bearer",
        "bearertoken",
        "accesstoken",
        "authtoken",
        "xauthtoken",
        "apikey",
        "xapikey",
        "googapikey",
        "xgoogapikey",
        "ocpapimsubscriptionkey",
        "apitoken",
        "secretkey",
        "clientsecret",
        "openaiapikey",
        "anthropicapikey",
        "azureadtoken",
        "awsaccesskeyid",
        "awssecretaccesskey",
        "awssessiontoken",
        "xamzsecuritytoken",
        "vertexcredentials",
    }
)
_SQUEEZE = str.maketrans("", "", "-_ ")
#: Below these keys the names are a schema's own.
_SCHEMAS = frozenset({"properties", "$defs", "definitions", "patternProperties"})
_GONE = object()


class Scrubber:
    """Removes secrets from JSON values. Shares with its input whatever holds none, and never changes it."""

    def __init__(self) -> None:
        self._known: dict[str, bool] = {}

    def clean(self, value: Json) -> Json:
        return cast(Json, self._clean(value))

    def secret(self, name: str) -> bool:
        """Whether a field of this name is a header or holds a key."""
        known = self._known.get(name)
        if known is None:
            known = _is_secret(name)
            if len(self._known) < 4096:  # names come from outside
                self._known[name] = known
        return known

    def _clean(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self._fields(cast(Json, value))
        if isinstance(value, list):
            return self._items(cast("list[Any]", value))
        return value

    def _fields(self, value: Json) -> Json:
        changed: Json = {}
        for name, inner in value.items():
            if self.secret(name) and not _is_empty(inner):
                changed[name] = _GONE
            elif isinstance(inner, dict | list) and name not in _SCHEMAS:
                cleaned = self._clean(inner)
                if cleaned is not inner:
                    changed[name] = cleaned
        if not changed:
            return value
        merged = {**value, **changed}
        return {name: inner for name, inner in merged.items() if inner is not _GONE}

    def _items(self, value: list[Any]) -> list[Any]:
        cleaned = [self._clean(item) if isinstance(item, dict | list) else item for item in value]
        return cleaned if any(a is not b for a, b in zip(cleaned, value, strict=True)) else value


def _is_secret(name: str) -> bool:
    return name.translate(_SQUEEZE).lower() in _NAMES


def _is_empty(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float)
