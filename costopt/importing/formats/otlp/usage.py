"""Tokens of a GenAI span, under the names of OpenTelemetry's conventions, their older versions, and OpenInference."""

from __future__ import annotations

from costopt.importing import counts
from costopt.importing.formats.otlp.spans import Span
from costopt.types import Json, Usage
from costopt.wire.loose import first_count, text

_PREFIXES = ("gen_ai.usage.", "llm.token_count.", "llm.usage.")
_USAGE = {
    "prompt_tokens": ("input_tokens", "prompt_tokens"),
    "completion_tokens": ("output_tokens", "completion_tokens"),
    "total_tokens": ("total_tokens",),
    "cached_tokens": (
        "cache_read.input_tokens",
        "cache_read_input_tokens",
        "input_tokens.cached",
        "cached_tokens",
    ),
    "cache_write_tokens": (
        *("cache_creation.input_tokens", "cache_creation_input_tokens", "input_tokens.cache_write"),
        "cache_write.input_tokens",
    ),
    "reasoning_tokens": ("reasoning.output_tokens", "reasoning_tokens", "output_tokens.reasoning"),
    "audio_sent": ("audio.input_tokens",),
    "audio_said": ("audio.output_tokens",),
    "image_tokens": ("image.input_tokens",),
}
_INFERENCE = {
    "prompt_tokens": ("prompt",),
    "completion_tokens": ("completion",),
    "total_tokens": ("total",),
    "cached_tokens": ("prompt_details.cache_read", "prompt_details.cache_input"),
    "cache_write_tokens": ("prompt_details.cache_write",),
    "reasoning_tokens": ("completion_details.reasoning",),
    "audio_sent": ("prompt_details.audio",),
    "audio_said": ("completion_details.audio",),
    "image_tokens": (),
}
_TIER = ("openai.response.service_tier", "gen_ai.openai.response.service_tier")


def usage_of(span: Span) -> Usage | None:
    found = _counted(span.attributes, "gen_ai.usage.", _USAGE)
    if not found["prompt_tokens"] and not found["completion_tokens"]:
        found = _counted(span.attributes, "llm.token_count.", _INFERENCE)
    raw = {
        **{key: found[key] for key in ("prompt_tokens", "completion_tokens", "total_tokens")},
        "prompt_tokens_details": {
            "cached_tokens": found["cached_tokens"],
            "cache_write_tokens": found["cache_write_tokens"],
            "audio_tokens": found["audio_sent"],
            "image_tokens": found["image_tokens"],
        },
        "completion_tokens_details": {
            "reasoning_tokens": found["reasoning_tokens"],
            "audio_tokens": found["audio_said"],
        },
    }
    return counts.inclusive(
        raw, next((tier for key in _TIER if (tier := text(span.attributes.get(key)))), "")
    )


def _counted(about: Json, prefix: str, names: dict[str, tuple[str, ...]]) -> dict[str, int]:
    found = {
        ours: first_count(*(about.get(prefix + each) for each in theirs)) for ours, theirs in names.items()
    }
    found["total_tokens"] = found["total_tokens"] or first_count(about.get("llm.usage.total_tokens"))
    return found


def raw_usage(span: Span) -> Json | None:
    """The attributes that count tokens, as they are."""
    return {key: value for key, value in span.attributes.items() if key.startswith(_PREFIXES)} or None
