"""A replay's bill beside the bill of really running that policy, on the loopback simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from openai import OpenAI

from costopt import Optimizer
from costopt.demo.outcome import bill
from costopt.demo.simulator import Simulator
from costopt.replaying import replay
from costopt.world import pricemap
from costopt.world.ledger import Reader

CACHE: dict[str, Any] = {"version": 1, "cache": {"memory": "8MB"}}
ROUTE: dict[str, Any] = {
    "version": 1,
    "models": [{"name": "openai/gpt-4o-mini"}, {"name": "openai/gpt-4o"}],
    "route": {"downgrade": ["openai/gpt-4o"]},
}
QUESTIONS = ("Where is my parcel?", "Who pays the way back?", "Where is my parcel?", "Where is my parcel?")


def really(policy: dict[str, Any] | str, folder: Path) -> int:
    """What the provider bills, in nano-dollars; the calls are recorded in `folder`."""
    with Simulator() as provider:
        with Optimizer(policy, ledger=folder) as optimizer:
            client = optimizer.wrap(OpenAI(base_url=provider.base_url, api_key="none", max_retries=0))
            for question in QUESTIONS:
                messages: Any = [{"role": "user", "content": question}]
                client.chat.completions.create(model="gpt-4o", messages=messages, max_tokens=300)
        billed = bill(pricemap.load(), [(each.model, each.usage) for each in provider.billed])
    assert billed
    return billed


def test_a_replay_comes_to_the_real_bill_there_and_back(tmp_path: Path) -> None:
    observed = really("observe", tmp_path / "observe")
    for name, policy in (("cache", CACHE), ("route", ROUTE), ("both", CACHE | ROUTE)):
        real = really(policy, tmp_path / name)
        assert real < observed
        assert replay(tmp_path / "observe", policy).outcome.after == real
        again = replay(tmp_path / name, policy).outcome
        assert (again.before, again.after, again.levers, again.answers) == (real, real, (), ())
        # a hit on an answer of the cheaper model included: it is known that another one had been asked for
        assert replay(tmp_path / name, "observe").outcome.after == observed


def test_a_hit_tells_that_its_answer_is_of_another_model(tmp_path: Path) -> None:
    really(CACHE | ROUTE, tmp_path)
    with Reader(tmp_path) as reader:
        facts = list(reader.facts())
    assert [fact.outcome for fact in facts] == ["ok", "ok", "hit", "hit"]
    for hit in facts[2:]:
        assert [(saving.lever, saving.nano > 0) for saving in hit.savings] == [
            ("cache", True),
            ("route", True),
        ]
