"""A real model's real bytes: a streamed call, repeated, comes from the cache with the same events and costs 0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest
from ledgers import facts

import costopt
from costopt.demo.localmodel import INSTALL, MODEL, LocalModel, MissingModel
from costopt.policy import Cache, Policy, Price

ASK: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "Say hello."}],
    "max_tokens": 200,
    "temperature": 0,
    "stream": True,
    "stream_options": {"include_usage": True},
}
PRICED = Policy(cache=Cache(), prices={MODEL: Price(input=150_000_000, output=600_000_000)})


def test_a_streamed_call_repeated_is_the_same_and_free(tmp_path: Path) -> None:
    try:
        model = LocalModel()
    except MissingModel:
        pytest.skip(f"needs a small local model: {INSTALL}")
    with model, costopt.Optimizer(PRICED, ledger=tmp_path) as optimizer:
        plain = openai.OpenAI(api_key="none", base_url=model.base_url, timeout=120)
        with optimizer.wrap(plain) as client:
            create = client.chat.completions.create
            first, again = ([chunk.model_dump() for chunk in create(**ASK)] for _ in range(2))
    assert first == again
    assert any(choice["delta"].get("content") for chunk in first for choice in chunk["choices"])
    paid, free = facts(tmp_path)
    assert (paid.outcome, free.outcome) == ("ok", "hit")
    assert paid.cost is not None and paid.cost > 0
    assert free.cost == 0
    assert [saving.nano for saving in free.savings] == [paid.cost]
