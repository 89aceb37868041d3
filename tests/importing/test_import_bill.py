"""What the log says was paid, what we say it costs, and what nobody can tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from import_material import START_NS, answer, body, facts, imported, line, whys

import costopt
from costopt.policy import Price

DISCOUNT = [line(id=f"call {n}", cost="0.0001") for n in range(10)]


def test_the_log_and_our_prices_are_compared(tmp_path: Path) -> None:
    hit = line(id="hit", cache_hit=True, cost=0.5)
    done = imported(tmp_path, [*DISCOUNT, line(id="says nothing"), hit])
    assert (done.bill.calls, done.bill.logged, done.bill.listed) == (10, 1_000_000, 3_500_000)
    assert done.cost == 11 * 350_000
    assert done.to_dict()["bill"] == {
        "calls": 10,
        "log": {"cost": 1_000_000, "cost_usd": "0.001000000"},
        "list": {"cost": 3_500_000, "cost_usd": "0.003500000"},
    }
    assert imported(tmp_path, DISCOUNT).bill.calls == 0


def test_where_no_price_is_known_there_is_nothing_to_compare(tmp_path: Path) -> None:
    own = line(request={**body(), "model": "house-model"}, response=answer(model="house-model"), cost=1)
    done = imported(tmp_path, [own])
    assert (done.bill.calls, done.cost, done.unpriced) == (0, 10**9, 0)


def test_the_logs_costs_are_the_bill_where_they_are_wanted(tmp_path: Path) -> None:
    done = imported(tmp_path, [*DISCOUNT, line(id="says nothing")], cost="log")
    assert (done.cost, done.bill.logged, done.bill.listed) == (1_350_000, 1_000_000, 3_500_000)
    assert sorted((fact.cost, fact.revision) for fact in facts(tmp_path))[:10] == [(100_000, "log")] * 10


@pytest.mark.parametrize(("wanted", "bill"), [("log", 1_000_000), ("list", 3_500_000)])
def test_a_replay_keeps_the_bill(wanted: Any, bill: int, tmp_path: Path) -> None:
    lines = [line(**{**told, "request": body(f"question {n}")}) for n, told in enumerate(DISCOUNT)]
    imported(tmp_path, lines, cost=wanted)
    outcome = costopt.replay(tmp_path / "ledger", policy="observe").outcome
    assert (outcome.before, outcome.after) == (bill, bill)


def test_prices_of_the_users_own(tmp_path: Path) -> None:
    prices = {"openai/gpt-4o": Price(input=700_000_000, output=3_000_000_000)}
    done = imported(tmp_path, DISCOUNT, prices=prices)
    assert done.bill.listed == done.cost == 10 * (100 * 700 + 10 * 3_000)


def test_calls_without_an_answer_are_told(tmp_path: Path) -> None:
    nothing: list[Any] = [None, {}, []]
    embedded = line(request={"model": "text-embedding-3-small", "input": "hi"}, response=None)
    done = imported(
        tmp_path,
        [
            *(line(id=f"n{n}", response=said) for n, said in enumerate(nothing)),
            line(id="failed", response=None, status=429),
            line(id="counted", response=None, usage={"prompt_tokens": 100, "completion_tokens": 10}),
            line(id="whole"),
            embedded,
        ],
    )
    assert (done.new, done.unanswered, done.counted) == (7, 3, 4)


def test_counts_beside_a_missing_answer_count(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 10}
    claude = {"model": "claude-sonnet-4-5", "system": "s", "messages": [{"role": "user", "content": "hi"}]}
    told = {"input_tokens": 10, "cache_read_input_tokens": 1000, "output_tokens": 1}
    imported(
        tmp_path,
        [
            line(response=None, usage=usage),
            line(request=claude, response=None, usage=told, timestamp=START_NS + 10**9),
        ],
    )
    first, second = facts(tmp_path)
    assert (first.cost, first.usage and first.usage.estimated) == (350_000, False)
    assert second.usage is not None
    assert (second.usage.input, second.usage.cache_read, second.usage.output) == (10, 1000, 1)


@pytest.mark.parametrize("many", [100_000_001, 10**12, 1e30, 10**30, "9" * 30])
def test_absurd_counts_are_not_believed(many: Any, tmp_path: Path) -> None:
    asked, said = (
        {"prompt_tokens": many, "completion_tokens": 1},
        {"prompt_tokens": 1, "completion_tokens": many},
    )
    done = imported(
        tmp_path, [line(id=str(n), response=answer(usage=usage)) for n, usage in enumerate((asked, said))]
    )
    assert (done.new, done.counted) == (2, 2)
    assert done.cost < 10**6
    assert all(any("not believed" in note.what for note in fact.decisions) for fact in facts(tmp_path))


def test_absurd_counts_without_a_prompt_are_unusable(tmp_path: Path) -> None:
    payload = {
        "id": "a",
        "call_type": "completion",
        "startTime": START_NS,
        "model": "gpt-4o",
        "prompt_tokens": 10**9,
        "completion_tokens": 1,
    }
    done = imported(tmp_path, [payload], "litellm")
    assert whys(done) == [(1, "more than 100,000,000 tokens, which is no count, and no prompt to count")]
