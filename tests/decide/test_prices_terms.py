"""The same bills as litellm's own calculator for what providers bill beside plain tokens: Claude's fast mode, places,
hours of cache, compactions and searches, and searches of Gemini and of OpenAI's search models, read from what their
answers say."""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
from typing import Any

import msgspec
import pytest

from costopt import wire
from costopt.types import Api, Json
from costopt.world import pricemap

SCRIPT = """
import contextlib, io, json, logging, sys
import litellm
from litellm.llms.anthropic.chat.transformation import AnthropicConfig

logging.disable(logging.CRITICAL)

def usage(case):
    if case["kind"] == "messages":
        return AnthropicConfig().calculate_usage(case["usage"], None)
    return litellm.Usage(**case["usage"])

def bill(case):
    answer = litellm.ModelResponse(**case["answer"])
    answer.usage = usage(case)
    answer._hidden_params = case["hidden"]
    return litellm.completion_cost(answer, model=case["model"], custom_llm_provider=case["provider"])

with contextlib.redirect_stdout(io.StringIO()):
    bills = [bill(case) for case in json.load(sys.stdin)]
json.dump(bills, sys.stdout)
"""


def _claude(rng: random.Random) -> Json:
    five, hour = rng.randint(0, 9000), rng.randint(0, 9000)
    return {
        "input_tokens": rng.randint(1, 90_000),
        "cache_read_input_tokens": rng.randint(0, 90_000),
        "cache_creation_input_tokens": five + hour,
        "cache_creation": {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour},
        "output_tokens": rng.randint(1, 9000),
    }


def _case(kind: Api, model: str, provider: str, usage: Json, *notes: str, **hidden: Any) -> Json:
    message = {"role": "assistant", "content": "a", "annotations": [{"type": note} for note in notes]}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    answer = {"id": "c", "created": 1, "model": model, "choices": choices}
    case = {"kind": kind, "model": model, "provider": provider, "usage": usage}
    return {**case, "answer": answer, "hidden": hidden}


def _claude_cases(rng: random.Random) -> list[Json]:
    models = ("claude-opus-4-8", "claude-opus-5", "claude-sonnet-4-6", "claude-sonnet-4-5")
    cases: list[Json] = []
    for model, geo, speed in itertools.product(
        models, (None, "us", "global", "not_available"), (None, "standard", "fast")
    ):
        if speed != "fast" or "opus" in model:
            terms = {"inference_geo": geo, "speed": speed, "service_tier": "standard"}
            searches = {"server_tool_use": {"web_search_requests": rng.randint(0, 3)}}
            usage = {**_claude(rng), **terms, **searches}
            again = [{"type": "message", **usage}, {"type": "compaction", **_claude(rng)}]
            cases += [_case("messages", model, "anthropic", usage)]
            cases += [_case("messages", model, "anthropic", {**usage, "iterations": again})]
    return cases


def _gemini_models() -> list[str]:
    book = pricemap.load()
    rows = [(name, book.find(name)) for name in book.names if name.startswith("gemini/")]
    found = [name.removeprefix("gemini/") for name, row in rows if row and row.mode == "chat" and row.search]
    assert len(found) > 10
    return found


def _chat_cases(rng: random.Random) -> list[Json]:
    def counts(**details: int) -> Json:
        prompt, output = rng.randint(1, 9000), rng.randint(1, 900)
        told = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
        return {**told, "prompt_tokens_details": details}

    cases: list[Json] = []
    for model in _gemini_models():
        for queries, places in itertools.product((0, 1, 3), (0, 1, 2)):
            searched = {"web_search_requests": queries} if queries else {}
            maps = {"google_maps_grounding_requests": places} if places else {}
            cases += [_case("chat", model, "gemini", counts(**searched, **maps))]
    for model in ("gpt-4o-search-preview", "gpt-4o-mini-search-preview", "gpt-5-search-api", "gpt-4-turbo"):
        for notes in ((), ("url_citation", "url_citation")):
            cases += [_case("chat", model, "openai", counts(), *notes)]
    return cases


@pytest.fixture(scope="module")
def cases() -> list[Json]:
    rng = random.Random(7)
    return _claude_cases(rng) + _chat_cases(rng)


@pytest.fixture(scope="module")
def theirs(cases: list[Json]) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(cases),
        env=os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        capture_output=True,
        text=True,
        check=True,
    )
    bills: list[float] = json.loads(done.stdout.splitlines()[-1])
    return bills


def test_the_same_to_the_nano_dollar(cases: list[Json], theirs: list[float]) -> None:
    book = pricemap.load()
    assert len(cases) > 100
    for case, dollars in zip(cases, theirs, strict=True):
        answer = case["answer"] | {"usage": case["usage"]}
        usage = wire.read_body(case["kind"], 200, (), msgspec.json.encode(answer)).usage
        assert usage is not None
        cost = book.cost(case["model"], usage, case["provider"])
        assert cost is not None and abs(cost - dollars * 1e9) <= 0.5 + abs(dollars) * 1e-3, (
            case,
            cost,
            dollars,
        )
