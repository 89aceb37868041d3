"""A tally as a result."""

from __future__ import annotations

from collections.abc import Mapping

from costopt.policy import Policy
from costopt.replaying.change import LONGER, SHORTER, Change
from costopt.replaying.interval import interval
from costopt.replaying.result import CallResult, GroupResult, LeverResult, Outcome
from costopt.replaying.tally import Sums, Tally
from costopt.types import Basis, Nano

#: What a figure of a lever rests on.
_SOURCES: dict[Basis, str] = {
    "known": "recorded",
    "derived": "arithmetic on recorded calls",
    "assumed": "as long an answer as recorded",
    "estimated": f"as long an answer as recorded; between {SHORTER:g} and {LONGER:g} times as long",
}
_SOURCES_OF: dict[tuple[str, Basis], str] = {
    **{
        (lever, "assumed"): "the provider's prompt cache by its published rules, simulated"
        for lever in ("prompt cache", "cache", "share", "limit", "budget", "route")
    },
    ("trim", "assumed"): "as long an answer as recorded; the provider's prompt cache, simulated",
    ("cache", "estimated"): "the price of the stored call, whose tokens were counted here",
    ("share", "estimated"): "the price of the call in flight, whose tokens were counted here",
    **{
        (
            lever,
            "estimated",
        ): "token counts made here; for calls nobody answered a mean answer, half to twice as long"
        for lever in ("budget", "limit", "trim", "prices", "prompt cache")
    },
}


def outcome_of(policy: Policy, tally: Tally, waited_ns: int, notes: tuple[str, ...]) -> Outcome:
    levers = [
        LeverResult(lever, basis, sums.nano, sums.low, sums.high, sums.calls, _source(lever, basis))
        for (lever, basis), sums in tally.levers.items()
    ]
    return Outcome(
        policy=policy.name,
        before=tally.total.before,
        after=tally.total.after,
        levers=tuple(sorted(levers, key=lambda one: (-abs(one.nano), one.lever, one.basis))),
        outcomes=dict(sorted(tally.outcomes.items())),
        answers=_groups(tally.answers),
        by={name: _by(name, tally.by[name]) for name in sorted(tally.by)},
        top=tuple(map(call_result, tally.top())),
        interval=interval(tally.sessions),
        unpriced_then=tally.unpriced_then,
        unpriced_now=tally.unpriced_now,
        waited_s=waited_ns / 1e9,
        notes=notes,
        priced=tally.total.priced,
    )


def _source(lever: str, basis: Basis) -> str:
    return _SOURCES_OF.get((lever, basis), _SOURCES[basis])


def _by(name: str, groups: Mapping[str, Sums]) -> tuple[GroupResult, ...]:
    if name != "day":
        return _groups(groups)
    return tuple(_group(day, groups[day]) for day in sorted(groups))


def _groups(groups: Mapping[str, Sums]) -> tuple[GroupResult, ...]:
    """Dearest first."""
    names = sorted(groups, key=lambda name: (-groups[name].before, name))
    return tuple(_group(name, groups[name]) for name in names)


def _group(name: str, sums: Sums) -> GroupResult:
    return GroupResult(name, sums.calls, sums.changed, sums.before, sums.after, sums.priced)


def call_result(change: Change) -> CallResult:
    levers: dict[str, Nano] = {}
    for share in change.shares:
        levers[share.lever] = levers.get(share.lever, 0) + share.nano
    return CallResult(change.call, change.before, change.after, levers, change.answer, change.detail)
