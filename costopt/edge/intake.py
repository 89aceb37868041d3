"""An HTTP request as costopt sees it: which API, whose answer, what the caller asked of us."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

from costopt import wire
from costopt.errors import InvalidControl
from costopt.tagging import current
from costopt.types import Api, Control, Request

if TYPE_CHECKING:
    from http.cookiejar import Cookie

_log = logging.getLogger("costopt")
OURS = b"x-costopt-"
#: Larger bodies pass through unread; no chat API takes more.
MAX_BODY = 64 * 1024**2
#: Headers with such an ending say who asks: they go into the tenant, as a hash.
_SECRETS = (b"authorization", b"key", b"token", b"secret")
#: Headers that say who is calling, how and for the how-manieth time, never what the answer is.
_NOISE = frozenset(
    b"host user-agent accept accept-encoding accept-language connection content-length content-type "
    b"content-encoding transfer-encoding cookie date traceparent tracestate baggage b3 sentry-trace x-request-id "
    b"x-client-request-id idempotency-key x-trace-id x-amzn-trace-id x-cloud-trace-context".split()
)
#: Cookies that Cloudflare, which stands before most providers, sets to route and to count. They name no one.
_ROUTING = frozenset({"__cf_bm", "__cflb", "_cfuvid"})
_NOISE_PREFIXES = (b"x-stainless-", b"x-b3-", b"sec-")
_PROVIDERS = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "openrouter.ai": "openrouter",
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral",
    "api.together.xyz": "together_ai",
    "api.fireworks.ai": "fireworks_ai",
    "api.x.ai": "xai",
    "generativelanguage.googleapis.com": "gemini",
}
#: By what a call without a model is told from something else that is posted to such a path.
_ASKING: dict[Api, tuple[str, ...]] = {
    "chat": ("messages",),
    "responses": ("input", "prompt", "conversation", "previous_response_id"),
    "messages": ("max_tokens",),
    "embeddings": ("input",),
    "completions": ("prompt",),
}
_UNNAMED = Control("off", why="it names no model, and another one may answer each time")

Header: TypeAlias = tuple[bytes, bytes]


class Address(msgspec.Struct, frozen=True):
    """What the URL of a model call says. `model` is the one it names, "" if none."""

    api: Api
    provider: str
    endpoint: str
    query: str
    model: str = ""


def address_of(method: str, url: str) -> Address | None:
    """Where a request goes; None: not to a model, or to one in a way we do not read, which the log then says."""
    parts = urlsplit(url)
    api = wire.recognise(method, parts.path)
    endpoint, _, query = url.partition("?")
    if api is None:
        if wire.unread(method, parts.path):
            _log.warning(
                "costopt: model calls to %s%s pass by unread and unrecorded, and no budget holds them (an API of "
                "Bedrock's or Google's own): make them with litellm.completion, wrapped",
                parts.hostname or "",
                parts.path,
            )
        return None
    provider = provider_of(parts.hostname or "", api)
    return Address(api, provider, endpoint, query, wire.deployment(parts.path))


class Letterhead(msgspec.Struct, frozen=True):
    """What the headers of one request say."""

    tenant: str
    variant: str
    asked: Mapping[bytes, bytes]


def read_headers(headers: tuple[Header, ...], who: bytes = b"") -> Letterhead:
    """`who` is what else says who asks (`who_of`)."""
    secret = who
    asked: dict[bytes, bytes] = {}
    rest: list[bytes] = []
    for name, value in headers:
        match _kind(name):
            case "secret":
                secret += value + b"\n"
            case "ours":
                asked[name.lower()[len(OURS) :]] = value
            case "answer":
                rest.append(name.lower() + b":" + value)
            case "noise":
                pass
    rest.sort()
    tenant = sha256(secret).hexdigest()[:24] if secret else ""
    return Letterhead(tenant, b"\n".join(rest).decode("latin-1"), asked)


def who_of(cookies: Iterable[Cookie]) -> bytes:
    """What cookies given to an HTTP client say of who asks: a session behind a gateway, say. Those that come later,
    with answers, say nothing new, or every answer would have a tenant of its own."""
    said = [
        f"{each.domain}{each.path};{each.name}={each.value}\n"
        for each in cookies
        if each.name not in _ROUTING
    ]
    return "".join(sorted(said)).encode()


class Known:
    """What URLs and headers say, remembered for one client: they are the same at call after call. `who`: what the
    client itself says of who asks."""

    def __init__(self, who: bytes = b"") -> None:
        self.address = lru_cache(256)(address_of)
        self._letterhead = lru_cache(256)(partial(read_headers, who=who))

    def letterhead(self, headers: list[Header]) -> Letterhead:
        return self._letterhead(tuple([header for header in headers if _kind(header[0]) != "noise"]))


@lru_cache(1024)
def _kind(name: bytes) -> Literal["noise", "ours", "secret", "answer"]:
    """What a header is about: nothing of ours, us, who asks, or the answer."""
    name = name.lower()
    if name.startswith(OURS):
        return "ours"
    if name in _NOISE or name.startswith(_NOISE_PREFIXES):
        return "noise"
    return "secret" if name.endswith(_SECRETS) else "answer"


def request_of(
    call: str,
    at: int,
    address: Address,
    head: Letterhead,
    content: bytes,
    *,
    patience_s: float | None = None,
    shared: bool = False,
) -> Request | None:
    """The model call in `content`, or None where it is no JSON that asks a model: then it passes through untouched.
    `call` is its id, `at` (ns) when it came in; `shared` says that tenants share answers."""
    body = _json_object(content)
    control = control_of(head.asked)
    if body is None:
        body, control = _leniently(content), Control("off", why="its body is not strict JSON")
    if body is None:
        return None
    model = body.get("model")
    if not isinstance(model, str) or not model:
        model = _named_elsewhere(address, body)
        if model is None:
            return None
        control = control if model else _UNNAMED
    tags = current()
    if b"tags" in head.asked:
        tags = {**tags, **parse_tags(head.asked[b"tags"])}
    return Request(
        id=call,
        api=address.api,
        model=model,
        body=body,
        endpoint=address.endpoint,
        provider=address.provider,
        raw=content,
        stream=body.get("stream") is True,
        tenant="" if shared else f"tag:{tags['tenant']}" if "tenant" in tags else head.tenant,
        variant=f"{head.variant}\n?{address.query}" if address.query else head.variant,
        tags=tags,
        control=control,
        at=at,
        patience_s=patience_s,
        notes=[],
    )


def _named_elsewhere(address: Address, body: Mapping[str, Any]) -> str | None:
    """The model of a call whose body names none: the deployment in its URL, or "" where the provider alone knows (a
    stored prompt has its model there). None where this is no such call."""
    if body.get("model") not in (None, "") or not any(name in body for name in _ASKING[address.api]):
        return None
    return address.model


def _json_object(content: bytes) -> dict[str, Any] | None:
    try:
        body: Any = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return body if isinstance(body, dict) else None  # pyright: ignore[reportUnknownVariableType] - why: any JSON object


def _leniently(content: bytes) -> dict[str, Any] | None:
    """NaN, a byte-order mark: providers may take what strict JSON forbids, and then they bill for it. Never cached:
    a canonical form, and so a key, is for JSON only."""
    try:
        body: Any = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None  # pyright: ignore[reportUnknownVariableType] - why: any JSON object


def provider_of(host: str, api: Api) -> str:
    """The price map's provider for a host; unknown hosts are taken for the provider whose API they speak."""
    if host.endswith((".openai.azure.com", ".cognitiveservices.azure.com")):
        return "azure"
    return _PROVIDERS.get(host, "anthropic" if api == "messages" else "openai")


def parse_tags(value: bytes) -> dict[str, str]:
    """`agent=planner,user=42`; what has no `=` is left out."""
    pairs = (part.partition("=") for part in value.decode(errors="replace").split(",") if "=" in part)
    return {name.strip(): text.strip() for name, _, text in pairs if name.strip()}


_CACHE = {
    "on": Control(),
    "off": Control("off", why="the caller said x-costopt-cache: off"),
    "no-store": Control("off", why="the caller said x-costopt-cache: no-store"),
    "refresh": Control("refresh"),
    "no-cache": Control("refresh"),
}


def control_of(asked: Mapping[bytes, bytes]) -> Control:
    """What the caller asked of us. Raises InvalidControl."""
    if not asked:
        return _CACHE["on"]
    value = asked.get(b"cache", b"on").decode(errors="replace").strip().lower()
    control = _CACHE.get(value)
    if control is None:
        raise InvalidControl(f"x-costopt-cache: {value[:40]!r} means nothing: write on, off or refresh")
    return control


def retry_after_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """Seconds the provider asks to wait, from `retry-after-ms` or `retry-after` (seconds or an HTTP date)."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * scale)
        except (KeyError, ValueError):
            continue
    return _http_date(headers.get("retry-after", ""), now_s)


def _http_date(text: str, now_s: float) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now_s)
    except (ValueError, TypeError):
        return None
