"""Usage objects of all providers as disjoint buckets. Nothing a provider sends raises or makes a bucket
negative.

Sources: OpenAI `CompletionUsage` and `ResponseUsage`, Anthropic `Usage` and `BetaUsage` (their SDKs' own types),
DeepSeek's `prompt_cache_hit_tokens`, Perplexity's pricing page, and what LiteLLM and OpenRouter gateways add.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from costopt.types import Json, Usage
from costopt.wire import terms
from costopt.wire.loose import MOST, count, record, records, text

T = TypeVar("T")
Count: TypeAlias = Annotated[int, Meta(ge=0, le=MOST)] | None


class _Lives(Struct, frozen=True):
    ephemeral_5m_input_tokens: Count = None
    ephemeral_1h_input_tokens: Count = None


class _Sent(Struct, frozen=True):
    cached_tokens: Count = None
    cache_write_tokens: Count = None
    cache_creation_tokens: Count = None  # LiteLLM
    cache_creation_token_details: _Lives | None = None  # LiteLLM before Anthropic
    audio_tokens: Count = None
    image_tokens: Count = None
    web_search_requests: Count = None  # LiteLLM before Gemini and Perplexity
    google_maps_grounding_requests: Count = None


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
    search_context_size: Any = None
    citation_tokens: Count = None
    reasoning_tokens: Count = None
    prompt_tokens_details: _Sent | None = None
    input_tokens_details: _Sent | None = None
    completion_tokens_details: _Written | None = None
    output_tokens_details: _Written | None = None
    cache_creation: _Lives | None = None
    server_tool_use: _Searches | None = None  # OpenRouter, LiteLLM
    service_tier: Any = None
    speed: Any = None  # LiteLLM before Anthropic
    inference_geo: Any = None
    iterations: Any = None


class _Anthropic(Struct, frozen=True):
    input_tokens: Count = None
    cache_read_input_tokens: Count = None
    cache_creation_input_tokens: Count = None
    cache_creation: _Lives | None = None
    output_tokens: Count = None
    output_tokens_details: _Written | None = None
    server_tool_use: _Searches | None = None
    service_tier: Any = None
    speed: Any = None
    inference_geo: Any = None
    iterations: Any = None


_OBJECTS = frozenset(
    {
        "prompt_tokens_details",
        "input_tokens_details",
        "completion_tokens_details",
        "output_tokens_details",
        "server_tool_use",
        "cache_creation",
        "cache_creation_token_details",
    }
)
#: Fields that are no counts.
_WORDS = frozenset({"service_tier", "speed", "inference_geo", "search_context_size", "iterations"})
_NO_SENT, _NO_WRITTEN, _NO_SEARCHES, _NO_LIVES = _Sent(), _Written(), _Searches(), _Lives()


def openai(
    usage: Json, tier: Any = None, searches: int = 0, *, cites: bool = False, model: str = ""
) -> Usage:
    """Chat, completions, embeddings and responses. The prompt count holds the cached tokens, the output count
    the reasoning. `tier` is the answer's `service_tier`, `model` the one that answered; `searches` counts web searches
    seen in the answer itself, which `cites` pages of the web."""
    said = _read(usage, _OpenAI)
    sent = said.prompt_tokens_details or said.input_tokens_details or _NO_SENT
    wrote = said.completion_tokens_details or said.output_tokens_details or _NO_WRITTEN
    prompt = said.prompt_tokens or said.input_tokens or 0
    cached = sent.cached_tokens or said.prompt_cache_hit_tokens or said.cache_read_input_tokens or 0
    cached = min(cached, prompt)
    written = sent.cache_write_tokens or sent.cache_creation_tokens or said.cache_creation_input_tokens or 0
    written = min(written, prompt - cached)
    fresh = prompt - cached - written
    lives = sent.cache_creation_token_details or said.cache_creation
    long = min(lives.ephemeral_1h_input_tokens or 0, written) if lives else 0
    output, reasoning = _output(said, wrote, prompt)
    audio = min(sent.audio_tokens or 0, fresh)
    spoken = min(wrote.audio_tokens or 0, output)
    found = Usage(
        input=fresh,
        cache_read=cached,
        cache_write=written - long,
        cache_write_1h=long,
        output=output,
        reasoning=reasoning,
        audio_input=audio,
        audio_output=spoken,
        image_output=min(wrote.image_tokens or 0, max(0, output - reasoning - spoken)),
        image_input=min(sent.image_tokens or 0, fresh - audio),
        searches=searches,
        service_tier=text(tier) or text(said.service_tier),
    )
    counted = said.server_tool_use or said.num_search_queries or sent.web_search_requests
    if counted or cites or said.search_context_size or sent.google_maps_grounding_requests:
        found = _searched(found, said, sent, cites)
    if said.num_search_queries and "deep-research" in model:
        found = _researched(found, said, wrote)
    return _with_terms(found, said) if said.speed or said.inference_geo or said.iterations else found


def _output(said: _OpenAI, wrote: _Written, prompt: int) -> tuple[int, int]:
    """Output and the reasoning in it. xAI counts reasoning beside the completion; its total gives that
    away."""
    output = said.completion_tokens or said.output_tokens or 0
    reasoning = wrote.reasoning_tokens or 0
    if reasoning and said.total_tokens == prompt + output + reasoning:
        return output + reasoning, reasoning
    return output, min(reasoning, output)


def _searched(usage: Usage, said: _OpenAI, sent: _Sent, cites: bool) -> Usage:
    """With the searches that were reported and their kind. Perplexity's request fee is one search of the size it
    names; a citation tells of one search where nothing else does."""
    reported = (said.server_tool_use or _NO_SEARCHES).web_search_requests or sent.web_search_requests
    searches = usage.searches or reported or said.num_search_queries or 0
    maps, kind = sent.google_maps_grounding_requests or 0, text(said.search_context_size).lower()
    if maps:
        kind = "search+maps" if searches else "maps"
    elif not searches and (kind or cites):
        searches, kind = 1, kind or "cited"
    return replace(usage, searches=searches + maps, service_tier=terms.said(usage.service_tier, search=kind))


def _researched(usage: Usage, said: _OpenAI, wrote: _Written) -> Usage:
    """Perplexity's deep research reads its citations at the price of its prompt, and bills its reasoning beside the
    completion (its pricing page)."""
    reasoning = wrote.reasoning_tokens or said.reasoning_tokens or 0
    output = (said.completion_tokens or 0) + reasoning
    return replace(usage, input=usage.input + (said.citation_tokens or 0), output=output, reasoning=reasoning)


def anthropic(usage: Json) -> Usage:
    """Messages. The input count excludes what was read from or written to the cache."""
    said = _read(usage, _Anthropic)
    lives = said.cache_creation or _NO_LIVES
    long = lives.ephemeral_1h_input_tokens or 0
    written = max(said.cache_creation_input_tokens or 0, long + (lives.ephemeral_5m_input_tokens or 0))
    output = said.output_tokens or 0
    thinking = (said.output_tokens_details or _NO_WRITTEN).thinking_tokens or 0
    found = Usage(
        input=said.input_tokens or 0,
        cache_read=said.cache_read_input_tokens or 0,
        cache_write=written - long,
        cache_write_1h=long,
        output=output,
        reasoning=min(thinking, output),
        searches=(said.server_tool_use or _NO_SEARCHES).web_search_requests or 0,
        service_tier=text(said.service_tier),
    )
    if said.iterations:
        found = _with_compactions(found, said.iterations)
    return _with_terms(found, said) if said.speed or said.inference_geo or said.iterations else found


def _with_terms(usage: Usage, said: _OpenAI | _Anthropic) -> Usage:
    """With what else sets Claude's prices. Advice is billed at the price of the model that gave it, which no count
    of this call can carry."""
    advised = any(each.get("type") == "advisor_message" for each in records(said.iterations))
    words = terms.said(usage.service_tier, said.speed, said.inference_geo, advised=advised)
    return replace(usage, service_tier=words)


def _with_compactions(usage: Usage, iterations: Any) -> Usage:
    """With the tokens of compactions, which the counts of the whole do not include (`BetaUsage.iterations`)."""
    for each in records(iterations):
        if each.get("type") == "compaction":
            more = anthropic({**each, "iterations": None})
            usage = replace(
                usage,
                input=usage.input + more.input,
                cache_read=usage.cache_read + more.cache_read,
                cache_write=usage.cache_write + more.cache_write,
                cache_write_1h=usage.cache_write_1h + more.cache_write_1h,
                output=usage.output + more.output,
            )
    return usage


def on_tier(usage: Usage, tier: str) -> Usage:
    """`usage` on a service tier that was told elsewhere; one that it names itself stays."""
    named = usage.service_tier
    return usage if terms.read(named).tier else replace(usage, service_tier=f"{tier} {named}".rstrip())


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
    return value if key in _WORDS else count(value)


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
