"""What one call has cost, with the answers that could not be used."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from costopt.decide import receipts
from costopt.types import Nano, Receipt, Reply, Saving, Usage


def paid(cost: Nano | None, model: str = "small") -> Receipt:
    return Receipt(model, Usage(input=1), cost, "r1")


@pytest.mark.parametrize(("costs", "whole"), [((7, 5), 12), ((7, None), None), ((None, 5), None)])
def test_what_could_not_be_used_is_part_of_the_cost(
    costs: tuple[Nano | None, ...], whole: Nano | None
) -> None:
    used, other = map(paid, costs)
    borne = receipts.bearing(used, (other,))
    assert (borne.cost, borne.attempts, receipts.own(borne)) == (whole, (other,), costs[0])
    assert receipts.after(Reply(receipt=used), [other]).receipt == borne


def test_a_call_that_came_to_nothing_costs_its_attempts() -> None:
    lost = receipts.wasted((paid(7), paid(5, "large")))
    assert (lost.model, lost.cost, lost.usage) == ("large", 12, Usage())
    assert receipts.after(None, [paid(7), paid(5, "large")]).receipt == lost


def test_a_lever_loses_what_its_own_calls_cost() -> None:
    bill = receipts.after(Reply(receipt=paid(7)), [paid(5), paid(1)], "gather").receipt
    assert bill is not None
    assert [(each.lever, each.nano) for each in bill.savings] == [("gather", -6)]
    assert bill.cost == 13
    unknown = receipts.after(Reply(receipt=paid(7)), [paid(None)], "gather").receipt
    assert unknown is not None
    assert (unknown.cost, unknown.savings) == (None, ())


def test_nothing_more_is_borne_where_nothing_was_paid() -> None:
    assert receipts.bearing(paid(7), ()) == paid(7)


@pytest.mark.parametrize("wasted", [2, None])
def test_a_stored_answer_keeps_its_own_price(wasted: Nano | None) -> None:
    stored = receipts.kept(receipts.bearing(paid(7), (paid(wasted), paid(3))))
    assert stored == paid(7)


def test_a_stored_answer_keeps_what_other_levers_made_of_it_without_what_went_wrong() -> None:
    """Cost and savings add up to what the call would have cost without any of them, before as after."""
    trimmed, chosen = Saving("trim", 3, "assumed", "-"), Saving("route", 4, "estimated", "large")
    plain = replace(paid(7), savings=(trimmed, chosen))
    assert receipts.kept(plain) == plain
    overhead = replace(receipts.bearing(plain, (paid(2),)), savings=(trimmed, replace(chosen, nano=2)))
    assert receipts.kept(overhead) == plain
