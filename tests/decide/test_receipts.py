"""What one call has cost, with the answers that could not be used."""

from __future__ import annotations

import pytest

from costopt.decide import receipts
from costopt.types import Nano, Receipt, Reply, Saving, Usage


def paid(cost: Nano | None, model: str = "small") -> Receipt:
    return Receipt(model, Usage(input=1), cost, "r1")


@pytest.mark.parametrize(("costs", "whole"), [((7, 5), 12), ((7, None), None), ((None, 5), None)])
def test_what_could_not_be_used_is_part_of_the_cost(
    costs: tuple[Nano | None, ...], whole: Nano | None
) -> None:
    own, other = map(paid, costs)
    borne = receipts.bearing(own, (other,))
    assert (borne.cost, borne.attempts) == (whole, (other,))
    charged = receipts.charged(Reply(receipt=own), Reply(receipt=other))
    assert charged.receipt == borne


def test_a_call_that_came_to_nothing_costs_its_attempts() -> None:
    lost = receipts.wasted((paid(7), paid(5, "large")))
    assert (lost.model, lost.cost, lost.usage) == ("large", 12, Usage())


def test_nothing_is_charged_for_what_was_not_paid() -> None:
    reply = Reply(receipt=paid(7))
    assert receipts.charged(reply, None) is reply
    assert receipts.charged(reply, Reply()) is reply


def test_a_stored_answer_keeps_only_that_another_model_was_chosen() -> None:
    savings = (Saving("trim", 3, "assumed", "-"), Saving("route", 4, "estimated", "large"))
    stored = receipts.kept(Receipt("small", Usage(), 7, "r1", savings, (paid(2),)))
    assert (stored.cost, stored.attempts) == (7, ())
    assert stored.savings == (Saving("route", 0, "estimated", "large"),)
