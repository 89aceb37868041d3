"""Usage objects of all providers as disjoint buckets. Nothing a provider sends raises or makes a bucket
negative.

Sources: OpenAI `CompletionUsage` and `ResponseUsage`, Anthropic `Usage` (their SDKs' own types), DeepSeek's
`prompt_cache_hit_tokens`, and what LiteLLM and OpenRouter gateways add.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

from costopt.types import Json, Usage
from costopt.wire.loose import MOST, count, record, text

T = TypeVar("T")
Count: TypeAlias = Annotated[int, Meta(ge=0, le=MOST)] | None


class _Sent(Struct, frozen=True):
    cached_tokens: Count = None
    cache_write_tokens: Count = None
    cache_creation_tokens: Count = None  # LiteLLM
    audio_tokens: Count = None
    image_tokens: Count = None


class _Written(Struct, frozen=True):
    reasoning_tokens: Count = None
    thinking_tokens: Count = None
    audio_tokens: Count = None
    image_tokens: Count = None  # LiteLLM


class _Searches(Struct, frozen=True):
    web_search_requests: Count = None


class _OpenAI(Struct, frozen=True):
    prompt_tokens: Count = None
    input_tokens: Count = None
    completion_tokens: Count = None
    output_tokens: Count = None
    total_tokens: Count = None
    prompt_cache_hit_tokens: Count = None  # DeepSeek
    cache_read_input_tokens: Count = None  # LiteLLM before Anthropic
    cache_creation_input_tokens: Count = None
    num_search_queries: Count = None  # Perplexity
    prompt_tokens_details: _Sent | None = None
    input_tokens_details: _Sent | None = None
    completion_tokens_details: _Written | None = None
    output_tokens_details: _Written | None = None
    server_tool_use: _Searches | None = None  # OpenRouter, LiteLLM
    service_tier: Any = None


class _Lives(Struct, frozen=True):
    ephemeral_5m_input_tokens: Count = None
    ephemeral_1h_input_tokens: Count = None


class _Anthropic(Struct, frozen=True):
    input_tokens: Count = None
    cache_read_input_tokens: Count = None
    cache_creation_input_tokens: Count = None
    cache_creation: _Lives | None = None
    output_tokens: Count = None
    output_tokens_details: _Written | None = None
    server_tool_use: _Searches | None = None
    service_tier: Any = None


_OBJECTS = frozenset(
    {
        "prompt_tokens_details",
        "input_tokens_details",
        "completion_tokens_details",
        "output_tokens_details",
        "server_tool_use",
        "cache_creation",
    }
)
_NO_SENT, _NO_WRITTEN, _NO_SEARCHES, _NO_LIVES = _Sent(), _Written(), _Searches(), _Lives()


def openai(usage: Json, tier: Any = None, searches: int = 0) -> Usage:
    """Chat, completions, embeddings and responses. The prompt count holds the cached tokens, the output count
    the reasoning. `tier` is the answer's `service_tier`; `searches` counts web searches seen in the answer
    itself."""
    said = _read(usage, _OpenAI)
    sent = said.prompt_tokens_details or said.input_tokens_details or _NO_SENT
    wrote = said.completion_tokens_details or said.output_tokens_details or _NO_WRITTEN
    prompt = said.prompt_tokens or said.input_tokens or 0
    cached = sent.cached_tokens or said.prompt_cache_hit_tokens or said.cache_read_input_tokens or 0
    cached = min(cached, prompt)
    written = sent.cache_write_tokens or sent.cache_creation_tokens or said.cache_creation_input_tokens or 0
    written = min(written, prompt - cached)
    fresh = prompt - cached - written
    output, reasoning = _output(said, wrote, prompt)
    audio = min(sent.audio_tokens or 0, fresh)
    spoken = min(wrote.audio_tokens or 0, output)
    return Usage(
        input=fresh,
        cache_read=cached,
        cache_write=written,
        output=output,
        reasoning=reasoning,
        audio_input=audio,
        audio_output=spoken,
        image_output=min(wrote.image_tokens or 0, max(0, output - reasoning - spoken)),
        image_input=min(sent.image_tokens or 0, fresh - audio),
        searches=searches or _searches(said),
        service_tier=text(tier) or text(said.service_tier),
    )


def _output(said: _OpenAI, wrote: _Written, prompt: int) -> tuple[int, int]:
    """Output and the reasoning in it. xAI counts reasoning beside the completion; its total gives that
    away."""
    output = said.completion_tokens or said.output_tokens or 0
    reasoning = wrote.reasoning_tokens or 0
    if reasoning and said.total_tokens == prompt + output + reasoning:
        return output + reasoning, reasoning
    return output, min(reasoning, output)


def _searches(said: _OpenAI) -> int:
    return (said.server_tool_use or _NO_SEARCHES).web_search_requests or said.num_search_queries or 0


def anthropic(usage: Json) -> Usage:
    """Messages. The input count excludes what was read from or written to the cache."""
    said = _read(usage, _Anthropic)
    lives = said.cache_creation or _NO_LIVES
    long = lives.ephemeral_1h_input_tokens or 0
    written = max(said.cache_creation_input_tokens or 0, long + (lives.ephemeral_5m_input_tokens or 0))
    output = said.output_tokens or 0
    thinking = (said.output_tokens_details or _NO_WRITTEN).thinking_tokens or 0
    return Usage(
        input=said.input_tokens or 0,
        cache_read=said.cache_read_input_tokens or 0,
        cache_write=written - long,
        cache_write_1h=long,
        output=output,
        reasoning=min(thinking, output),
        searches=(said.server_tool_use or _NO_SEARCHES).web_search_requests or 0,
        service_tier=text(said.service_tier),
    )


def _read(usage: Json, kind: type[T]) -> T:
    try:
        return msgspec.convert(usage, kind)
    except msgspec.ValidationError:
        return msgspec.convert(_mended(usage), kind)


def _mended(usage: Json) -> Json:
    """The same object with nothing but counts where counts belong, and objects where objects do."""
    return {key: _mended_field(key, value) for key, value in usage.items()}


def _mended_field(key: str, value: Any) -> Any:
    if key in _OBJECTS:
        return _mended(record(value))
    return value if key == "service_tier" else count(value)


def as_openai(usage: Usage) -> Json:
    """`usage` the way Chat Completions would say it; the inverse of `openai` for what that API can carry."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.output,
        "total_tokens": usage.prompt + usage.output,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write + usage.cache_write_1h,
            "audio_tokens": usage.audio_input,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": usage.audio_output,
        },
    }
