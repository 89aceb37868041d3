"""`costopt replay --explain CALL`: every effect of one call under a policy, and what changed about its bill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from costopt.cli import replay_words as words
from costopt.cli import show
from costopt.cli.show import Column, left
from costopt.money import dollars, with_usd
from costopt.policy import Policy
from costopt.replaying.change import Change
from costopt.replaying.result import amounts
from costopt.replaying.trace import Step, Trace
from costopt.types import Nano
from costopt.world.clock import SECOND
from costopt.world.ledger import Fact
from costopt.world.ledger.words import Selection

if TYPE_CHECKING:
    from costopt.cli.replay_source import Opened
    from costopt.replaying.run import Progress


#: Decimals of dollars, to the nano-dollar: one call is cheap.
DIGITS = 9


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
    show.line(
        show.clean(
            f"recorded: {words.ENDS.get(fact.outcome, fact.outcome)}, {model}, {dollars(then, DIGITS)}"
        )
    )
    for one in traced:
        show.line()
        show.heading(f"under {show.clean(one.policy)}")
        for line in _lines(one.steps):
            show.line(line)
        _change(one.change)


def _lines(steps: Sequence[Step]) -> Iterator[str]:
    """`   0.027 s  Call    gpt-4o at openai -> 200, ...`, the time since the call came in."""
    wide = max((len(step.effect) for step in steps), default=0)
    for step in steps:
        head = f"{step.at_ns / SECOND:9,.3f} s  {step.effect.ljust(wide)}  "
        yield from show.wrapped(head + _words(step), " " * len(head))


def _words(step: Step) -> str:
    told = " -> ".join(part for part in (step.what, step.answer) if part)
    return told + (f", after {step.waited_ns / SECOND:,.3f} s" if step.waited_ns else "")


def _change(change: Change) -> None:
    show.line()
    show.line(f"recorded {dollars(change.before, DIGITS)}, now {dollars(change.after, DIGITS)}")
    if change.shares:
        show.line("what the difference consists of, + saved, - lost:")
        columns = [left("lever"), left("basis"), Column("saved"), Column("between", words=True)]
        rows = [
            [s.lever, s.basis, dollars(s.nano, DIGITS, signed=True), _between(s.low, s.high)]
            for s in change.shares
        ]
        if len(rows) > 1:
            rows.append(["recorded less now", "", dollars(change.saved, DIGITS, signed=True), ""])
        show.table(columns, rows, footer=len(rows) > 1)
    detail = f" ({change.detail})" if change.detail else ""
    same = "the caller gets the recorded answer"
    told = f"another answer: {change.answer}{detail}" if change.answer else same
    for line in show.wrapped(told):
        show.line(line)


def _between(low: Nano, high: Nano) -> str:
    ends = [dollars(end, DIGITS, signed=True) for end in (low, high)]
    return "" if low == high else " and ".join(ends)


def document(fact: Fact, traced: Sequence[Traced]) -> dict[str, Any]:
    """`steps` in order: `at_ns` after the call came in; `shares` add up to `before - after`."""
    return with_usd({"unit": "nano-USD", "call": fact.id, "traces": [_told(one) for one in traced]})


def _told(one: Traced) -> dict[str, Any]:
    change = one.change
    return {
        "policy": one.policy,
        "steps": msgspec.to_builtins(one.steps),
        **amounts(change.before, change.after),
        "shares": msgspec.to_builtins(change.shares),
        "answer": change.answer,
        "detail": change.detail,
    }
