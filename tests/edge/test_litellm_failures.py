"""What goes wrong in a call through a wrapped litellm reaches the caller as litellm has it."""

from __future__ import annotations

from pathlib import Path

import pytest
from edge.litellm_material import CACHING, Desk, desk, litellm
from msgspec.structs import replace

from costopt.errors import BudgetExceeded
from costopt.policy import Budget, Policy, Retry


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
