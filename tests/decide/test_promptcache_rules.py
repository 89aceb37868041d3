"""Which rules hold for which model, on a price map of our own."""

from __future__ import annotations

import json

import pytest

from costopt.decide.prices import PriceBook
from costopt.decide.promptcache import Rules, rules
from costopt.types import Json

MINUTE = 60 * 10**9
HOUR = 60 * MINUTE
READ = {"input_cost_per_token": 1e-06, "cache_read_input_token_cost": 1e-07}
WRITE = {**READ, "cache_creation_input_token_cost": 1.25e-06}
ROWS = {
    "gpt-4o": {"litellm_provider": "openai", **READ},
    "gpt-4": {"litellm_provider": "openai", "input_cost_per_token": 1e-06},
    "gpt-5.5": {"litellm_provider": "openai", **READ},
    "gpt-6-sol": {"litellm_provider": "openai", **WRITE},
    "azure/gpt-4o": {"litellm_provider": "azure", **READ, "cache_creation_input_token_cost": 5e-07},
    "azure/gpt-6-sol": {"litellm_provider": "azure", **WRITE},
    "embed": {"litellm_provider": "openai", "mode": "embedding", **READ},
    "claude-sonnet-5-5": {"litellm_provider": "anthropic", "prompt_cache_min_tokens": 512, **WRITE},
    "claude-3-haiku": {"litellm_provider": "anthropic", **WRITE},
    "us.anthropic.claude-opus-4-7": {
        "litellm_provider": "bedrock_converse",
        "prompt_cache_min_tokens": 2048,
        **WRITE,
    },
    "vertex_ai/claude-opus-5": {
        "litellm_provider": "vertex_ai-anthropic_models",
        "prompt_cache_min_tokens": 512,
        **WRITE,
    },
    "gemini/gemini-3.8-flash": {"litellm_provider": "gemini", "prompt_cache_min_tokens": 4096.0, **READ},
    "gemini/gemini-2.5-flash": {"litellm_provider": "gemini", **READ},
    "deepseek/deepseek-chat": {
        "litellm_provider": "deepseek",
        "cache_creation_input_token_cost": 0.0,
        **READ,
    },
    "xai/grok-4.5": {"litellm_provider": "xai", **READ},
    "groq/kimi": {"litellm_provider": "groq", **READ},
    "fireworks_ai/llama": {"litellm_provider": "fireworks_ai", "input_cost_per_token": 1e-06},
    "dashscope/qwen": {"litellm_provider": "dashscope", **WRITE},
    "mistral/large": {"litellm_provider": "mistral", **READ},
}
BOOK = PriceBook(json.dumps(ROWS).encode())


def of(model: str, provider: str, body: Json | None = None) -> Rules | None:
    return rules(BOOK.find(model, provider), provider, model, body or {})


@pytest.mark.parametrize(
    ("provider", "model", "expected"),
    [
        ("openai", "gpt-4o", Rules(least=1024, step=128, ttl=5 * MINUTE)),
        ("openai", "gpt-4o-2024-08-06", Rules(least=1024, step=128, ttl=5 * MINUTE)),
        ("openai", "gpt-5.5", Rules(least=1024, step=128, ttl=24 * HOUR)),
        (
            "openai",
            "gpt-6-sol",
            Rules(least=1024, ttl=30 * MINUTE, marked=True, implicit=True, reach=80, by_message=True),
        ),
        ("azure", "gpt-4o", Rules(least=1024, step=128, ttl=5 * MINUTE)),
        (
            "azure",
            "gpt-6-sol",
            Rules(least=1024, ttl=30 * MINUTE, marked=True, implicit=True, reach=80, by_message=True),
        ),
        ("anthropic", "claude-sonnet-5-5", Rules(least=512, marked=True, ttl_1h=HOUR)),
        ("anthropic", "claude-3-haiku", Rules(least=2048, marked=True, ttl_1h=HOUR)),
        ("bedrock", "us.anthropic.claude-opus-4-7", Rules(least=2048, marked=True, ttl_1h=HOUR)),
        ("vertex_ai", "claude-opus-5", Rules(least=512, marked=True, ttl_1h=HOUR)),
        ("gemini", "gemini-3.8-flash", Rules(least=4096, assumed=True)),
        ("gemini", "gemini-2.5-flash", Rules(least=2048, assumed=True)),
        ("deepseek", "deepseek-chat", Rules(least=64, step=64, ttl=2 * HOUR)),
        ("xai", "grok-4.5", Rules(least=1, assumed=True)),
        ("groq", "kimi", Rules(ttl=2 * HOUR)),
        ("fireworks_ai", "llama", Rules(assumed=True)),
        ("mistral", "large", Rules(assumed=True)),
        ("dashscope", "qwen", Rules(marked=True, either=True, assumed=True)),
    ],
)
def test_each_provider_has_its_rules(provider: str, model: str, expected: Rules) -> None:
    assert of(model, provider) == expected


@pytest.mark.parametrize(("provider", "model"), [("openai", "gpt-4"), ("openai", "embed"), ("nobody", "x")])
def test_some_models_have_no_prompt_cache(provider: str, model: str) -> None:
    assert of(model, provider) is None


def test_the_body_may_ask_for_longer_and_for_a_partition_of_its_own() -> None:
    asked = {"prompt_cache_retention": "24h", "prompt_cache_key": "team-7"}
    assert of("gpt-4o", "openai", asked) == Rules(step=128, ttl=24 * HOUR, key="team-7")
    assert of("gpt-4o", "openai", {"prompt_cache_retention": "in_memory"}) == Rules(step=128)
    explicit = of("gpt-6-sol", "openai", {"prompt_cache_options": {"mode": "explicit"}})
    assert explicit is not None
    assert (explicit.marked, explicit.implicit, explicit.ttl) == (True, False, 30 * MINUTE)


def test_a_model_the_map_does_not_know_goes_by_its_providers_rules() -> None:
    assert of("gpt-next", "openai") == Rules(step=128)
    assert of("claude-next", "anthropic") == Rules(marked=True, ttl_1h=HOUR)
    assert of("claude-next", "bedrock") == Rules(marked=True, ttl_1h=HOUR)


def test_odd_bodies_are_read_leniently() -> None:
    odd = {"prompt_cache_key": 7, "prompt_cache_options": "x", "prompt_cache_retention": ["24h"]}
    assert of("gpt-4o", "openai", odd) == Rules(step=128)
    assert of("gpt-6-sol", "openai", odd) == of("gpt-6-sol", "openai")
