"""What a replay found, as values: for people, for machines, for spreadsheets."""

from __future__ import annotations

from itertools import chain
from typing import Any

import msgspec
from msgspec import Struct

from costopt.money import with_usd
from costopt.types import Basis, Nano

SCHEMA = 1


class LeverResult(Struct, frozen=True):
    """One lever on one basis: what it saved (+) or lost (-), net, between `low` and `high`; `source` says what the
    figure rests on."""

    lever: str
    basis: Basis
    nano: Nano
    low: Nano
    high: Nano
    calls: int
    source: str


class GroupResult(Struct, frozen=True):
    """Calls of one day (UTC), model or tag value, and the bill then and now of those `priced` both then and now."""

    name: str
    calls: int
    changed: int
    before: Nano
    after: Nano
    priced: int = 0


class CallResult(Struct, frozen=True):
    """One call with a large difference."""

    call: str
    before: Nano | None
    after: Nano | None
    levers: dict[str, Nano]
    answer: str
    detail: str


class Outcome(Struct, frozen=True):
    """The recorded calls under one policy. `before` and `after` count the calls `priced` both then and now; the
    levers add up to `before - after` exactly. `interval` holds what would be saved on other sessions of this kind
    (95%)."""

    policy: str
    before: Nano
    after: Nano
    levers: tuple[LeverResult, ...]
    outcomes: dict[str, int]
    answers: tuple[GroupResult, ...]
    by: dict[str, tuple[GroupResult, ...]]
    top: tuple[CallResult, ...]
    interval: tuple[Nano, Nano] | None
    unpriced_then: int
    unpriced_now: int
    waited_s: float
    notes: tuple[str, ...]
    priced: int = 0

    @property
    def saved(self) -> Nano:
        return self.before - self.after

    def saved_on(self, *bases: Basis) -> Nano:
        return sum(lever.nano for lever in self.levers if lever.basis in bases)


class CacheAccuracy(Struct, frozen=True):
    """The simulated prompt cache beside what providers reported, over `calls` they reported on: tokens read from
    cache, and the mean error per prompt token."""

    calls: int
    reported: int
    simulated: int
    error: float


class Replay(Struct, frozen=True):
    """`calls` recorded calls from `first` to `last` (ns) of `source`, under one policy or two. Of them `counted` have
    token counts estimated here, since their provider sent none: their bill is an estimate too."""

    source: str
    calls: int
    first: int
    last: int
    outcomes: tuple[Outcome, ...]
    prompt_cache: CacheAccuracy | None
    counted: int = 0

    @property
    def outcome(self) -> Outcome:
        """Under `policy`; the second of `outcomes` is under `against`."""
        return self.outcomes[0]

    def to_dict(self) -> dict[str, Any]:
        """For machines: `schema` 1, money in integer nano-USD and, as `*_usd`, exact dollars; null is unknown."""
        plain: dict[str, Any] = {"schema": SCHEMA, "unit": "nano-USD", **msgspec.to_builtins(self)}
        for outcome in plain["outcomes"]:
            for group in (outcome, *outcome["answers"], *chain(*outcome["by"].values())):
                group |= amounts(group["before"], group["after"], group["priced"])
            for call in outcome["top"]:
                call |= amounts(call["before"], call["after"])
        return with_usd(plain)


def amounts(before: Nano | None, after: Nano | None, priced: int = 1) -> dict[str, Nano | None]:
    """A bill then and now and the difference, None where unknown: all three where no call is `priced`."""
    if not priced:
        return dict.fromkeys(("before", "after", "saved"))
    saved = None if before is None or after is None else before - after
    return {"before": before, "after": after, "saved": saved}
