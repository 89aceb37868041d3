"""What a policy changed about one recorded call, in signed nano-dollars per lever that add up exactly. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from msgspec import Struct
from msgspec.structs import replace

from costopt.decide.prices import PriceBook
from costopt.types import Basis, Nano, Receipt, Record, Saving, Usage
from costopt.world.ledger.words import unpriced
from costopt.world.recorded import Past, asked_then

#: Which lever refuses with which error.
_REFUSALS = {
    "BudgetExceeded": "budget",
    "UnknownPrice": "budget",
    "LimitExceeded": "limit",
    "PromptTooLong": "trim",
    "NoModel": "route",
}
#: An answer of another model may be this much shorter or longer than the recorded one, where nothing better is known.
SHORTER, LONGER = 0.5, 2.0


class Share(Struct, frozen=True):
    """What one lever is worth on one call: `nano`, and between `low` and `high` where that is estimated."""

    lever: str
    basis: Basis
    nano: Nano
    low: Nano
    high: Nano


class Change(Struct, frozen=True):
    """One call then and now. `before` or `after` None is unpriced; then `shares` are empty, else they add up to
    `before - after`. `answer` says why the caller would have got another answer, "" where it is the recorded one;
    `lever` which lever changed what the provider was sent, "" none."""

    call: str
    before: Nano | None
    after: Nano | None
    shares: tuple[Share, ...] = ()
    answer: str = ""
    detail: str = ""
    lever: str = ""

    @property
    def saved(self) -> Nano:
        """0 where a price is unknown."""
        return 0 if self.before is None or self.after is None else self.before - self.after


class Judge:
    """Compares records of a replay with the facts. `book` has the policy's prices, `listed` the price map's own."""

    def __init__(self, book: PriceBook, listed: PriceBook) -> None:
        self._book = book
        self._listed = listed

    def compare(self, past: Past, record: Record, blamed: str) -> Change:
        """`blamed` is the lever that changed the call whose cached prefix this one had read then."""
        fact = past.fact
        before = None if fact.unpriced else fact.cost or 0
        after = self._after(past, record)
        lever = _lever(past, record)
        answer, detail = _answer(past, record)
        if before is None or after is None:
            return Change(fact.id, before, after, (), answer, detail, lever)
        rest = self._rest(past, record, lever, blamed)
        counted = fact.usage is not None and fact.usage.estimated
        then = () if fact.outcome == "hit" else fact.savings
        shares = _shares(then if lever else None, record, before - after, rest, counted)
        if lever == "route" or fact.outcome == "refused":
            shares = tuple(self._spread(share, lever, record) for share in shares)
        return Change(fact.id, before, after, shares, answer, detail, lever)

    def _after(self, past: Past, record: Record) -> Nano | None:
        """The bill now. What was sent as it was then keeps the price it had, whatever the price map says today."""
        fact = past.fact
        if unpriced(record.outcome, record.receipt):
            same = record.receipt and record.receipt.usage == fact.usage and not _lever(past, record)
            return fact.cost if same else None
        cost = record.receipt.cost if record.receipt else 0
        if cost is None or record.receipt is None or record.outcome in ("hit", "refused"):
            return cost or 0
        return cost + self._drift(past, record.receipt)

    def _drift(self, past: Past, receipt: Receipt) -> Nano:
        """How far the recorded price was from today's list price of the same usage."""
        fact = past.fact
        known = (self._book.revision, self._listed.revision)
        if fact.revision in known or fact.cost is None or receipt.model not in asked_then(fact):
            return 0
        then = Receipt(fact.served, fact.usage or Usage(), None, attempts=fact.attempts)
        costs = [
            self._listed.cost(r.model, r.usage, fact.provider, fact.started) for r in (then, *fact.attempts)
        ]
        return 0 if fact.outcome == "hit" or None in costs else fact.cost - sum(cost or 0 for cost in costs)

    def _rest(self, past: Past, record: Record, lever: str, blamed: str) -> tuple[str, Basis]:
        """Whose is what no layer has claimed, and how sure that is."""
        if lever or record.outcome == "hit":
            lever = lever or _tier_lever(_tier(record))
            return lever, _sureness(past, record, lever)
        if record.receipt and past.fact.usage and record.receipt.usage != past.fact.usage:
            return blamed or "prompt cache", "assumed"
        return "prices", "derived"

    def _spread(self, share: Share, lever: str, record: Record) -> Share:
        """An estimate between half and twice the length of the answer that stands for the unknown one."""
        receipt = record.receipt
        if share.lever != lever or receipt is None or receipt.cost is None or record.outcome == "hit":
            return share
        usage, provider, at = receipt.usage, record.request.provider, record.request.at
        mid = self._book.cost(receipt.model, usage, provider, at) or 0
        ends = [
            self._book.cost(receipt.model, replace(usage, output=int(usage.output * factor)), provider, at)
            or 0
            for factor in (LONGER, SHORTER)
        ]
        return replace(share, low=share.nano + mid - ends[0], high=share.nano + mid - ends[1])


def _shares(
    then: Iterable[Saving] | None, record: Record, saved: Nano, rest: tuple[str, Basis], counted: bool
) -> tuple[Share, ...]:
    """What each lever is worth now less what it was worth then; what is left over goes to `rest`. With None no lever
    changed anything, so that none has a share, whatever it claims to save against a call that was never made. What a
    hit claims to save counts for nothing where the call was made, then or now: what that cost is known.
    `counted`: no provider told the call's tokens, so nothing about its price is more than an estimate."""
    sums: dict[tuple[str, Basis], Nano] = {}
    claims = record.receipt is not None and record.outcome != "hit" and then is not None
    now = record.receipt.savings if record.receipt and claims else ()
    for sign, savings in ((1, now), (-1, then or ())):
        for saving in savings:
            key = saving.lever, _sure(saving.basis, counted)
            sums[key] = sums.get(key, 0) + sign * saving.nano
    if left := saved - sum(sums.values()):
        lever, basis = rest
        claimed = next((key for key in sums if key[0] == lever), (lever, _sure(basis, counted)))
        sums[claimed] = sums.get(claimed, 0) + left
    return tuple(Share(lever, basis, nano, nano, nano) for (lever, basis), nano in sums.items() if nano)


def _sure(basis: Basis, counted: bool) -> Basis:
    return "estimated" if counted and basis == "derived" else basis


def _lever(past: Past, record: Record) -> str:
    """The lever that made of this call something else than it was; "" where the provider got what it got then."""
    fact, receipt = past.fact, record.receipt
    if record.outcome != fact.outcome and "hit" in (record.outcome, fact.outcome):
        return _tier_lever(_tier(record) if record.outcome == "hit" else fact.tier)
    if record.outcome != fact.outcome and "refused" in (record.outcome, fact.outcome):
        error = record.error if record.outcome == "refused" else fact.error
        return _REFUSALS.get(error.partition(":")[0], "budget")
    if record.outcome == "hit" or receipt is None:
        return ""
    if receipt.model not in asked_then(fact):
        return "route"
    if len(receipt.attempts) != len(fact.attempts):
        return "gather" if fact.api == "embeddings" else "route"
    return "trim" if receipt.trimmed != fact.trimmed else ""


def _tier_lever(tier: str) -> str:
    return "share" if tier == "flight" else "cache"


def _sureness(past: Past, record: Record, lever: str) -> Basis:
    if lever == "route" or past.fact.outcome == "refused":
        return "estimated"
    return "assumed" if lever == "trim" else "derived"


def _answer(past: Past, record: Record) -> tuple[str, str]:
    """Why the caller would have got another answer, and the details of it."""
    fact, receipt = past.fact, record.receipt
    if record.outcome == "refused":
        return ("", "") if fact.outcome == "refused" else ("refused", record.error)
    if fact.outcome == "refused":
        return "made after all", fact.error
    if record.outcome == "hit":
        return ("", "") if fact.outcome == "hit" else ("from the cache", _tier(record))
    if fact.outcome == "hit":
        return "asked anew", fact.tier
    if receipt is not None and receipt.model not in asked_then(fact):
        return "another model", f"{receipt.model} instead of {fact.served}"
    if receipt is not None and receipt.trimmed != fact.trimmed:
        return "a trimmed prompt", f"{receipt.trimmed:,} tokens cut, then {fact.trimmed:,}"
    return "", ""


def _tier(record: Record) -> str:
    return cast("str", record.reply.tier) if record.reply else ""
