"""What goes wrong in a call through a wrapped litellm reaches the caller as litellm has it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from edge.litellm_material import CACHING, Desk, desk, litellm
from msgspec.structs import replace

from costopt.demo.simulator import Fault
from costopt.errors import BudgetExceeded
from costopt.policy import Budget, Policy, Retry

#: Enough for one call's worst case, not for two.
LIMITED = Policy(name="test", budgets=(Budget(limit=15_000_000, window="day"),))


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_litellms_errors_are_raised_as_themselves(shop: Desk, status: int) -> None:
    shop.provider.fail(status, times=2)
    with pytest.raises(Exception) as plain:
        litellm.completion(**shop.ask())
    with pytest.raises(type(plain.value)) as wrapped:
        shop.completion(**shop.ask())
    assert type(wrapped.value) is type(plain.value)
    assert wrapped.value.status_code == status  # type: ignore[attr-defined]
    [fact] = shop.facts()
    assert (fact.outcome, fact.status, fact.error) == ("error", status, f"HTTP {status}")
    shop.completion(**shop.ask())
    assert shop.calls == 3


def test_a_failed_call_is_tried_again_where_the_policy_says_so(tmp_path: Path) -> None:
    policy = replace(CACHING, retry=Retry(attempts=2, base=0.001))
    with desk(tmp_path, policy) as shop:
        shop.provider.fail(500)
        shop.completion(**shop.ask())
        assert shop.calls == 2
        shop.provider.fail(400)
        with pytest.raises(litellm.exceptions.BadRequestError):
            shop.completion(**shop.ask("Other"))
        assert shop.calls == 3


def test_wrong_arguments_are_litellms_to_refuse(shop: Desk) -> None:
    for wrapped, own in ((shop.completion, litellm.completion), (shop.embedding, litellm.embedding)):
        with pytest.raises(Exception) as plain:
            own()
        with pytest.raises(type(plain.value)):
            wrapped()
    with pytest.raises(litellm.exceptions.BadRequestError, match="Provider NOT provided"):
        shop.completion(model="nobody-knows-me", messages=[])


def test_a_budget_refuses_before_money_is_spent(tmp_path: Path) -> None:
    policy = Policy(name="test", budgets=(Budget(limit=1000, window="day"),))
    with desk(tmp_path, policy) as shop:
        with pytest.raises(BudgetExceeded):
            shop.completion(**shop.ask())
        assert shop.calls == 0
        assert [fact.outcome for fact in shop.facts()] == ["refused"]


def unanswered(shop: Desk, ways: str, **more: Any) -> None:
    """Call while the provider says nothing, in one of the two `ways` that litellm has."""
    if ways == "sync":
        shop.completion(**shop.ask(**more))
    else:
        asyncio.run(shop.acompletion(**shop.ask(**more)))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("ways", ["sync", "async"])
def test_a_call_never_answered_is_unpriced_and_a_budget_takes_its_worst_case(
    tmp_path: Path, ways: str, stream: bool
) -> None:
    with desk(tmp_path, LIMITED) as shop:
        shop.provider.hang()
        with pytest.raises(litellm.exceptions.Timeout):
            unanswered(shop, ways, timeout=0.3, stream=stream)
        [fact] = shop.facts()
        assert (fact.outcome, fact.status, fact.error) == ("error", None, "Timeout")
        assert fact.unpriced and fact.cost is None
        with pytest.raises(BudgetExceeded):
            unanswered(shop, ways)


@pytest.mark.parametrize("ways", ["sync", "async"])
def test_a_call_that_reached_nobody_costs_nothing(tmp_path: Path, ways: str) -> None:
    with desk(tmp_path, LIMITED) as shop:
        with pytest.raises(litellm.exceptions.InternalServerError):
            unanswered(shop, ways, api_base="http://127.0.0.1:1")
        [fact] = shop.facts()
        assert not fact.unpriced
        unanswered(shop, ways)


def test_a_timeout_that_the_provider_told_of_costs_nothing(tmp_path: Path) -> None:
    with desk(tmp_path, LIMITED) as shop:
        shop.provider.add(Fault(status=408, body=b'{"error": {"message": "too slow", "type": "timeout"}}'))
        with pytest.raises(litellm.exceptions.Timeout):
            shop.completion(**shop.ask())
        [fact] = shop.facts()
        assert fact.status == 408 and not fact.unpriced
        shop.completion(**shop.ask())
