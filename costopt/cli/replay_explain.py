"""`costopt replay --explain CALL`: every effect of one call under a policy, and what changed about its bill."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from costopt.cli import replay_words as words
from costopt.cli import show
from costopt.cli.money import dollars, usd, with_usd
from costopt.cli.show import Column
from costopt.policy import Policy
from costopt.replaying.change import Change
from costopt.replaying.trace import SECOND, Step, Trace
from costopt.types import Nano
from costopt.world.ledger import Fact
from costopt.world.ledger.words import Selection

if TYPE_CHECKING:
    from costopt.cli.replay_source import Opened
    from costopt.replaying.run import Progress


class Traced(Struct, frozen=True):
    """What one call went through under one policy."""

    policy: str
    steps: tuple[Step, ...]
    change: Change


def traced(
    source: Opened, policy: Policy, wanted: Selection, fact: Fact, progress: Progress | None
) -> Traced:
    """All selected calls run: caches, limits and budgets of this one depend on them."""
    trace = Trace(fact.id)
    changes: list[Change] = []

    def hear(change: Change) -> None:
        if change.call == fact.id:
            changes.append(change)

    source.replay([policy], wanted, progress=progress, watch=trace, hear=hear)
    return Traced(policy.name, tuple(trace.steps), changes[0])


def show_traces(fact: Fact, traced: Sequence[Traced]) -> None:
    show.heading(f"call {show.clean(fact.id)}")
    then = None if fact.unpriced else fact.cost or 0
    model = fact.served if fact.served == fact.asked else f"{fact.asked} asked, {fact.served} answered"
    show.line(show.clean(f"recorded: {words.ENDS.get(fact.outcome, fact.outcome)}, {model}, {_money(then)}"))
    for one in traced:
        show.line()
        show.heading(f"under {show.clean(one.policy)}")
        columns = [Column("after"), _left("effect"), _left("asked"), _left("answer")]
        show.table(columns, [_row(step) for step in one.steps])
        _change(one.change)


def _row(step: Step) -> list[str]:
    waited = f", after {step.waited_ns / SECOND:.3f} s" if step.waited_ns else ""
    told = [step.effect, step.what, step.answer + waited]
    return [f"{step.at_ns / SECOND:.3f} s", *map(show.clean, told)]


def _change(change: Change) -> None:
    show.line()
    show.line(f"recorded {_money(change.before)}, now {_money(change.after)}")
    if change.shares:
        show.line("what the difference consists of, + saved, - lost:")
        columns = [_left("lever"), _left("basis"), Column("saved"), Column("between")]
        rows = [
            [s.lever, s.basis, _money(s.nano, signed=True), _between(s.low, s.high)] for s in change.shares
        ]
        if len(rows) > 1:
            rows.append(["recorded less now", "", _money(change.saved, signed=True), ""])
        show.table(columns, rows, footer=len(rows) > 1)
    detail = f" ({change.detail})" if change.detail else ""
    same = "the caller gets the recorded answer"
    show.line(show.clean(f"another answer: {change.answer}{detail}" if change.answer else same))


def _between(low: Nano, high: Nano) -> str:
    return "" if low == high else f"{_money(low, signed=True)} and {_money(high, signed=True)}"


def document(fact: Fact, traced: Sequence[Traced]) -> dict[str, Any]:
    """`steps` in order: `at_ns` after the call came in; `shares` add up to `before - after`."""
    return {"unit": "nano-USD", "call": fact.id, "traces": [_told(one) for one in traced]}


def _told(one: Traced) -> dict[str, Any]:
    change = one.change
    priced = change.before is not None and change.after is not None
    return {
        "policy": one.policy,
        "steps": msgspec.to_builtins(one.steps),
        "before": change.before,
        "before_usd": usd(change.before),
        "after": change.after,
        "after_usd": usd(change.after),
        "saved": change.saved if priced else None,
        "saved_usd": usd(change.saved if priced else None),
        "shares": with_usd(msgspec.to_builtins(change.shares)),
        "answer": change.answer,
        "detail": change.detail,
    }


def _money(nano: Nano | None, *, signed: bool = False) -> str:
    """To the nano-dollar: one call is cheap."""
    return words.UNKNOWN if nano is None else dollars(nano, 9, signed=signed)


def _left(title: str) -> Column:
    return Column(title, right=False)
