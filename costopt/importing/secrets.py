"""Keeps keys and cookies out of the ledger: no header of a logged request or answer is imported.

Logs hold them in many places: beside the body (`headers`), in it (`extra_headers`, an MCP tool's `authorization`),
in a call that litellm logged with all its arguments (`api_key`), in tags, metadata and the texts of errors.

Prompts and answers are the user's own text: from them only fields go that are called like a header, at any depth, and
JSON schemas, which may describe a property of that name, stay whole. From all else go fields whose names end like one,
pairs of a name and a value, and whatever looks like a key. `secretwords` has the names and the shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from costopt.importing.secretwords import bare_url, is_secret, may_be_secret, withheld
from costopt.types import Json
from costopt.wire.loose import records

#: What models read and say, and settings that are called like a key and are none.
_OWN = frozenset(
    {
        *("messages", "input", "prompt", "suffix", "system", "instructions", "contents", "prediction"),
        *("tools", "functions", "response_format", "text", "stop", "stop_sequences", "prompt_cache_key"),
        *("choices", "content", "output", "data", "message", "completion", "candidates", "usage"),
        *("model", "id", "object", "type", "role", "stop_reason", "service_tier", "system_fingerprint"),
    }
)
#: Below these keys the names are a schema's own.
_SCHEMAS = frozenset({"properties", "$defs", "definitions", "patternProperties"})
#: Where lists of names and values have the name.
_NAMED = ("name", "key", "header", "field")
_GONE = object()


class Scrubber:
    """Removes secrets from JSON values. Shares with its input whatever holds none, and never changes it.

    Calls of one conversation share their messages, so what the last call consisted of is not looked through again.
    """

    def __init__(self) -> None:
        self._known: dict[str, bool] = {}
        self._last: dict[int, tuple[Any, Any]] = {}

    def body(self, value: Json) -> Json:
        """A request, one after the other."""
        last, self._last = self._last, {}
        kept = {
            name: self._prompt(inner, last) if name in _OWN else _beside(name, inner)
            for name, inner in value.items()
        }
        return _without_server_secrets(_rest(kept))

    def answer(self, value: Json, *, failed: bool = False) -> Json:
        """An answer; the text of a failed one is an error's."""
        own = frozenset[str]() if failed else _OWN
        kept = {
            name: self._clean(inner) if name in own else _beside(name, inner) for name, inner in value.items()
        }
        return _without_server_secrets(_rest(kept))

    def tags(self, tags: Mapping[str, str]) -> dict[str, str]:
        return {
            name: withheld(value)
            for name, value in tags.items()
            if not may_be_secret(name) and withheld(name) == name
        }

    def notes(self, value: Json) -> Json:
        """What is neither asked nor answered: metadata, usage objects."""
        return cast(Json, _strictly(value))

    def _prompt(self, value: Any, last: Mapping[int, tuple[Any, Any]]) -> Any:
        return (
            self._items_once(cast("list[Any]", value), last)
            if isinstance(value, list)
            else self._clean(value)
        )

    def _items_once(self, value: list[Any], last: Mapping[int, tuple[Any, Any]]) -> list[Any]:
        found: list[Any] = []
        for item in value:
            known = last.get(id(item))
            if known is None or known[0] is not item:
                known = (item, self._clean(item))
            self._last[id(item)] = known
            found.append(known[1])
        return found

    def _secret(self, name: str) -> bool:
        known = self._known.get(name)
        if known is None:
            known = is_secret(name)
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
        known = self._known
        for name, inner in value.items():
            if inner is None or isinstance(inner, bool | int | float):
                continue
            if known[name] if name in known else self._secret(name):
                changed[name] = _GONE
            elif isinstance(inner, dict | list) and name not in _SCHEMAS:
                cleaned = self._clean(inner)
                if cleaned is not inner:
                    changed[name] = cleaned
        if not changed:
            return value
        return _rest({**value, **changed})

    def _items(self, value: list[Any]) -> list[Any]:
        cleaned = [self._clean(item) if isinstance(item, dict | list) else item for item in value]
        return cleaned if any(a is not b for a, b in zip(cleaned, value, strict=True)) else value


def _rest(value: Json) -> Json:
    return {name: inner for name, inner in value.items() if inner is not _GONE}


def _without_server_secrets(value: Json) -> Json:
    """Addresses of MCP servers without their query."""
    tools = records(value.get("tools"))
    if not any("server_url" in tool for tool in tools):
        return value
    bare = [
        {**tool, "server_url": bare_url(tool["server_url"])}
        if isinstance(tool.get("server_url"), str)
        else tool
        for tool in tools
    ]
    return {**value, "tools": bare}


# what is no text of a prompt or an answer


def _beside(name: str, value: Any) -> Any:
    """The value of the field `name`, cleaned; _GONE where all of it is a secret."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if may_be_secret(name) or (isinstance(value, str) and name.lower().endswith("key")):
        return _GONE
    return _strictly(value)


def _strictly(value: Any) -> Any:
    if isinstance(value, str):
        return withheld(value)
    if isinstance(value, dict):
        return _fields_strictly(cast(Json, value))
    return _items_strictly(cast("list[Any]", value)) if isinstance(value, list) else value


def _fields_strictly(value: Json) -> Json:
    name = next((key for key in _NAMED if "value" in value and isinstance(value.get(key), str)), "")
    if name and may_be_secret(value[name]):
        return {name: value[name]}
    kept = {key: inner if key == name else _beside(key, inner) for key, inner in value.items()}
    return {withheld(key): inner for key, inner in _rest(kept).items()}


def _items_strictly(value: list[Any]) -> list[Any]:
    """Names and values may also follow one another: what follows a name of a secret is one."""
    after = [False, *(isinstance(item, str) and may_be_secret(item) for item in value)]
    return [
        _strictly(item)
        for item, gone in zip(value, after, strict=False)
        if not (gone and isinstance(item, str))
    ]
