"""`costopt demo`: both runs side by side, what is simulated in them, and what to do next."""

import json
from pathlib import Path

import pytest
import sample_ledger
from msgspec.structs import replace

from costopt.cli import demo, main, show
from costopt.demo.outcome import DemoResult, Side
from costopt.money import with_usd


def result(ledger: Path, *, wrapped_cost: int | None = 600_000_000, real_model: bool = False) -> DemoResult:
    return DemoResult(
        plain=Side(10, 10, 1000, 200, 100, 1_000_000_001, 1.0),
        wrapped=Side(10, 6, 600, 200, 60, wrapped_cost, 1.0),
        saved_by_lever={"cache": 500_000_000, "trim": -100_000_000},
        ledger=sample_ledger.write(ledger),
        policy="desk",
        models=("gpt-4o", "gpt-4o-mini"),
        repeated=None if real_model else 0.4,
        billed=None if real_model else 600_000_000,
        real_model=real_model,
    )


def shown(capsys: pytest.CaptureFixture[str], of: DemoResult) -> str:
    demo.print_result(of)
    return capsys.readouterr().out


def test_both_runs_side_by_side_and_what_each_lever_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [line.split() for line in shown(capsys, result(tmp_path)).splitlines()]
    assert ["calls", "to", "the", "provider", "10", "6", "-40.0%"] in rows
    assert ["cost", "$1.000000001", "$0.600000000", "-40.0%"] in rows
    assert ["cache", "+$0.500000000"] in rows
    assert ["trim", "-$0.100000000"] in rows
    assert ["total", "+$0.400000001", "plain", "minus", "wrapped"] in rows


def test_it_says_what_is_simulated_and_what_to_do_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shown(capsys, result(tmp_path))
    assert "Simulated: the provider, its answers, and its prompt cache." in out
    assert "revision rev1" in out
    assert f"costopt report --ledger {tmp_path}" in out
    assert "The provider's own bill for the wrapped run is $0.600000000: the same." in out


def test_a_bill_that_differs_is_not_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "NOT the same" in shown(capsys, result(tmp_path, wrapped_cost=599_999_999))


def test_an_unknown_price_makes_no_saving(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, result(tmp_path, wrapped_cost=None))
    assert [line.split() for line in out.splitlines() if line.startswith(("cost", "total"))] == [
        ["cost", "$1.000000001", "unknown", "-"],
        ["total", "unknown", "plain", "minus", "wrapped"],
    ]


def test_a_real_model_is_told_from_a_simulated_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shown(capsys, result(tmp_path, real_model=True))
    assert "Simulated" not in out
    assert "as if it were gpt-4o-mini" in out


def test_refused_calls_are_told_and_are_no_saving(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = result(tmp_path)
    held = replace(plain, wrapped=replace(plain.wrapped, refused=3), refusal="BudgetExceeded: no room")
    out = shown(capsys, held)
    assert ["of", "them", "refused", "0", "3", "-"] in [line.split() for line in out.splitlines()]
    assert "3 calls were refused, the first one so: BudgetExceeded: no room." in out
    assert "not all of plain minus wrapped is a saving" in out
    assert "work left undone for refused calls" in out
    assert "40% of these calls repeat an earlier one, 10% cost nothing." in out
    assert "of them refused" not in shown(capsys, plain)


def test_waits_that_nobody_sat_out_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, replace(result(tmp_path), waited=594_000_000_000))
    assert "Limits held calls back for 0:09:54 in all (h:mm:ss); the demo's clock went on without." in out


def test_json_is_exact(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show.as_json(with_usd(demo.document(result(tmp_path))))
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == 1
    assert told["plain"]["cost_usd"] == "1.000000001"
    assert (told["billed_usd"], told["interplay_usd"]) == ("0.600000000", "0.000000001")
    assert told["saved"] == 400_000_001
    assert told["saved_by_lever"][1] == {"lever": "trim", "nano": -100_000_000, "nano_usd": "-0.100000000"}
    assert told["price_revision"] == "rev1"


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "something").write_text("")
    assert main(["demo", "--ledger", str(tmp_path)]) == 2
    assert "needs a new or empty folder" in capsys.readouterr().err


def test_a_wrong_policy_is_refused_before_anything_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--policy", "nonsense"]) == 2
    assert capsys.readouterr().err.startswith("nonsense: is not a preset")
