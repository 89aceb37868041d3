"""The only importer of litellm: calls to another provider than the client's own.

Keys and base URLs come from the environment, as litellm reads them (such as `ANTHROPIC_API_KEY`).
Nothing in a body can name a key, a URL or a client: only fields of Chat Completions are handed on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import msgspec

from costopt import wire
from costopt.decide.retry import lost, was_sent
from costopt.errors import NoModel, UpstreamError
from costopt.types import Json, Reply, Request

JSON = (("content-type", "application/json"),)
#: Seconds; the default of the OpenAI and Anthropic SDKs.
TIMEOUT = 600.0
#: No callback of the user's hears of a call that litellm did not get from the user. Without the second, litellm
#: 1.106 needs the optional package `mcp` for every call with tools.
_QUIET = {"no-log": True, "_skip_mcp_handler": True}
#: Fields of a Chat Completions request that mean the same at other providers.
# fmt: off
_SHARED = frozenset((
    "temperature", "top_p", "n", "stop", "max_tokens", "max_completion_tokens", "presence_penalty",
    "frequency_penalty", "logit_bias", "user", "response_format", "seed", "tools", "tool_choice",
    "parallel_tool_calls", "logprobs", "top_logprobs", "functions", "function_call", "reasoning_effort",
    "modalities", "audio", "web_search_options", "thinking",
))
# fmt: on
#: Fields that are no mere taste: without them the answer would be another kind of answer.
_ESSENTIAL = ("tools", "functions", "response_format", "modalities", "audio", "web_search_options")
#: Fields the provider shall not or need not see.
_LEFT = frozenset({"model", "messages", "stream", "stream_options"})


def complete(request: Request) -> Reply:
    """One plain chat completion of `provider/model` through litellm, as OpenAI JSON. Blocks. No retries here.

    Raises UpstreamError; NoModel where the request cannot be put to that model.
    """
    name = f"{request.provider}/{request.model}"
    check(request)
    litellm = _litellm()
    options = _options(litellm, request, name)
    try:
        answer: Any = litellm.completion(
            model=name,
            messages=request.body.get("messages", []),
            **options,
            timeout=TIMEOUT,
            max_retries=0,
            num_retries=0,
            drop_params=True,
            caching=False,
            **_QUIET,
        )
    except Exception as error:
        failure = failure_of(error)
        if failure.reply is None:  # the caller's SDK knows an HTTP library's errors, not litellm's
            failure.cause = lost(error) or error
        raise failure from error
    return wire.read_body("chat", 200, JSON, _as_openai(answer))


def check(request: Request) -> None:
    """Raises NoModel where `request`, meant for another provider than its client's, is in no form that travels."""
    if request.api != "chat":
        raise NoModel(
            f"{request.provider}/{request.model}: a {request.api} request cannot be sent to another provider, only "
            "Chat Completions can (client.chat.completions.create or litellm.completion); list models of the client's "
            "own provider"
        )


def failure_of(error: Exception) -> UpstreamError:
    """One of litellm's exceptions as the flow knows failures; `cause` stays the exception itself.

    Where no answer came, litellm makes up a status: that is no reply, and the provider may bill the call."""
    status = getattr(error, "status_code", None)
    if not isinstance(status, int) or _made_up(error, status):
        return UpstreamError(None, error, sent=was_sent(error))
    body = {"error": {"message": str(error), "type": type(error).__name__, "param": None, "code": status}}
    reply = Reply(status, JSON, msgspec.json.encode(body), finish="error")
    return UpstreamError(reply, error, retry_after_s=_retry_after_s(error))


def _made_up(error: Exception, status: int) -> bool:
    """Whether litellm means a timeout or a lost connection, for which it says 408 or 5xx and has no headers."""
    if getattr(error, "litellm_response_headers", None) or (status != 408 and status < 500):
        return False
    return lost(error) is not None


def _retry_after_s(error: Exception) -> float | None:
    """litellm keeps the provider's headers beside an answer of its own making that has none."""
    headers: Any = getattr(error, "litellm_response_headers", None) or {}
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * scale)
        except (KeyError, TypeError, ValueError):
            continue
    return None


def _options(litellm: Any, request: Request, name: str) -> Json:
    """The fields of the body that `name` is sent; what it has no use for is left out and noted."""
    supported = frozenset(litellm.get_supported_openai_params(request.model, request.provider) or _SHARED)
    given = {
        field: value for field, value in request.body.items() if value is not None and field not in _LEFT
    }
    missing = [field for field in _ESSENTIAL if given.get(field) and field not in supported]
    if missing:
        raise NoModel(f"{name} takes no {', '.join(missing)}")
    kept = {field: value for field, value in given.items() if field in _SHARED}
    left = sorted(given.keys() - kept.keys())
    if left:
        request.note("upstream", f"left out for {name}: {', '.join(left)}")
    return kept


def _as_openai(answer: Any) -> bytes:
    """The answer without what litellm leaves empty, but with the `content` that OpenAI always sends."""
    body: Json = answer.model_dump(mode="json", exclude_none=True, warnings=False)
    for choice in body.get("choices", []):
        choice["message"].setdefault("content", None)
    return msgspec.json.encode(body)


def _litellm() -> Any:
    """litellm, imported on first use: with the price map it ships instead of one from the network, and
    without the hints it prints about failed calls. One the user has imported stays as the user set it."""
    if "litellm" in sys.modules:
        return sys.modules["litellm"]
    with _local_price_map():
        import litellm
    litellm.suppress_debug_info = True
    return litellm


@contextmanager
def _local_price_map() -> Generator[None]:
    name = "LITELLM_LOCAL_MODEL_COST_MAP"
    if name in os.environ:
        yield
        return
    os.environ[name] = "True"
    try:
        yield
    finally:
        os.environ.pop(name, None)
