"""Usage objects of all providers as disjoint buckets. Nothing a provider sends raises or makes a bucket
negative.

Sources: OpenAI `CompletionUsage` and `ResponseUsage`, Anthropic `Usage` (their SDKs' own types), DeepSeek's
`prompt_cache_hit_tokens`, and what LiteLLM and OpenRouter gateways add.
"""

from __future__ import annotations

from typing import Any

from costopt.types import Json, Usage
from costopt.wire.loose import count, first_count, record, text


def openai(usage: Json, tier: Any = None, searches: int = 0) -> Usage:
    """Chat, completions, embeddings and responses. The prompt count holds the cached tokens, the output count
    the reasoning. `tier` is the answer's `service_tier`; `searches` counts web searches seen in the answer
    itself."""
    get = usage.get
    read = record(get("prompt_tokens_details") or get("input_tokens_details"))
    wrote = record(get("completion_tokens_details") or get("output_tokens_details"))
    prompt = count(get("prompt_tokens") or get("input_tokens"))
    cached = min(_cached(usage, read), prompt)
    written = min(_written(usage, read), prompt - cached)
    fresh = prompt - cached - written
    output, reasoning = _output(usage, wrote, prompt)
    audio = min(count(read.get("audio_tokens")), fresh)
    return Usage(
        input=fresh,
        cache_read=cached,
        cache_write=written,
        output=output,
        reasoning=reasoning,
        audio_input=audio,
        audio_output=min(count(wrote.get("audio_tokens")), output),
        image_input=min(count(read.get("image_tokens")), fresh - audio),
        searches=searches or _searches(usage),
        service_tier=text(tier) or text(usage.get("service_tier")),
    )


def _cached(usage: Json, details: Json) -> int:
    return first_count(
        details.get("cached_tokens"),
        usage.get("prompt_cache_hit_tokens"),  # DeepSeek
        usage.get("cache_read_input_tokens"),  # LiteLLM before Anthropic
    )


def _written(usage: Json, details: Json) -> int:
    return first_count(
        details.get("cache_write_tokens"),
        details.get("cache_creation_tokens"),  # LiteLLM
        usage.get("cache_creation_input_tokens"),
    )


def _output(usage: Json, details: Json, prompt: int) -> tuple[int, int]:
    """Output and the reasoning in it. xAI counts reasoning beside the completion; its total gives that
    away."""
    output = count(usage.get("completion_tokens") or usage.get("output_tokens"))
    reasoning = count(details.get("reasoning_tokens"))
    if reasoning and count(usage.get("total_tokens")) == prompt + output + reasoning:
        return output + reasoning, reasoning
    return output, min(reasoning, output)


def _searches(usage: Json) -> int:
    return first_count(
        record(usage.get("server_tool_use")).get("web_search_requests"),  # OpenRouter, LiteLLM
        usage.get("num_search_queries"),  # Perplexity
    )


def anthropic(usage: Json) -> Usage:
    """Messages. The input count excludes what was read from or written to the cache."""
    split = record(usage.get("cache_creation"))
    long = count(split.get("ephemeral_1h_input_tokens"))
    written = count(usage.get("cache_creation_input_tokens"))
    written = max(written, long + count(split.get("ephemeral_5m_input_tokens")))
    output = count(usage.get("output_tokens"))
    thinking = count(record(usage.get("output_tokens_details")).get("thinking_tokens"))
    return Usage(
        input=count(usage.get("input_tokens")),
        cache_read=count(usage.get("cache_read_input_tokens")),
        cache_write=written - long,
        cache_write_1h=long,
        output=output,
        reasoning=min(thinking, output),
        searches=count(record(usage.get("server_tool_use")).get("web_search_requests")),
        service_tier=text(usage.get("service_tier")),
    )


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
