"""Tries that nobody heard of again: who may be billed for them, and what a budget takes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from flow_material import DAILY, SMALL_COST, always, bill, failing
from scripted import MODEL, World, request, serve

from costopt import effects as ask
from costopt import wire
from costopt.errors import Interrupted, Unanswered, UpstreamError
from costopt.policy import Policy, Retry
from costopt.types import Reply, Request
from costopt.world.ledger.words import unpriced


def silence() -> UpstreamError:
    return UpstreamError(None, TimeoutError())


def test_what_was_sent_and_never_answered_is_unpriced_and_budgets_take_the_worst_case() -> None:
    world = World(always(silence))
    with pytest.raises(UpstreamError):
        serve(request(max_tokens=100), Policy(budgets=DAILY, retry=Retry(attempts=3)), world)
    (record,) = world.records
    assert bill(record).cost is None
    assert unpriced(record.outcome, record.receipt)
    worst = [reserved.nano for reserved in world.did(ask.Reserve)]
    assert len(worst) == 3
    assert world.spent == sum(worst) > 0


def test_what_never_left_costs_nothing() -> None:
    world = World(always(lambda: UpstreamError(None, ConnectionRefusedError(), sent=False)))
    with pytest.raises(UpstreamError):
        serve(request(), Policy(budgets=DAILY), world)
    (record,) = world.records
    assert not unpriced(record.outcome, record.receipt)
    assert world.spent == 0


def chunks(*more: dict[str, Any]) -> bytes:
    """The start of a streamed chat, and `more`."""
    said: dict[str, Any] = {"model": MODEL, "choices": [{"index": 0, "delta": {"content": "Par"}}]}
    return b"".join(b"data: " + msgspec.json.encode(each) + b"\n\n" for each in (said, *more))


STOP: dict[str, Any] = {"model": MODEL, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
USED: dict[str, Any] = {
    "model": MODEL,
    "choices": [],
    "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
}
FAILED: dict[str, Any] = {"error": {"message": "overloaded", "type": "server_error"}}


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize(
    ("came", "truth"),
    [(chunks(), False), (chunks(STOP), False), (chunks(STOP, USED), True)],
    ids=["text", "its end", "its usage"],
)
def test_a_stream_that_broke_off_takes_the_worst_case_unless_its_usage_is_told(
    came: bytes, truth: bool, left: bool
) -> None:
    """A read timeout, a lost connection, a caller who left: the provider may have gone on all the same."""
    partial, _ = wire.read_events("chat", 200, (), came)
    kinds = (lambda: UpstreamError(None, TimeoutError(), partial=partial), lambda: Interrupted(partial))
    world = World(always(kinds[left]))
    with pytest.raises(Unanswered):
        serve(request(stream=True, max_tokens=100), Policy(budgets=DAILY), world)
    (reserved,) = world.did(ask.Reserve)
    cost = bill(world.records[0]).cost
    assert world.spent == (SMALL_COST if truth else reserved.nano)
    assert cost is not None and cost <= world.spent


def test_a_stream_that_the_provider_ended_with_an_error_takes_what_came() -> None:
    partial, _ = wire.read_events("chat", 200, (), chunks(FAILED))
    world = World(always(lambda: UpstreamError(None, None, partial=partial)))
    with pytest.raises(UpstreamError):
        serve(request(stream=True, max_tokens=100), Policy(budgets=DAILY), world)
    assert world.spent == bill(world.records[0]).cost
    assert 0 < world.spent < world.did(ask.Reserve)[0].nano


def test_a_try_that_was_never_answered_stays_with_the_call() -> None:
    world = World(failing(silence()))
    reply = serve(request(), Policy(retry=Retry(attempts=3)), world)
    assert (bill(reply).cost, len(bill(reply).attempts)) == (None, 1)
    assert unpriced(world.records[0].outcome, world.records[0].receipt)


def test_a_budget_that_refuses_a_second_try_leaves_the_first_ones_failure() -> None:
    def silent_and_dear(_: Request) -> Reply:
        world.room = 0
        raise silence()

    world = World(silent_and_dear)
    with pytest.raises(UpstreamError):
        serve(request(), Policy(retry=Retry(attempts=3), budgets=DAILY), world)
    (record,) = world.records
    assert record.outcome == "error"
    assert (bill(record).cost, len(bill(record).attempts)) == (None, 1)


@pytest.mark.parametrize("sent", [True, False])
def test_who_leaves_before_an_answer_begins_may_be_billed_if_it_was_sent(sent: bool) -> None:
    world = World(always(lambda: Interrupted(None, sent=sent)))
    with pytest.raises(Interrupted):
        serve(request(), Policy(), world)
    (record,) = world.records
    assert unpriced(record.outcome, record.receipt) is sent
