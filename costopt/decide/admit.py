"""May this request be answered from the cache, and may this answer be kept?"""

from __future__ import annotations

from costopt import wire
from costopt.decide.accept import Check, accept, asked_schema, asks_json, fits
from costopt.policy import Cache
from costopt.types import Json, Reply, Request
from costopt.wire import hosted

#: A body without any of these asks its provider for nothing but an answer.
_BESIDE = hosted.FIELDS | {"store", "background", "conversation"}

#: Reply headers that were meant for one caller at one time. `FLEETING` are beginnings of names.
FLEETING = ("set-cookie", "x-ratelimit-", "anthropic-ratelimit-", "retry-after", "date", "age")


def cacheable(request: Request, rules: Cache) -> str:
    """Why `request` may not be cached, or "" if it may."""
    body = request.body
    if request.api == "completions":
        return "legacy completions pass through"
    if request.control.cache == "off":
        return request.control.why or "it was asked for without the cache"
    if not _BESIDE.isdisjoint(body) and (why := _beside(hosted.whole(body))):
        return why
    if hosted.unasked(request.model) != 0:
        return "the model searches the web unasked"
    if not rules.sampled and request.api != "embeddings" and body.get("temperature") != 0:
        return "temperature is not 0 and the policy keeps no sampled answers"
    return ""


def _beside(body: Json) -> str:
    keeps = body.get("store") is True or body.get("background") or body.get("conversation")
    return "the provider is asked to keep state" if keeps else hosted.act(body)


def storable(request: Request, reply: Reply, rules: Cache) -> str:
    """Why the answer to `request` may not be kept, or "" if it may. Only complete answers are kept, tool calls by
    opt-in, nothing that was looked up, and nothing that the caller cannot read: who asks again because of that must get
    another answer."""
    if reply.status != 200:
        return f"status {reply.status}"
    if (reply.usage is not None and reply.usage.searches) or hosted.unasked(reply.model) != 0:
        return "the provider searched the web for it"
    if reply.finish == "tool":
        return _unfit_calls(request, reply) if rules.tool_calls else "it calls tools"
    if reply.finish == "empty":
        return "it is empty"
    return _unfit_text(request, reply) if reply.finish == "stop" else f"it ended with {reply.finish}"


def checks(request: Request, finish: str, rules: Cache) -> bool:
    """Whether `storable` reads the text of an answer to `request` that ended with `finish`."""
    return (finish == "stop" and asks_json(request.body)) or (finish == "tool" and rules.tool_calls)


def _unfit_text(request: Request, reply: Reply) -> str:
    if not asks_json(request.body) or _withheld(reply):
        return ""
    check: Check = "json" if asked_schema(request.body) is None else "json_schema"
    return "" if passes(request, reply, check) else "it is not the JSON that was asked for"


def passes(request: Request, reply: Reply, check: Check) -> bool:
    """Whether the answer to `request` passes: each text that its reader takes alone where that must be JSON, all that
    it says where it must only say something. An answer without text is an empty one."""
    said = [wire.output_text(request.api, reply)] if check == "non_empty" else wire.texts(request.api, reply)
    return all(accept(text, check, request.body) for text in said or [""])


def _unfit_calls(request: Request, reply: Reply) -> str:
    if _withheld(reply):
        return ""
    called = wire.calls(request.api, reply)
    wrong = [name for name, arguments in called if not fits(name, arguments, request.body)]
    return "it calls a tool with arguments that do not fit" if wrong else ""


def _withheld(reply: Reply) -> bool:
    """A recorded answer whose text was not kept: nobody can tell."""
    return not reply.body and not reply.events


def lasting(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The headers of an answer that may be given again: no cookie, no limits and no times of another call."""
    return tuple([header for header in headers if not header[0].lower().startswith(FLEETING)])
