"""What a reader must know about a policy and these calls."""

from __future__ import annotations

import pytest

from costopt.policy import Budget, Model, Policy, Route
from costopt.replaying.notes import remarks

LADDER = (Model("openai/gpt-5-nano"), Model("openai/gpt-5.4"))
ROUTED = Policy(models=LADDER, route=Route(alias="auto", downgrade=("gpt-4o",)))


def test_models_that_never_answered_are_named() -> None:
    (note,) = remarks(ROUTED, ["gpt-4o", "gpt-5.4-2026-03-05"], {"auto"})
    assert "names openai/gpt-5-nano: it answered none of these calls" in note


@pytest.mark.parametrize("asked", ["auto", "gpt-4o"])
def test_nothing_is_said_where_all_is_known(asked: str) -> None:
    assert list(remarks(ROUTED, ["gpt-5-nano", "gpt-5.4"], {asked})) == []


def test_a_route_nobody_asks_for_is_told() -> None:
    (note,) = remarks(ROUTED, ["gpt-5-nano", "gpt-5.4"], {"gpt-4.1"})
    assert "none asks for 'auto' or 'gpt-4o'" in note


def test_models_matter_only_where_calls_may_go_to_them() -> None:
    assert list(remarks(Policy(models=LADDER), [], "")) == []
    downgrade = Policy(models=LADDER, budgets=(Budget(1, "day", on_exceed="downgrade"),))
    assert len(list(remarks(downgrade, [], ""))) == 1
