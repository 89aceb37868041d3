"""The same bills as litellm's own calculator, over every chat, completion, responses and embedding model it
prices.

Where the two differ on purpose, the class of models is named below with the reason. Besides, we say None
where the map names no price, while litellm takes an absent price as 0, an absent service tier as standard,
and the batch price as half of the standard one.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import subprocess
import sys
from typing import Any

import msgspec
import pytest

from costopt.decide.pricemap import family
from costopt.decide.prices import PriceBook
from costopt.types import Usage
from costopt.world import pricemap

DIFFERENT = {
    "perplexity": "litellm leaves out `input_cost_per_request` of the pplx-*-online models",
    "fireworks_ai/priority": "litellm's calculator for Fireworks drops the service tier",
    "openai/batch": "litellm finds no batch price of text-completion models and bills 0",
}
MODES = ("chat", "completion", "responses", "embedding")
TIERS = ("", "", "", "flex", "priority", "batch", "balanced", "ultrafast")

SCRIPT = """
import json, logging, sys, contextlib, io
import litellm
from litellm.cost_calculator import batch_cost_calculator, cost_per_token
from litellm.types.utils import CacheCreationTokenDetails, CompletionTokensDetailsWrapper
from litellm.types.utils import PromptTokensDetailsWrapper, Usage

logging.disable(logging.CRITICAL)

def usage(u):
    prompt = u["input"] + u["cache_read"] + u["cache_write"] + u["cache_write_1h"]
    written = u["cache_write"] + u["cache_write_1h"]
    details = CacheCreationTokenDetails(
        ephemeral_5m_input_tokens=u["cache_write"], ephemeral_1h_input_tokens=u["cache_write_1h"])
    return Usage(
        prompt_tokens=prompt, completion_tokens=u["output"], total_tokens=prompt + u["output"],
        prompt_tokens_details=PromptTokensDetailsWrapper(
            cached_tokens=u["cache_read"], cache_creation_tokens=written,
            audio_tokens=u["audio_input"] or None, image_tokens=u["image_input"] or None,
            cache_creation_token_details=details if written else None),
        completion_tokens_details=CompletionTokensDetailsWrapper(
            reasoning_tokens=u["reasoning"] or None, audio_tokens=u["audio_output"] or None))

def bill(model, provider, u):
    if u["service_tier"] == "batch":
        return batch_cost_calculator(usage(u), model, provider)
    return cost_per_token(model=model, custom_llm_provider=provider, usage_object=usage(u),
                          service_tier=u["service_tier"] or None)

bills = []
with contextlib.redirect_stdout(io.StringIO()):
    for model, provider, u in json.load(sys.stdin):
        try:
            bills.append(sum(bill(model, provider, u)))
        except Exception:
            bills.append(None)
json.dump(bills, sys.stdout)
"""

Case = tuple[str, str, Usage]


def _usages(rng: random.Random) -> list[Usage]:
    big = rng.choice([0, 0, 130_000, 210_000, 300_000, 600_000])
    out = rng.randint(100, 4000)
    small = rng.randint(3000, 5000)
    return [
        Usage(input=small + big, output=out, service_tier=rng.choice(TIERS)),
        Usage(
            input=small + big, cache_read=rng.randint(0, 50_000), output=out, service_tier=rng.choice(TIERS)
        ),
        Usage(input=small, cache_read=7, cache_write=rng.randint(1, 9000), cache_write_1h=99, output=out),
        Usage(input=small + big, output=out, reasoning=out // 3, service_tier=rng.choice(TIERS)),
        Usage(input=small, audio_input=500, output=out, audio_output=out // 4),
        Usage(input=small, image_input=700, output=out),
    ]


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    folder = pricemap.package_folder()
    assert folder is not None
    data = json.loads((folder / "model_prices_and_context_window_backup.json").read_bytes())
    rng = random.Random(20)
    names = [name for name, row in data.items() if row.get("mode") in MODES and "off_peak_pricing" not in row]
    chosen = sorted(rng.sample(names, 400) + [name for name in names if "/" not in name])
    return [
        (name, family(data[name]["litellm_provider"]), usage) for name in chosen for usage in _usages(rng)
    ]


@pytest.fixture(scope="module")
def theirs(cases: list[Case]) -> list[float | None]:
    given = json.dumps([(model, provider, msgspec.to_builtins(usage)) for model, provider, usage in cases])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=given,
        env=os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        capture_output=True,
        text=True,
        check=True,
    )
    bills: list[float | None] = json.loads(done.stdout.splitlines()[-1])
    return bills


def _differs_on_purpose(provider: str, usage: Usage) -> bool:
    return provider in DIFFERENT or f"{provider}/{usage.service_tier}" in DIFFERENT


def test_the_same_to_the_nano_dollar(cases: list[Case], theirs: list[float | None]) -> None:
    book = pricemap.load()
    same = 0
    wrong: list[Any] = []
    for (model, provider, usage), dollars in zip(cases, theirs, strict=True):
        cost = book.cost(model, usage, provider)
        if cost is None or dollars is None or _differs_on_purpose(provider, usage):
            continue
        # why: they add floats, which is good for about 15 digits, and we round to whole nano-dollars
        if abs(cost - dollars * 1e9) <= 0.5 + abs(dollars) * 1e9 * 1e-12:
            same += 1
        else:
            wrong.append((model, provider, usage, cost, dollars))
    assert not wrong, wrong[:5]
    assert same > 2000


def test_what_we_call_unknown_has_no_price_in_the_map(cases: list[Case], theirs: list[float | None]) -> None:
    """Standard tier, both token prices in the map: then we never say None where they have a bill."""
    book = pricemap.load()
    rows = _rows()
    for (model, provider, usage), dollars in zip(cases, theirs, strict=True):
        row = rows[model]
        priced = row.get("input_cost_per_token") is not None and row.get("output_cost_per_token") is not None
        if dollars and priced and not usage.service_tier:
            assert book.cost(model, usage, provider) is not None, (model, provider)


def test_what_they_cannot_price_but_we_can_is_only_a_question_of_names(
    cases: list[Case], theirs: list[float | None]
) -> None:
    book = pricemap.load()
    odd = {
        provider
        for (model, provider, usage), dollars in zip(cases, theirs, strict=True)
        if dollars is None and book.cost(model, usage, provider) is not None
    }
    # These rows' providers are variants (`text-completion-openai`, `cohere_chat`) of the one asked for.
    assert odd <= {"openai", "cohere", "azure", "codestral"}


def _rows() -> dict[str, dict[str, Any]]:
    folder = pricemap.package_folder()
    assert folder is not None
    rows: dict[str, dict[str, Any]] = json.loads(
        (folder / "model_prices_and_context_window_backup.json").read_bytes()
    )
    return rows


def test_the_book_needs_no_litellm() -> None:
    code = (
        "import sys; from costopt.world import pricemap; from costopt.types import Usage;"
        "assert pricemap.load().cost('gpt-4o', Usage(input=1)) == 2500; assert 'litellm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert importlib.util.find_spec("litellm") is not None


def test_an_empty_map_knows_nothing() -> None:
    assert PriceBook(b"{}").cost("gpt-4o", Usage(input=1)) is None
