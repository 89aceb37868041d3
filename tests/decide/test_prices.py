"""The price book on a map of our own, where every price is known, and on the installed one."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costopt.decide.prices import PriceBook
from costopt.policy import Price
from costopt.types import Usage
from costopt.world import pricemap

ROWS = {
    "sample_spec": {"input_cost_per_token": 1.0, "litellm_provider": "openai"},
    "plain": {
        "litellm_provider": "openai",
        "mode": "chat",
        "max_input_tokens": 1000,
        "max_output_tokens": 100,
        "input_cost_per_token": 1e-06,
        "output_cost_per_token": 4e-06,
        "supports_vision": True,
        "supports_function_calling": True,
    },
    "tiered": {
        "litellm_provider": "openai",
        "input_cost_per_token": 2e-06,
        "output_cost_per_token": 8e-06,
        "cache_read_input_token_cost": 2e-07,
        "cache_creation_input_token_cost": 2.5e-06,
        "cache_creation_input_token_cost_above_1hr": 4e-06,
        "input_cost_per_token_batches": 1e-06,
        "output_cost_per_token_batches": 4e-06,
        "cache_creation_input_token_cost_batches": 1.25e-06,
        "input_cost_per_token_priority": 4e-06,
        "output_cost_per_token_priority": 1.6e-05,
        "input_cost_per_token_above_200k_tokens": 3e-06,
        "output_cost_per_token_above_200k_tokens": 9e-06,
        "cache_read_input_token_cost_above_200k_tokens": 3e-07,
        "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 6e-06,
        "input_cost_per_token_above_500k_tokens": 5e-06,
        "input_cost_per_token_above_200k_tokens_batches": 1.5e-06,
        "search_context_cost_per_query": {"search_context_size_medium": 0.01},
        "input_cost_per_audio_token": 1e-05,
        "output_cost_per_audio_token": 2e-05,
        "output_cost_per_reasoning_token": 1e-06,
        "provider_specific_entry": {"fast": 2.5, "us": 1.5, "frames": {"16:9": "1x1"}},
    },
    "tables": {
        "litellm_provider": "dashscope",
        "tiered_pricing": [
            {"range": [256000.0, 1e6], "input_cost_per_token": 4e-06, "output_cost_per_token": 6e-06},
            {"range": [0, 256000.0], "input_cost_per_token": 1e-06, "output_cost_per_token": 3e-06},
        ],
    },
    "inclusive": {
        "litellm_provider": "xai",
        "input_cost_per_token": 1e-06,
        "output_cost_per_token": 1e-06,
        "input_cost_per_token_above_200k_tokens": 2e-06,
    },
    "asks": {
        "litellm_provider": "perplexity",
        "input_cost_per_token": 0.0,
        "output_cost_per_token": 1e-06,
        "input_cost_per_request": 0.005,
    },
    "sized": {
        "litellm_provider": "perplexity",
        "input_cost_per_token": 0,
        "output_cost_per_token": 0,
        "search_context_cost_per_query": {
            "search_context_size_low": 0.005,
            "search_context_size_medium": 0.008,
            "search_context_size_high": 0.012,
        },
    },
    "mapped": {
        "litellm_provider": "gemini",
        "input_cost_per_token": 0,
        "output_cost_per_token": 0,
        "web_search_billing_unit": "per_query",
        "search_context_cost_per_query": {"search_context_size_medium": 0.014},
        "google_maps_grounding_cost_per_query": 0.014,
    },
    "grounded": {
        "litellm_provider": "gemini",
        "input_cost_per_token": 0,
        "output_cost_per_token": 0,
        "search_context_cost_per_query": {"search_context_size_medium": 0.035},
    },
    "night": {
        "litellm_provider": "deepseek",
        "input_cost_per_token": 2e-06,
        "output_cost_per_token": 4e-06,
        "off_peak_pricing": {
            "input_cost_per_token": 1e-06,
            "output_cost_per_token": 2e-06,
            "windows": [{"hours_utc": ["22:00-02:00"], "weekdays": [1]}, {"hours_utc": "bad"}],
        },
    },
    "free": {"litellm_provider": "local", "input_cost_per_token": 0, "output_cost_per_token": 0.0},
    "unpriced": {"litellm_provider": "openai", "mode": "chat", "max_tokens": 4096},
    "halfpriced": {"litellm_provider": "openai", "input_cost_per_token": 1e-06},
    "noisy": {
        "litellm_provider": "databricks",
        "input_cost_per_token": 1.5000020000000002e-05,
        "output_cost_per_token": 3.9998000000000007e-07,
    },
    "azure/named": {"litellm_provider": "azure", "input_cost_per_token": 3e-06, "output_cost_per_token": 0},
    "ft:plain": {"litellm_provider": "openai", "input_cost_per_token": 2e-06, "output_cost_per_token": 0},
    "anthropic.claude-x-v1:0": {
        "litellm_provider": "bedrock_converse",
        "input_cost_per_token": 7e-06,
        "output_cost_per_token": 0,
    },
}


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return PriceBook(json.dumps(ROWS).encode())


def test_tokens_times_price(book: PriceBook) -> None:
    assert book.cost("plain", Usage(input=10, output=3)) == 10 * 1000 + 3 * 4000


def test_unknown_is_none_and_free_is_zero(book: PriceBook) -> None:
    usage = Usage(input=10, output=3)
    assert book.cost("nobody-knows-me", usage) is None
    assert book.cost("unpriced", usage) is None
    assert book.cost("sample_spec", usage) is None
    assert book.cost("free", usage) == 0
    assert book.cost("free", Usage(input=1, service_tier="flex")) == 0


def test_a_price_that_is_not_needed_may_be_missing(book: PriceBook) -> None:
    assert book.cost("halfpriced", Usage(input=10)) == 10_000
    assert book.cost("halfpriced", Usage(input=10, output=1)) is None
    assert book.cost("plain", Usage(input=1, searches=1)) is None


def test_cached_tokens_have_their_prices_or_cost_as_input(book: PriceBook) -> None:
    parts = Usage(input=1, cache_read=10, cache_write=100, cache_write_1h=1000)
    assert book.cost("tiered", parts) == 2000 + 10 * 200 + 100 * 2500 + 1000 * 4000
    assert book.cost("plain", parts) == 1111 * 1000


@pytest.mark.parametrize(
    ("prompt", "nano"), [(200_000, 2000), (200_001, 3000), (500_000, 3000), (500_001, 5000)]
)
def test_a_prompt_above_a_threshold_is_billed_whole(book: PriceBook, prompt: int, nano: int) -> None:
    assert book.cost("tiered", Usage(input=prompt)) == prompt * nano


def test_cached_tokens_count_towards_the_threshold(book: PriceBook) -> None:
    usage = Usage(input=1, cache_read=200_000, cache_write_1h=10, output=1)
    assert book.cost("tiered", usage) == 3000 + 200_000 * 300 + 10 * 6000 + 9000


def test_a_threshold_may_include_its_number(book: PriceBook) -> None:
    assert book.cost("inclusive", Usage(input=199_999)) == 199_999_000
    assert book.cost("inclusive", Usage(input=200_000)) == 400_000_000


def test_a_service_tier_has_its_own_price_and_an_unknown_one_none(book: PriceBook) -> None:
    def cost(tier: str, prompt: int = 10) -> int | None:
        return book.cost("tiered", Usage(input=prompt, output=1, service_tier=tier))

    assert cost("default") == cost("auto") == cost("") == 28_000
    assert cost("batch") == cost("batches") == 14_000
    assert cost("priority") == cost("Priority") == 56_000
    assert cost("flex") is None
    assert cost("a-tier-of-tomorrow") is None


def test_a_tier_without_a_price_above_a_threshold_is_unknown_there(book: PriceBook) -> None:
    usage = Usage(input=200_001, service_tier="batch")
    assert book.cost("tiered", usage) == 200_001 * 1500
    assert book.cost("tiered", Usage(input=200_001, output=1, service_tier="batch")) is None
    assert book.cost("tiered", Usage(input=200_001, service_tier="priority")) is None


def test_an_hour_of_cache_gets_the_tiers_own_discount(book: PriceBook) -> None:
    assert book.cost("tiered", Usage(cache_write_1h=10, service_tier="batch")) == 10 * 2000


def test_cache_reads_of_a_batch_cost_as_its_input_where_it_names_no_price(book: PriceBook) -> None:
    assert book.cost("tiered", Usage(cache_read=10, service_tier="batch")) == 10 * 1000
    assert book.cost("tiered", Usage(cache_read=10, service_tier="priority")) == 10 * 200


def test_fast_mode_multiplies_token_prices_but_no_fees(book: PriceBook) -> None:
    assert book.cost("tiered", Usage(input=2, service_tier="fast")) == 10_000
    assert book.cost("tiered", Usage(searches=1, service_tier="fast")) == 10_000_000


def test_a_place_multiplies_token_prices_and_stacks_with_a_fast_mode(book: PriceBook) -> None:
    assert book.cost("tiered", Usage(input=2, service_tier="standard geo:us")) == 6000
    assert book.cost("tiered", Usage(input=2, service_tier="fast geo:us")) == 15_000
    assert book.cost("tiered", Usage(input=2, service_tier="batch geo:us")) == 3000
    assert book.cost("tiered", Usage(searches=1, service_tier="geo:us")) == 10_000_000
    assert book.cost("tiered", Usage(input=2, service_tier="geo:eu")) == 4000
    assert book.cost("tiered", Usage(input=2, service_tier="batch fast")) is None


def test_a_search_costs_as_its_kind(book: PriceBook) -> None:
    def fee(model: str, kind: str, searches: int = 3) -> int | None:
        return book.cost(model, Usage(searches=searches, service_tier=f"search:{kind}"))

    assert [fee("sized", size) for size in ("low", "medium", "high")] == [5_000_000, 8_000_000, 12_000_000]
    assert fee("tiered", "high") == 30_000_000
    assert (fee("grounded", "maps"), fee("grounded", "search+maps")) == (25_000_000, 60_000_000)
    assert (fee("mapped", "maps"), fee("mapped", "search+maps")) == (42_000_000, 42_000_000)
    assert fee("tiered", "maps") is None


def test_a_citation_is_a_search_where_there_is_a_fee_for_one(book: PriceBook) -> None:
    assert book.cost("tiered", Usage(searches=1, service_tier="search:cited")) == 10_000_000
    assert book.cost("plain", Usage(searches=1, service_tier="search:cited")) == 0


def test_advice_of_another_model_has_no_price_here(book: PriceBook) -> None:
    assert book.cost("plain", Usage(input=1, service_tier="standard advised")) is None


def test_parts_of_input_and_output_are_not_billed_twice(book: PriceBook) -> None:
    usage = Usage(input=10, audio_input=4, output=10, reasoning=3, audio_output=2)
    assert book.cost("tiered", usage) == 6 * 2000 + 4 * 10_000 + 5 * 8000 + 3 * 1000 + 2 * 20_000
    assert book.cost("plain", usage) == 10 * 1000 + 10 * 4000


def test_searches_and_requests_have_fees(book: PriceBook) -> None:
    assert book.cost("tiered", Usage(searches=3)) == 30_000_000
    assert book.cost("grounded", Usage(searches=3)) == 35_000_000
    assert book.cost("asks", Usage(input=5, output=1)) == 5_001_000


def test_a_pricing_table_bills_the_whole_call_at_one_tier(book: PriceBook) -> None:
    assert book.cost("tables", Usage(input=256_000, output=1)) == 256_000_000 + 3000
    assert book.cost("tables", Usage(input=1, cache_read=256_000, output=1)) == 256_001 * 4000 + 6000
    assert book.cost("tables", Usage(input=2_000_000, output=2, reasoning=1)) == 2_000_000 * 4000 + 12_000


MONDAY = 4 * 86400 * 10**9
HOUR = 3600 * 10**9


@pytest.mark.parametrize(
    ("at", "nano"),
    [
        (None, 2000),
        (MONDAY + 21 * HOUR, 2000),
        (MONDAY + 22 * HOUR, 1000),
        (MONDAY + 23 * HOUR, 1000),
        (MONDAY + 1 * HOUR, 1000),
        (MONDAY + 2 * HOUR, 2000),
        (MONDAY + 47 * HOUR, 2000),
    ],
)
def test_a_call_is_priced_at_its_hour(book: PriceBook, at: int | None, nano: int) -> None:
    assert book.cost("night", Usage(input=1), at=at) == nano
    assert book.cost("night", Usage(output=2, reasoning=1), at=at) == 4 * nano


def test_rounding_happens_once_and_half_to_even() -> None:
    row = {"m": {"litellm_provider": "x", "input_cost_per_token": 5e-10, "output_cost_per_token": 5e-10}}
    book = PriceBook(json.dumps(row).encode())
    assert [book.cost("m", Usage(input=n)) for n in (1, 2, 3, 4, 5)] == [0, 1, 2, 2, 2]
    assert book.cost("m", Usage(input=1, output=1)) == 1


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_prices_of_any_length_stay_exact(inp: int, out: int) -> None:
    book = PriceBook(json.dumps({"noisy": ROWS["noisy"]}).encode())
    exact = inp * Fraction("1.5000020000000002e-05") + out * Fraction("3.9998000000000007e-07")
    assert book.cost("noisy", Usage(input=inp, output=out)) == round(exact * 10**9)


COUNTS = st.integers(0, 300_000)


@given(
    COUNTS, COUNTS, COUNTS, COUNTS, st.integers(0, 5), st.sampled_from(["tiered", "noisy", "plain", "free"])
)
def test_parts_add_up_to_the_cost(
    inp: int, read: int, write: int, out: int, searches: int, model: str
) -> None:
    book = PriceBook(json.dumps(ROWS).encode())
    usage = Usage(
        input=inp,
        cache_read=read,
        cache_write=write,
        output=out,
        reasoning=out // 2,
        audio_input=inp // 3,
        searches=searches,
    )
    parts, cost = book.price_parts(model, usage), book.cost(model, usage)
    assert (parts is None) == (cost is None)
    assert parts is None or sum(parts.values()) == cost
    assert parts is None or all(nano >= 0 for nano in parts.values())


def test_a_model_is_found_under_every_name_it_goes_by(book: PriceBook) -> None:
    def name(model: str, provider: str = "") -> str | None:
        row = book.find(model, provider)
        return row.name if row else None

    assert name("openai/plain") == name("plain", "openai") == name("openai/plain", "openai") == "plain"
    assert name("plain-2026-01-31") == name("plain-20260131") == name("plain-latest") == "plain"
    assert name("PLAIN") == name("models/plain") == "plain"
    assert name("ft:plain:acme::Ab12") == name("openai/ft:plain:acme::Ab12") == "ft:plain"
    assert name("ft:tiered:acme::Ab12") is None
    assert name("bedrock/us-east-1/anthropic.claude-x-v1:0") == "anthropic.claude-x-v1:0"
    assert name("us.anthropic.claude-x-v1:0", "bedrock") == "anthropic.claude-x-v1:0"


def test_a_row_of_another_provider_is_never_taken(book: PriceBook) -> None:
    assert book.find("plain", "azure") is None
    assert book.find("my-deployment", "azure") is None
    assert book.find("named", "azure") is not None
    assert book.find("openrouter/openai/plain") is None
    assert book.find("plain", "somewhere") is None


def test_facts_of_a_row(book: PriceBook) -> None:
    row = book.find("plain")
    assert row is not None
    assert (row.max_input, row.max_output, row.mode) == (1000, 100, "chat")
    assert row.needs == {"vision", "tools"}


def test_own_prices_replace_the_maps_in_every_tier() -> None:
    own = {"openai/tiered": Price(input=10, output=20, cache_read=1), "mine": Price(input=1000, output=0)}
    book = PriceBook(json.dumps(ROWS).encode(), own)
    for tier in ("", "batch", "flex"):
        usage = Usage(input=10**6, cache_read=10**6, cache_write=10**6, output=10**6, service_tier=tier)
        assert book.cost("tiered", usage, "openai") == 10 + 1 + 10 + 20
    assert book.cost("tiered", Usage(searches=1)) == 10_000_000
    assert book.cost("mine", Usage(input=10**6)) == 1000
    assert book.cost("plain", Usage(input=1)) == 1000


def test_the_revision_changes_with_every_price() -> None:
    data = json.dumps(ROWS).encode()
    revisions = {
        PriceBook(data).revision,
        PriceBook(data + b" ").revision,
        PriceBook(data, {"m": Price(1, 2)}).revision,
        PriceBook(data, {"m": Price(1, 3)}).revision,
    }
    assert len(revisions) == 4
    assert PriceBook(data).revision == PriceBook(data).revision


def test_many_names_do_not_fill_the_memory() -> None:
    book = PriceBook(json.dumps(ROWS).encode())
    for number in range(10_000):
        book.cost(f"m{number}", Usage())
    assert len(book._plans) < 5000
    assert book.cost("plain", Usage(input=1)) == 1000


def test_the_installed_map_is_read_without_litellm() -> None:
    book = pricemap.load()
    assert book.cost("gpt-4o-mini", Usage(input=10**6), "openai") == 150_000_000
    row = book.find("anthropic/claude-sonnet-4-5")
    assert row is not None
    assert {"tools", "vision", "reasoning"} <= row.needs


def test_every_row_of_the_installed_map_can_be_read() -> None:
    book = pricemap.load()
    for name in book._rows:
        book.cost(name, Usage(input=300_000, output=10, cache_write_1h=3, reasoning=5, service_tier="batch"))
