"""A replay in sentences. What is assumed or estimated is never told as if it were known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from costopt.cli import show
from costopt.money import UNKNOWN, dollars, places, rounded
from costopt.replaying import CacheAccuracy, GroupResult, Outcome, Replay
from costopt.types import Basis, Nano

#: What a part of a saving is, by its basis.
PARTS: tuple[tuple[tuple[Basis, ...], str], ...] = (
    (("known", "derived"), "follows from recorded calls"),
    (("assumed",), "is assumed"),
    (("estimated",), "is estimated"),
)
ENDS = {
    "ok": "answered by the provider",
    "hit": "answered from the cache",
    "error": "failed at the provider",
    "left": "given up by the caller",
    "refused": "refused",
}
LIMITS = (
    "What no replay can know: an agent that gets another answer goes on differently. Here its later prompts "
    "stay as they were recorded, and no call comes earlier than it did."
)


def bill(group: GroupResult | Outcome) -> tuple[Nano | None, Nano | None]:
    """Then and now; None where no call of the group has a price."""
    return (group.before, group.after) if group.priced else (None, None)


def exact_digits(found: Replay) -> int:
    """The fewest decimals with which bills, levers and what the difference consists of add up as shown."""
    sums = [each for outcome in found.outcomes for each in _sums(outcome)]
    least = places(nano for total, parts in sums for nano in (total, *parts))
    return next((n for n in (2, 4, 6) if n >= least and all(_adds_up(*each, n) for each in sums)), 9)


def _sums(outcome: Outcome) -> Iterator[tuple[Nano, list[Nano]]]:
    yield outcome.before, [outcome.after, outcome.saved]
    yield outcome.saved, [lever.nano for lever in outcome.levers]
    yield outcome.saved, list(_surenesses(outcome).values())


def _adds_up(total: Nano, parts: list[Nano], digits: int) -> bool:
    shown = [rounded(part, digits) for part in parts]
    lost = any(part and not cut for part, cut in zip(parts, shown, strict=True))
    return not lost and sum(shown) == rounded(total, digits)


def recorded(found: Replay, digits: int) -> str:
    """The bill as it was."""
    outcome = found.outcome
    counted = f" (token counts of {found.counted:,} estimated here)" if found.counted else ""
    if not outcome.priced:
        return (
            f"Recorded: {UNKNOWN}. No call of {found.calls:,} has a known price both then and now{counted}."
        )
    of = f"{outcome.priced:,} of " if outcome.priced < found.calls else ""
    return f"Recorded: {dollars(outcome.before, digits)} for {of}{show.many(found.calls, 'call')}{counted}."


def under(outcome: Outcome, digits: int) -> str:
    """The bill under a policy, and how sure each part of the difference is."""
    if not outcome.priced:
        return f"Under {outcome.policy}: {UNKNOWN}."
    after, saved = dollars(outcome.after, digits), outcome.saved
    if not saved:
        parts = _parts(_surenesses(outcome), digits)
        return f"Under {outcome.policy}: {after}, the same{': ' if parts else ''}{parts}."
    share = f" ({Decimal(100 * abs(saved)) / outcome.before:.1f}%)" if outcome.before else ""
    more = f"{dollars(abs(saved), digits)} {'less' if saved > 0 else 'more'}{share}"
    return f"Under {outcome.policy}: {after}, {more}: {_parts(_surenesses(outcome), digits)}."


def _parts(saved: Mapping[str, Nano], digits: int) -> str:
    """How sure each part of a difference is; with signs where they differ."""
    parts = [(what, nano) for what, nano in saved.items() if nano]
    if not parts:
        return ""
    if len(parts) == 1:
        return f"all of it {parts[0][0].removeprefix('is ')}"
    if len({nano > 0 for _, nano in parts}) == 1:
        return ", ".join(f"{dollars(abs(nano), digits)} {what}" for what, nano in parts)
    return "+ saved, - lost: " + ", ".join(f"{dollars(n, digits, signed=True)} {what}" for what, n in parts)


def _surenesses(outcome: Outcome) -> dict[str, Nano]:
    return {what: outcome.saved_on(*bases) for bases, what in PARTS}


def refused(outcome: Outcome, digits: int) -> str:
    """Money of calls that are not made any more is no saving like another; empty where there are none."""
    for group in outcome.answers:
        if group.name == "refused":
            not_spent = dollars(group.before - group.after if group.priced else None, digits)
            return f"Of the difference, {not_spent} is {show.many(group.calls, 'call')} that {outcome.policy} refuses."
    return ""


def interval(outcome: Outcome, digits: int) -> str:
    """How much the saving varies from session to session; empty where nothing was saved."""
    if not outcome.priced or not outcome.levers:
        return ""
    if outcome.interval is None:
        return "No interval: fewer than 5 sessions do not tell how much the saving varies."
    low, high = (dollars(end, digits, signed=True) for end in outcome.interval)
    return f"Saved on other sessions like these: {low} to {high} (95%, bootstrap over whole sessions)."


def ends(outcome: Outcome) -> str:
    told = [f"{calls:,} {ENDS.get(end, end)}" for end, calls in outcome.outcomes.items() if calls]
    return f"Calls under {outcome.policy}: {', '.join(told)}."


def unpriced(found: Replay) -> str:
    """How many calls are in no sum; empty where all are."""
    then = found.outcome.unpriced_then
    counts = [
        (then, "as recorded"),
        *((each.unpriced_now, f"under {each.policy}") for each in found.outcomes),
    ]
    if not any(count for count, _ in counts):
        return ""
    told = ", ".join(f"{count:,} {when}" for count, when in counts)
    return f"Calls without a known price: {told}. They are in no sum of money."


def cache_accuracy(found: CacheAccuracy | None) -> str:
    if found is None:
        return "Prompt cache: no provider reported tokens to check the simulated one against."
    calls = show.many(found.calls, "call")
    return (
        f"Prompt cache, simulated against reported on {calls}: {found.simulated:,} tokens read, "
        f"{found.reported:,} reported; off by {100 * found.error:.2f}% of a prompt on average."
    )


def versus(found: Replay, digits: int) -> Iterable[str]:
    """Which of two policies is cheaper; nothing where they are not compared over the same calls."""
    if len(found.outcomes) < 2:
        return
    one, two = found.outcomes
    if not one.priced or one.before != two.before:
        yield f"{one.policy} and {two.policy} leave different calls without a price: their bills do not compare."
        return
    gap = two.after - one.after
    if not gap:
        yield f"{one.policy} costs the same as {two.policy}."
        return
    first, second = _surenesses(one), _surenesses(two)
    parts = _parts({what: first[what] - second[what] for what in first}, digits)
    yield f"{one.policy} costs {dollars(abs(gap), digits)} {'less' if gap > 0 else 'more'} than {two.policy}: {parts}."
