"""What the demo shows: both runs, counted and priced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from costopt.decide.prices import PriceBook
from costopt.types import Nano, Usage
from costopt.world.ledger import Fact


class Side(Struct, frozen=True):
    """One run. Tokens and `cost` (nano-USD, None if a price is unknown) are what the provider charges for.

    `provider_calls` are the calls that reached it, `calls` all that the program made, `refused` those that the policy
    did not let go; `seconds` is wall time.
    """

    calls: int
    provider_calls: int
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: Nano | None
    seconds: float
    refused: int = 0


class DemoResult(Struct, frozen=True):
    """Both runs. `saved_by_lever` is what the ledger credits to each lever, against that call made alone.

    `interplay` is the rest of the difference between the runs: calls that a lever made unnecessary would have
    warmed or used the provider's own prompt cache, so a saving counted alone is not exactly a saving in the
    whole. `repeated` is the share of the plain run's requests that were the same as an earlier one; None where
    the provider was a real one. `billed` is the wrapped run's cost as the simulated provider counts it. `refusal`
    says why the first of the calls that the policy refused was; work that was not done for it is part of `interplay`.
    `waited` is how long limits held calls back in all, ns; the demo does not sit it out.
    """

    plain: Side
    wrapped: Side
    saved_by_lever: dict[str, Nano]
    ledger: Path
    policy: str
    models: tuple[str, ...]
    repeated: float | None
    billed: Nano | None
    real_model: bool
    refusal: str = ""
    waited: int = 0

    @property
    def saved(self) -> Nano | None:
        """Plain minus wrapped, as measured."""
        if self.plain.cost is None or self.wrapped.cost is None:
            return None
        return self.plain.cost - self.wrapped.cost

    @property
    def interplay(self) -> Nano | None:
        return None if self.saved is None else self.saved - sum(self.saved_by_lever.values())


def counted(usage: Any) -> Usage:
    """An OpenAI usage object in our words; read here by itself, so that it can check the ledger."""
    details = getattr(usage, "prompt_tokens_details", None)
    cached = getattr(details, "cached_tokens", None) or 0
    output = getattr(usage, "completion_tokens", 0)
    return Usage(input=usage.prompt_tokens - cached, cache_read=cached, output=output)


def side_in(book: PriceBook, facts: list[Fact], seconds: float) -> Side:
    """A run as the ledger has it."""
    paid = [fact for fact in facts if fact.outcome == "ok"]
    side = side_of(book, [(fact.served, fact.usage or Usage()) for fact in paid], len(facts), seconds)
    known = not any(fact.unpriced for fact in facts)
    cost = sum(fact.cost or 0 for fact in facts) if known else None
    return replace(side, cost=cost, refused=sum(fact.outcome == "refused" for fact in facts))


def side_of(book: PriceBook, paid: list[tuple[str, Usage]], calls: int, seconds: float) -> Side:
    return Side(
        calls=calls,
        provider_calls=len(paid),
        prompt_tokens=sum(usage.prompt for _, usage in paid),
        cached_tokens=sum(usage.cache_read for _, usage in paid),
        output_tokens=sum(usage.output for _, usage in paid),
        cost=bill(book, paid),
        seconds=seconds,
    )


def bill(book: PriceBook, items: Iterable[tuple[str, Usage]]) -> Nano | None:
    """What all of them cost; None as soon as one price is unknown."""
    total = 0
    for model, usage in items:
        cost = book.cost(model, usage)
        if cost is None:
            return None
        total += cost
    return total


def by_lever(facts: Iterable[Fact]) -> dict[str, Nano]:
    saved: Counter[str] = Counter()
    for fact in facts:
        for saving in fact.savings:
            saved[saving.lever] += saving.nano
    return dict(saved)
