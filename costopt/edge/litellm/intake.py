"""A call of litellm's as costopt sees it, and the call that litellm gets once the flow has had its say.

Every argument is one of four things: noise (how the call travels or is logged), a secret (only its hash is
kept, as the tenant), litellm's own (part of the key, hashed into `variant`), or the request body.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, cast

import msgspec
from msgspec import Struct

from costopt.edge.intake import OURS, Letterhead, control_of, parse_tags, read_headers
from costopt.edge.litellm.names import HEADERS, OTHERS_ANSWER, is_noise, is_of_one_provider, is_secret
from costopt.tagging import current
from costopt.types import Api, Control, Json, Request

_canonical = msgspec.json.Encoder(order="sorted").encode


class Asked(Struct, frozen=True):
    """One call: what the flow gets, and the arguments as the caller gave them, without our headers."""

    request: Request
    arguments: dict[str, Any]


class _Parts(Struct):
    body: Json
    own: Json
    secrets: list[str]
    unsure: list[str]


class Setting(Struct, frozen=True):
    """What holds for all calls of one function. `owned` are the arguments litellm keeps to itself; `shared`
    says that tenants share answers; for `alias`, the routed model name, litellm is not asked who provides it."""

    litellm: Any
    owned: frozenset[str]
    shared: bool
    alias: str


def asked(setting: Setting, api: Api, arguments: Mapping[str, Any], new_id: str) -> Asked | None:
    """`arguments` (by name) as a call, or None where there is no model: then litellm may say what is wrong."""
    model = arguments.get("model")
    if not isinstance(model, str) or not model:
        return None
    parts = _sorted(arguments, setting.owned)
    head = _letterhead(arguments)
    name, provider, key, base = _resolved(setting, model, arguments)
    tags = {**current(), **parse_tags(head.asked.get(b"tags", b""))}
    request = Request(
        id=new_id,
        api=api,
        model=name,
        body=parts.body,
        endpoint=_endpoint(setting.litellm, arguments, provider, base),
        provider=provider,
        stream=bool(arguments.get("stream")) and not arguments.get("complete_response"),
        tenant=_tenant(parts.secrets, head, key, tags, setting.shared),
        variant=_digest(parts.own, head.variant),
        tags=tags,
        control=_control(setting.litellm, arguments, head, parts.unsure),
        notes=[],
    )
    return Asked(request, _without_ours(arguments))


def outgoing(call: Asked, request: Request) -> dict[str, Any]:
    """The arguments for litellm: the caller's own, but for what the flow changed in `request`."""
    first = call.request
    if request.body is first.body and request.model == first.model and request.provider == first.provider:
        return call.arguments
    gone = first.body.keys() - request.body.keys()
    kept = {name: value for name, value in call.arguments.items() if name not in gone}
    if request.provider != first.provider and first.provider:
        kept = {name: value for name, value in kept.items() if not is_of_one_provider(name)}
        kept.setdefault("drop_params", True)
    edits = {name: value for name, value in request.body.items() if first.body.get(name) is not value}
    if (request.model, request.provider) != (first.model, first.provider):
        edits["model"] = _qualified(request, kept)
    return {**kept, **edits}


def _qualified(request: Request, arguments: Mapping[str, Any]) -> str:
    if not request.provider or arguments.get("custom_llm_provider"):
        return request.model
    return f"{request.provider}/{request.model}"


def _sorted(arguments: Mapping[str, Any], own_names: frozenset[str]) -> _Parts:
    client_key = getattr(arguments.get("client"), "api_key", None)
    parts = _Parts({}, {}, [f"client={client_key}"] if client_key else [], [])
    for name, value in arguments.items():
        if value is None or name in HEADERS or is_noise(name):
            continue
        if is_secret(name):
            parts.secrets.append(f"{name}={_named(value)}")
            continue
        try:
            (parts.own if name in own_names else parts.body)[name] = as_json(value)
        except Exception:  # noqa: BLE001 - why: a caller's own objects may raise anything
            parts.unsure.append(name)
        if name in OTHERS_ANSWER:
            parts.unsure.append(name)
    return parts


def as_json(value: Any) -> Any:
    """A copy of `value` as JSON holds it; pydantic objects as their fields, pydantic classes as their schema.
    Raises TypeError for what has no JSON form, and whatever a caller's object raises when asked for it."""
    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=_plain))


def _plain(value: Any) -> Any:
    if isinstance(value, type):
        return _schema(cast("type[Any]", value))
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, Mapping):
        return dict(cast("Any", value))
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _schema(kind: type[Any]) -> Json:
    if not hasattr(kind, "model_json_schema"):
        raise TypeError(f"{kind.__name__} has no JSON form")
    shape: Json = kind.model_json_schema()
    return {"type": "json_schema", "json_schema": {"name": kind.__name__, "schema": shape, "strict": True}}


def _named(secret: Any) -> str:
    """Something that stands for a secret; a function that fetches one is told by its name."""
    return str(getattr(secret, "__qualname__", secret))


def _letterhead(arguments: Mapping[str, Any]) -> Letterhead:
    given = [arguments[name] for name in HEADERS if isinstance(arguments.get(name), Mapping)]
    return read_headers(
        tuple([(_bytes(name), _bytes(value)) for headers in given for name, value in headers.items()])
    )


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("latin-1", "replace")


def _without_ours(arguments: Mapping[str, Any]) -> dict[str, Any]:
    kept = dict(arguments)
    for name in HEADERS:
        headers: Any = kept.get(name)
        if isinstance(headers, Mapping):
            kept[name] = _headers_without_ours(headers)
    return kept


def _headers_without_ours(headers: Any) -> dict[Any, Any]:
    return {name: value for name, value in headers.items() if not _bytes(name).lower().startswith(OURS)}


def _resolved(setting: Setting, model: str, arguments: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """The model's bare name, its provider, the key and the base URL that litellm takes from its settings;
    "" for what it does not tell."""
    if model == setting.alias:
        return model, "", "", ""
    litellm = setting.litellm
    try:
        name, provider, key, base = litellm.get_llm_provider(
            model,
            arguments.get("custom_llm_provider"),
            arguments.get("api_base") or arguments.get("base_url"),
        )
    except Exception:  # noqa: BLE001 - why: the call itself tells the caller, in litellm's own words
        return model, "", "", ""
    known = key or getattr(litellm, "api_key", None) or _environment(provider or "", "_API_KEY")
    return name, provider or "", str(known), base or ""


def _endpoint(litellm: Any, arguments: Mapping[str, Any], provider: str, base: str) -> str:
    """The base URL as far as it can be told; an SDK client given for the call knows it best."""
    client = getattr(arguments.get("client"), "base_url", None)
    given = client or arguments.get("api_base") or arguments.get("base_url")
    known = given or getattr(litellm, "api_base", None) or base
    return str(known or _environment(provider, "_API_BASE", "_BASE_URL") or f"litellm:{provider}")


def _environment(provider: str, *endings: str) -> str:
    start = provider.upper().replace("-", "_")
    return next((found for ending in endings if (found := os.environ.get(start + ending))), "")


def _tenant(secrets: list[str], head: Letterhead, key: str, tags: Mapping[str, str], shared: bool) -> str:
    """Whose answers these are: told by tag, else by the credentials given, else by those litellm will use."""
    if shared:
        return ""
    if "tenant" in tags:
        return f"tag:{tags['tenant']}"
    known = [*sorted(secrets), head.tenant, "" if secrets or head.tenant else key]
    return sha256("\n".join(known).encode()).hexdigest()[:24] if any(known) else ""


def _digest(own: Json, headers: str) -> str:
    return sha256(_canonical((own, headers))).hexdigest() if own or headers else ""


def _control(litellm: Any, arguments: Mapping[str, Any], head: Letterhead, unsure: list[str]) -> Control:
    """What the caller asks of the cache, by our header or, where litellm's own cache is in use, by its `cache`
    argument. Elsewhere that means nothing: frameworks with a cache of their own send it to keep litellm from one."""
    if unsure:
        return Control("off", why=f"what is answered may hang on {', '.join(unsure)}")
    told: Any = arguments.get("cache")
    if not isinstance(told, dict) or b"cache" in head.asked or not getattr(litellm, "cache", None):
        return control_of(head.asked)
    wish = cast("dict[str, Any]", told)
    if wish.get("no-store"):
        return Control("off", why="the caller said no-store to litellm's cache")
    return Control("refresh") if wish.get("no-cache") else Control()
