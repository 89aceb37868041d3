"""A change of what any lever is worth shows as a diff of these files, which a reviewer reads."""

from __future__ import annotations

import difflib
from pathlib import Path

import golden_workload
import pytest
from golden_replay import COMMAND, HERE, WORKLOAD, figures, golden, policies, recorded, written

from costopt.replaying import replay
from costopt.replaying.change import Change

POLICIES = policies()
LEVERS = ("cache", "share", "trim", "route", "budget")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("ledger"))


@pytest.mark.parametrize("name", POLICIES)
def test_the_figures_are_the_committed_ones(name: str, ledger: Path) -> None:
    committed = golden(name).read_text("utf-8") if golden(name).exists() else ""
    told = figures(ledger, POLICIES[name])
    if told != committed:
        files = (f"{golden(name).name} (committed)", f"{golden(name).name} (now)")
        diff = difflib.unified_diff(committed.splitlines(), told.splitlines(), *files, lineterm="")
        pytest.fail("\n".join([*diff, "", f"If this is meant, write them anew: {COMMAND}"]), pytrace=False)


def test_every_file_belongs_to_a_policy() -> None:
    assert {path.stem for path in HERE.glob("*.txt")} == set(POLICIES)


def test_the_workload_is_the_one_that_is_made_here() -> None:
    made = written(golden_workload.lines())
    assert WORKLOAD.read_text("utf-8") == made, f"write it anew: {COMMAND} workload"
    assert len(made) < 500_000


def test_every_lever_acts_somewhere() -> None:
    told = golden("everything").read_text("utf-8")
    assert [lever for lever in LEVERS if f"\n  {lever}, " not in told] == []
    assert "waited 0.000 s" not in told


def test_under_observe_only_another_tools_hit_is_paid_anew(ledger: Path) -> None:
    """A call that a provider turned away leaves no prompt in its cache, then or now."""
    changed: list[str] = []

    def hear(one: Change) -> None:
        changed.extend([one.answer] if one.saved or one.answer else [])

    outcome = replay(ledger, POLICIES["observe"], hear=hear).outcome
    assert changed == ["asked anew"]
    assert [(one.lever, one.nano) for one in outcome.levers] == [("cache", outcome.saved)]


def test_no_lever_claims_a_call_it_left_alone(ledger: Path) -> None:
    """A gateway had given these calls to the model that the policy's route gives them to."""
    outcome = replay(ledger, POLICIES["desk"], tags={"agent": "mail"}).outcome
    assert (outcome.saved, outcome.levers) == (0, ())
