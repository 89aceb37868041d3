"""Keeps keys and cookies out of the ledger: no header of a logged request or answer is imported.

Logs hold them in many places: beside the body (`headers`), in it (`extra_headers`, an MCP tool's `authorization`),
in a call that litellm logged with all its arguments (`api_key`). What goes is the field, by its name, at any depth;
JSON schemas, which may describe a property of that name, stay whole.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    """Removes secrets from JSON values. Shares with its input whatever holds none, and never changes it.

    Calls of one conversation share their messages, so what the last call consisted of is not looked through again.
    """

    def __init__(self) -> None:
        self._known: dict[str, bool] = {}
        self._last: dict[int, tuple[Any, Any]] = {}

    def body(self, value: Json) -> Json:
        """`clean` for one request after the other."""
        last, self._last = self._last, {}
        return {
            name: self._items_once(cast("list[Any]", inner), last) if isinstance(inner, list) else inner
            for name, inner in self._fields(value, lists=False).items()
        }

    def clean(self, value: Json) -> Json:
        return self._fields(value)

    def secret(self, name: str) -> bool:
        """Whether a field of this name is a header or holds a key."""
        known = self._known.get(name)
        if known is None:
            known = name.translate(_SQUEEZE).lower() in _NAMES
            if len(self._known) < 4096:  # names come from outside
                self._known[name] = known
        return known

    def _items_once(self, value: list[Any], last: Mapping[int, tuple[Any, Any]]) -> list[Any]:
        found: list[Any] = []
        for item in value:
            known = last.get(id(item))
            if known is None or known[0] is not item:
                known = (item, self._clean(item))
            self._last[id(item)] = known
            found.append(known[1])
        return found

    def _clean(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self._fields(cast(Json, value))
        if isinstance(value, list):
            return self._items(cast("list[Any]", value))
        return value

    def _fields(self, value: Json, *, lists: bool = True) -> Json:
        changed: Json = {}
        known = self._known
        for name, inner in value.items():
            if inner is None or isinstance(inner, bool | int | float):
                continue
            if known[name] if name in known else self.secret(name):
                changed[name] = _GONE
            elif (isinstance(inner, dict) or (lists and isinstance(inner, list))) and name not in _SCHEMAS:
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
