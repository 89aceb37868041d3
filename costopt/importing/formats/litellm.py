"""litellm's standard logging payload: what its S3, GCS, generic and custom loggers write, one object a file, a line or
an element of a list; also wrapped as `standard_logging_object`.

Source: "StandardLoggingPayload Specification" (docs.litellm.ai/docs/proxy/logging_spec), and
`get_standard_logging_object_payload` of litellm 1.106.

- `response_cost` 0 stands for unknown as well as for free there, and is None here.
- `usage` follows OpenAI: the prompt count holds cached tokens, for Anthropic's models too.
- A hit of litellm's own cache was paid to nobody; its `id` ends in the time of the hit.
- Of embeddings and text completions the input stands in `messages`, one user message each.
- Calls to `anthropic_messages` are logged with their own request and an answer in OpenAI's form.
- Keys, their hashes, mail and IP addresses are not read; the names of team, key and user become tags.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct

from costopt.importing import chatform, chatsettings, counts, shapes
from costopt.importing.labels import failure, labelled
from costopt.importing.messageform import anthropic
from costopt.importing.reading import Item, documents
from costopt.importing.times import moment
from costopt.importing.words import Found, Imported, Line, Options, Unusable
from costopt.types import Api, Json, Usage
from costopt.wire import tally, urls
from costopt.wire.loose import count, encode, items, record, records, text

_APIS: dict[str, Api] = {
    "": "chat",
    "completion": "chat",
    "text_completion": "completions",
    "embedding": "embeddings",
    "responses": "responses",
    "anthropic_messages": "messages",
}
_PATHS: dict[Api, str] = {
    "chat": "chat/completions",
    "completions": "completions",
    "embeddings": "embeddings",
    "responses": "responses",
    "messages": "v1/messages",
}
_REDACTED = b"redacted-by-litellm"
_CUT = b"litellm_truncated"
#: Tags out of fields; the first that is there.
_TAGGED = {
    "user": ("user_api_key_end_user_id", "user_api_key_user_id"),
    "team": ("user_api_key_team_alias", "team_alias", "user_api_key_team_id", "team_id"),
    "org": ("user_api_key_org_alias", "user_api_key_org_id"),
    "key": ("user_api_key_alias",),
}


def read(lines: Iterable[Line], options: Options) -> Iterator[Found]:
    for item in documents(lines):
        if isinstance(item, Unusable):
            yield item
        elif (found := _found(item, options)) is not None:
            yield found


class _Payload(Struct, frozen=True):
    item: Item
    value: Json
    api: Api
    at: int


def _found(item: Item, options: Options) -> Found | None:
    value = record(item.value.get("standard_logging_object")) or item.value
    if "call_type" not in value and "startTime" not in value:
        return _unusable(item, "no standard logging payload: neither `call_type` nor `startTime` is in it")
    kind = text(value.get("call_type"))
    api = _APIS.get(kind) or _APIS.get(kind.lstrip("_").removeprefix("a")) or _answered_as(value)
    if api is None:
        return _other(item, value)
    at = moment(value.get("startTime"))
    if at is None:
        return _unusable(item, "no `startTime`")
    return counts.checked(_call(_Payload(item, value, api, at), options), item.path, item.number)


def _answered_as(value: Json) -> Api | None:
    """Native and pass-through calls are known by their answers."""
    answer = record(value.get("response"))
    return shapes.api_of(None, "", {}, answer) if answer.get("usage") else None


def _other(item: Item, value: Json) -> Found | None:
    """Calls that ask no model are nothing; those that do, and speak no API of ours, are missed in the bill."""
    if counts.paid(value.get("response_cost")) or count(value.get("total_tokens")):
        return _unusable(
            item, "a call type that has no place in a ledger (images, audio, reranking, batch files)"
        )
    return None


def _unusable(item: Item, why: str) -> Unusable:
    return Unusable(item.path, item.number, why)


def _call(payload: _Payload, options: Options) -> Imported:
    value = payload.value
    raw = _raw_usage(value)
    usage = _usage(payload.api, raw, record(value.get("response")).get("service_tier"))
    status, error = _failure(value)
    body, answer = _body(payload), None if error else _answer(payload, usage)
    return Imported(
        id=f"{text(value.get('id')) or text(value.get('litellm_call_id'))}@{payload.at}",
        at=payload.at,
        ended=moment(value.get("endTime")) or 0,
        api=payload.api,
        provider=shapes.provider_named(value.get("custom_llm_provider")),
        model=text(value.get("model")) or options.model,
        endpoint=_endpoint(text(value.get("api_base")), payload.api),
        body=body,
        answer=answer,
        usage=usage,
        raw_usage=raw or None,
        status=status,
        error=error,
        stream=value.get("stream") is True,
        tags=_tags(value),
        cost=counts.paid(value.get("response_cost")),
        partial=_is_partial(value),
        hit=value.get("cache_hit") is True,
    )


def _endpoint(base: str, api: Api) -> str:
    base = base.partition("?")[0].rstrip("/")
    if not base or urls.recognise("POST", base):
        return base
    return f"{base}/{_PATHS[api].removeprefix('v1/') if base.endswith('/v1') else _PATHS[api]}"


# the request


def _body(payload: _Payload) -> Json:
    value = payload.value
    settings = {key: each for key, each in record(value.get("model_parameters")).items() if each is not None}
    logged = value.get("messages")
    body: Json = {"model": text(value.get("model")), **settings}
    match payload.api:
        case "embeddings":
            return {**body, "input": _contents(logged)}
        case "completions":
            said = _contents(logged)
            return {**body, "prompt": said[0] if len(said) == 1 else said}
        case "responses":
            return {**body, "input": logged if logged is not None else []}
        case "messages":
            return {**body, **_with_system(logged)}
        case _:
            return {**_chat_tools(body), "messages": chatform.messages(logged)}


def _contents(logged: Any) -> list[Any]:
    if not isinstance(logged, list):
        return [] if logged is None else [logged]
    return [record(each).get("content", each) for each in items(logged)]


def _chat_tools(body: Json) -> Json:
    return {**body, "tools": chatsettings.tools(body["tools"])} if body.get("tools") else body


def _with_system(logged: Any) -> Json:
    """litellm puts the system text in front of the messages; where it came from it stands beside them."""
    said = records(logged) or [{"role": "user", "content": text(logged)}]
    if said[0].get("role") == "system":
        return {"system": said[0].get("content"), "messages": said[1:]}
    return {"messages": said}


def _is_partial(value: Json) -> bool:
    """Whether the request was left out, redacted or cut before it was logged."""
    logged = value.get("messages")
    if not logged:
        return True
    shown = encode(logged)
    return _REDACTED in shown or _CUT in shown


# the answer


def _raw_usage(value: Json) -> Json:
    """What the provider said, as litellm kept it, in the order of trust."""
    places = (
        record(value.get("response")),
        record(value.get("metadata")),
        record(value.get("hidden_params")),
    )
    for place, key in zip(places, ("usage", "usage_object", "usage_object"), strict=True):
        if record(place.get(key)):
            return record(place[key])
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    return {name: value[name] for name in names if value.get(name)}


def _usage(api: Api, raw: Json, tier: Any) -> Usage | None:
    """Answers in Anthropic's own form have its own usage, whose input is without the cached tokens."""
    if api == "messages" and "input_tokens" in raw and "prompt_tokens" not in raw:
        usage = tally.anthropic(raw)
        return usage if usage.prompt or usage.output else None
    return counts.inclusive(raw, tier)


def _answer(payload: _Payload, usage: Usage | None) -> Json | None:
    answer = record(payload.value.get("response"))
    if not answer.keys() & {"choices", "output", "content", "data"} or _REDACTED in encode(answer):
        return None
    if payload.api == "messages" and "choices" in answer:
        return anthropic(answer, usage)
    return answer


def _failure(value: Json) -> tuple[int, str]:
    """Status and kind of error; the message may quote anything and stays out."""
    if value.get("status") != "failure":
        return 200, ""
    told = record(value.get("error_information"))
    status, named = failure(text(value.get("error_str")))
    told_status = count(told.get("error_code"))
    return told_status if 400 <= told_status < 600 else status, text(told.get("error_class")) or named


# tags


def _tags(value: Json) -> dict[str, str]:
    about = record(value.get("metadata"))
    tags = {
        name: found
        for name, fields in _TAGGED.items()
        if (found := next((text(about.get(field)) for field in fields if text(about.get(field))), ""))
    }
    if end_user := text(value.get("end_user")):
        tags["user"] = end_user
    if session := text(value.get("session_id")) or text(value.get("trace_id")):
        tags["session"] = session
    noted = record(about.get("spend_logs_metadata"))
    tags.update({name: str(each) for name, each in noted.items() if isinstance(each, str | int | float)})
    return tags | labelled(tag for tag in items(value.get("request_tags")) if not _is_default(tag))


def _is_default(tag: Any) -> bool:
    """litellm adds the caller's user agent to the tags."""
    return text(tag).startswith("User-Agent:")
