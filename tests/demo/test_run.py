"""The demo's two runs, and whether the figures it shows agree with the provider that made them."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest

from costopt.demo.outcome import DemoResult
from costopt.demo.run import compare
from costopt.errors import LedgerError, PolicyError
from costopt.policy import Policy
from costopt.world.clock import SECOND
from costopt.world.ledger import Reader

HOUR = 3600 * SECOND


@pytest.fixture(scope="module")
def heard() -> Counter[str]:
    return Counter()


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, heard: Counter[str]) -> DemoResult:
    def on_progress(run: str, done: int, total: int) -> None:
        heard.update([run])
        assert heard[run] == done <= total

    return compare(ledger=tmp_path_factory.mktemp("demo"), latency=0, on_progress=on_progress)


def test_both_runs_make_the_same_calls(result: DemoResult, heard: Counter[str]) -> None:
    assert result.plain.calls == result.wrapped.calls == heard["plain"] == heard["wrapped"]
    assert result.plain.provider_calls == result.plain.calls > result.wrapped.provider_calls


def test_the_ledger_agrees_with_the_providers_own_bill_to_the_nano_dollar(result: DemoResult) -> None:
    assert result.billed == result.wrapped.cost
    with Reader(result.ledger) as reader:
        assert sum(fact.cost or 0 for fact in reader.facts()) == result.billed


def test_something_is_saved_and_every_part_of_it_is_named(result: DemoResult) -> None:
    assert result.saved is not None and result.plain.cost is not None and result.interplay is not None
    assert result.saved > result.plain.cost // 10
    assert sum(result.saved_by_lever.values()) + result.interplay == result.saved
    assert {"cache", "trim"} <= set(result.saved_by_lever)


def test_the_total_is_the_same_each_time(result: DemoResult, tmp_path: Path) -> None:
    again = compare(ledger=tmp_path, latency=0)
    assert again.plain.cost == result.plain.cost and again.wrapped.cost == result.wrapped.cost
    assert again.saved_by_lever == result.saved_by_lever


def test_observing_costs_what_plain_costs(tmp_path: Path) -> None:
    watched = compare("observe", ledger=tmp_path, latency=0)
    assert watched.saved == 0 and watched.saved_by_lever == {}
    assert watched.plain.prompt_tokens == watched.wrapped.prompt_tokens


def test_a_folder_that_can_hold_no_ledger_is_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot hold a ledger"):
        compare(ledger=tmp_path / "file" / "below", latency=0, on_progress=lambda *_: pytest.fail("it ran"))


def test_a_policy_without_a_ledger_is_recorded_all_the_same(tmp_path: Path) -> None:
    watched = compare(Policy(cache=None, ledger=None), ledger=tmp_path, latency=0)
    assert watched.wrapped.calls == watched.plain.calls


def test_a_demo_that_is_broken_off_leaves_no_folder_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def enough(run: str, done: int, total: int) -> None:
        if run == "wrapped":
            raise KeyboardInterrupt

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        compare(latency=0, on_progress=enough)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_policy_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(PolicyError):
        compare({"version": 1, "cahce": {}}, ledger=tmp_path)


def test_calls_that_a_budget_refuses_are_part_of_the_result(tmp_path: Path) -> None:
    day = {"version": 1, "budgets": [{"limit": "$0.01/day"}]}
    tight = compare(day, ledger=tmp_path, latency=0)
    assert 0 < tight.wrapped.refused < tight.wrapped.calls < tight.plain.calls
    assert tight.wrapped.calls == tight.wrapped.refused + tight.wrapped.provider_calls
    assert tight.refusal.startswith("BudgetExceeded: ")
    assert tight.wrapped.cost == tight.billed and 0 < (tight.billed or 0) <= 10_000_000
    assert tight.plain.refused == 0


def test_what_a_limit_makes_calls_wait_is_counted_and_not_sat_out(tmp_path: Path) -> None:
    started = time.monotonic()
    slow = compare({"version": 1, "limits": [{"group": "openai", "requests": "20/hour"}]}, ledger=tmp_path)
    assert time.monotonic() - started < 120
    assert slow.wrapped.calls == slow.plain.calls
    with Reader(slow.ledger) as reader:
        facts = list(reader.facts())
    assert slow.waited == sum(fact.waited for fact in facts) > 8 * HOUR
    assert all(
        later.started - first.started >= HOUR - SECOND
        for first, later in zip(facts, facts[21:], strict=False)
    )
