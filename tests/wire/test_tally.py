"""Usage in disjoint buckets: nothing counted twice, nothing negative, whatever a provider says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costopt.types import Usage
from costopt.wire import tally

NUMBERS = st.one_of(
    st.none(), st.integers(-10, 10**20), st.floats(), st.text(max_size=3), st.sampled_from(["7", True])
)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 20,
                "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10, "audio_tokens": 5},
                "completion_tokens_details": {"reasoning_tokens": 8, "audio_tokens": 2},
            },
            Usage(
                input=30, cache_read=60, cache_write=10, output=20, reasoning=8, audio_input=5, audio_output=2
            ),
        ),
        (
            {
                "input_tokens": 50,
                "input_tokens_details": {"cached_tokens": 20},
                "output_tokens": 9,
                "output_tokens_details": {"reasoning_tokens": 4},
                "total_tokens": 59,
            },
            Usage(input=30, cache_read=20, output=9, reasoning=4),
        ),
        ({"prompt_tokens": 10, "prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 2}, Usage(2, 8)),
        ({"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 99}}, Usage(0, 10)),
        ({"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": -4}}, Usage(10)),
        (
            {"prompt_tokens": "12", "completion_tokens": 3.0, "prompt_tokens_details": None},
            Usage(12, output=3),
        ),
        ({"prompt_tokens": None, "completion_tokens": "many", "prompt_tokens_details": "?"}, Usage()),
        ({"prompt_tokens": 5, "total_tokens": 5}, Usage(5)),
        (
            {"prompt_tokens": 10, "cache_read_input_tokens": 6, "cache_creation_input_tokens": 3},
            Usage(1, cache_read=6, cache_write=3),
        ),
        ({"prompt_tokens": 1, "num_search_queries": 2}, Usage(1, searches=2)),
    ],
)
def test_usage_of_openai_falls_into_disjoint_buckets(raw: dict[str, Any], expected: Usage) -> None:
    assert tally.openai(raw) == expected


def test_reasoning_beside_the_completion_is_output_too() -> None:
    """xAI: total = prompt + completion + reasoning."""
    raw = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 115,
        "completion_tokens_details": {"reasoning_tokens": 100},
    }
    assert tally.openai(raw) == Usage(10, output=105, reasoning=100)


def test_service_tier_of_the_answer() -> None:
    assert tally.openai({"prompt_tokens": 1}, "flex").service_tier == "flex"


def test_anthropic_input_excludes_the_cache() -> None:
    raw = {
        "input_tokens": 10,
        "cache_read_input_tokens": 40,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 12, "ephemeral_1h_input_tokens": 18},
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 3},
        "server_tool_use": {"web_search_requests": 2},
        "service_tier": "priority",
    }
    usage = tally.anthropic(raw)
    assert usage == Usage(10, 40, 12, 18, 7, 3, searches=2, service_tier="priority")
    assert usage.prompt == 80


def test_anthropic_cache_split_missing_or_larger_than_its_sum() -> None:
    assert tally.anthropic({"cache_creation_input_tokens": 30}).cache_write == 30
    larger = {"cache_creation_input_tokens": 5, "cache_creation": {"ephemeral_1h_input_tokens": 9}}
    assert (tally.anthropic(larger).cache_write, tally.anthropic(larger).cache_write_1h) == (0, 9)


def test_an_hour_of_cache_by_way_of_litellm() -> None:
    lives = {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000}
    details = {"cached_tokens": 5000, "cache_creation_tokens": 3000, "cache_creation_token_details": lives}
    raw = {"prompt_tokens": 8100, "completion_tokens": 4, "prompt_tokens_details": details}
    assert tally.openai(raw) == Usage(100, 5000, 1000, 2000, 4)


@pytest.mark.parametrize(
    ("details", "searches", "tier"),
    [
        ({"web_search_requests": 2}, 2, ""),
        ({"google_maps_grounding_requests": 1}, 1, "search:maps"),
        ({"web_search_requests": 2, "google_maps_grounding_requests": 1}, 3, "search:search+maps"),
    ],
)
def test_searches_of_gemini_by_way_of_litellm(details: dict[str, int], searches: int, tier: str) -> None:
    usage = tally.openai({"prompt_tokens": 1, "prompt_tokens_details": details})
    assert (usage.searches, usage.service_tier) == (searches, tier)


def test_perplexity_bills_a_request_by_the_size_of_its_search() -> None:
    usage = tally.openai({"prompt_tokens": 9, "completion_tokens": 1, "search_context_size": "low"})
    assert (usage.searches, usage.service_tier) == (1, "search:low")


def test_deep_research_reads_its_citations_and_reasons_beside_the_completion() -> None:
    """The example of Perplexity's API reference."""
    raw = {
        "prompt_tokens": 33,
        "completion_tokens": 7163,
        "total_tokens": 7196,
        "citation_tokens": 20_028,
        "num_search_queries": 18,
        "reasoning_tokens": 73_997,
    }
    usage = tally.openai(raw, model="sonar-deep-research")
    assert usage == Usage(33 + 20_028, output=7163 + 73_997, reasoning=73_997, searches=18)
    assert tally.openai(raw, model="sonar-pro").prompt == 33


def test_compactions_are_in_no_other_count() -> None:
    """`BetaUsage.iterations` of Anthropic's SDK."""
    lives = {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4}
    whole = {
        "input_tokens": 180_000,
        "output_tokens": 3500,
        "cache_creation": lives,
        "cache_read_input_tokens": 5,
    }
    last = {"type": "message", "input_tokens": 23_000, "output_tokens": 1000}
    raw = {
        "input_tokens": 23_000,
        "output_tokens": 1000,
        "iterations": [{"type": "compaction", **whole}, "?", last],
    }
    assert tally.anthropic(raw) == Usage(203_000, 5, 3, 4, 4500)


@pytest.mark.parametrize("read", [tally.anthropic, tally.openai])
def test_advice_of_another_model_is_told(read: Any) -> None:
    advice = {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 9, "output_tokens": 9}
    raw = {"input_tokens": 1, "output_tokens": 1, "iterations": [advice], "service_tier": "standard"}
    assert read(raw).service_tier == "standard advised"


@pytest.mark.parametrize("read", [tally.anthropic, tally.openai])
def test_a_fast_mode_and_a_place_are_told(read: Any) -> None:
    raw = {
        "input_tokens": 1,
        "output_tokens": 1,
        "speed": "fast",
        "inference_geo": "us",
        "service_tier": "standard",
    }
    assert read(raw).service_tier == "fast geo:us"


DETAILS = st.one_of(
    NUMBERS,
    st.dictionaries(
        st.sampled_from(
            [
                *("cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens", "reasoning_tokens"),
                *("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens", "web_search_requests"),
                *("google_maps_grounding_requests", "cache_creation_token_details"),
            ]
        ),
        NUMBERS,
    ),
)
RAW = st.dictionaries(
    st.sampled_from(
        [
            *("prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens"),
            *("prompt_tokens_details", "completion_tokens_details", "cache_creation", "server_tool_use"),
            *(
                "cache_read_input_tokens",
                "cache_creation_input_tokens",
                "prompt_cache_hit_tokens",
                "service_tier",
                *("speed", "inference_geo", "iterations", "search_context_size", "num_search_queries"),
                *("citation_tokens", "reasoning_tokens"),
            ),
        ]
    ),
    DETAILS,
)


@given(RAW)
def test_lies_never_make_a_bucket_negative(raw: dict[str, Any]) -> None:
    research = tally.openai(raw, cites=True, model="sonar-deep-research")
    for usage in (tally.openai(raw), tally.anthropic(raw), research):
        numbers = [value for value in msgspec.structs.asdict(usage).values() if type(value) is int]
        assert min(numbers) >= 0 and max(numbers) <= 2 * 10**12
        assert usage.audio_input + usage.image_input <= usage.input
        assert max(usage.reasoning, usage.audio_output) <= usage.output


@given(
    st.builds(Usage, *[st.integers(0, 10**6)] * 3, cache_write_1h=st.just(0), output=st.integers(0, 10**6))
)
def test_what_we_say_in_openai_words_reads_back(usage: Usage) -> None:
    assert tally.openai(tally.as_openai(usage)) == usage
