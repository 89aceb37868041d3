"""A replay for people: sentences, tables and a chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from costopt.cli import bars, show
from costopt.cli import replay_words as words
from costopt.cli.replay_groups import short, show_groups
from costopt.cli.replay_words import bill
from costopt.cli.show import Column, left
from costopt.money import change, dollars, places
from costopt.replaying import CallResult, GroupResult, LeverResult, Outcome, Replay
from costopt.types import Basis, Nano

#: Columns of a cell of lever names.
LEVERS = 18


class View(Struct, frozen=True):
    """`ids` shorten the ids of calls. Money of groups and calls has `digits` decimals; bills and levers `exact`: as
    many as they need to add up as shown."""

    found: Replay
    ids: Mapping[str, str]
    digits: int
    exact: int

    def money(self, nano: Nano | None) -> str:
        return dollars(nano, self.digits)

    def bill(self, nano: Nano | None) -> str:
        return dollars(nano, self.exact)

    def lever(self, nano: Nano | None) -> str:
        return dollars(nano, self.exact, signed=True)


def show_replay(found: Replay, ids: Mapping[str, str]) -> None:
    bills = [nano for outcome in found.outcomes for nano in bill(outcome)]
    view = View(found, ids, places(bills), words.exact_digits(found))
    _headline(view)
    _bills(view)
    if len(found.outcomes) > 1:
        _side_by_side(view)
    else:
        _levers(view, found.outcome)
    _sources(found)
    show_groups(found, view.digits)
    for outcome in found.outcomes:
        _answers(view, outcome)
        _top(view, outcome)
    _closing(found)


def _headline(view: View) -> None:
    found = view.found
    _head(words.recorded(found, view.exact))
    for outcome in found.outcomes:
        _head(words.under(outcome, view.exact))
        _say(words.refused(outcome, view.exact))
        _say(words.interval(outcome, view.exact))
    for line in (*words.versus(found, view.exact), words.unpriced(found)):
        _say(line)


def _bills(view: View) -> None:
    then, _ = bill(view.found.outcome)
    rows = [bars.Bar("recorded", then, view.bill(then))]
    for outcome in view.found.outcomes:
        _, now = bill(outcome)
        rows.append(bars.Bar(outcome.policy, now, view.bill(now)))
    bars.draw(rows)


def _levers(view: View, outcome: Outcome) -> None:
    if not outcome.levers:
        return
    show.line()
    columns = [left("lever"), left("basis"), Column("calls"), Column("saved"), Column("between", words=True)]
    rows = [_lever(view, lever) for lever in outcome.levers]
    saved = view.lever(outcome.saved)
    show.table(columns, [*rows, ["recorded less now", "", "", saved, ""]], footer=True)


def _lever(view: View, lever: LeverResult) -> list[str]:
    ends = [view.lever(nano) for nano in (lever.low, lever.high)]
    between = " and ".join(ends) if lever.low != lever.high else ""
    return [lever.lever, lever.basis, f"{lever.calls:,}", view.lever(lever.nano), between]


def _side_by_side(view: View) -> None:
    """The bill as recorded, under both policies, and what each lever saves in each."""
    one, two = view.found.outcomes
    rows = [["recorded", "", *(view.bill(bill(each)[0]) for each in (one, two)), ""]]
    rows.append(["under the policy", "", *(view.bill(bill(each)[1]) for each in (one, two)), ""])
    sides = [{(lever.lever, lever.basis): lever.nano for lever in each.levers} for each in (one, two)]
    for lever, basis in dict.fromkeys([*sides[0], *sides[1]]):
        rows.append(_pair(view, lever, basis, [side.get((lever, basis), 0) for side in sides]))
    saved = [each.saved if each.priced else None for each in (one, two)]
    columns = [left(""), left("basis"), Column(one.policy), Column(two.policy), Column("difference")]
    show.line()
    show.table(columns, [*rows, _pair(view, "saved in all", "", saved)], footer=True)


def _pair(view: View, name: str, basis: str, nanos: Sequence[Nano | None]) -> list[str]:
    first, second = nanos
    gap = None if first is None or second is None else first - second
    return [name, basis, *(view.lever(nano) for nano in (first, second, gap))]


def _sources(found: Replay) -> None:
    told: dict[tuple[str, Basis], str] = {}
    for outcome in found.outcomes:
        told |= {(lever.lever, lever.basis): lever.source for lever in outcome.levers}
    for (lever, basis), source in told.items():
        _say(f"  {lever}, {basis}: {source}")


def _answers(view: View, outcome: Outcome) -> None:
    show.line()
    changed = sum(group.calls for group in outcome.answers)
    if not changed:
        _say(f"Under {outcome.policy} no answer would have changed.")
        return
    _say(
        f"Under {outcome.policy} {changed:,} of {show.many(view.found.calls, 'answer')} would have been another:"
    )
    columns = [left("why"), Column("calls"), Column("recorded"), Column(outcome.policy), Column("change")]
    show.table(columns, [_answer(view, group) for group in outcome.answers])


def _answer(view: View, group: GroupResult) -> list[str]:
    then, now = bill(group)
    return [group.name, f"{group.calls:,}", view.money(then), view.money(now), change(then, now)]


def _top(view: View, outcome: Outcome) -> None:
    if not outcome.top:
        return
    show.line()
    _say(f"Largest differences under {outcome.policy} (every step of one: --explain CALL)")
    columns = [left("call", words=False), Column("recorded"), Column("now"), left("levers"), left("answer")]
    show.table(columns, [_top_row(view, call) for call in outcome.top])


def _top_row(view: View, call: CallResult) -> list[str]:
    bills = [view.money(call.before), view.money(call.after)]
    levers = short(", ".join(call.levers), LEVERS)
    return [show.clean(view.ids.get(call.call, call.call)), *bills, levers, call.answer or "the same"]


def _closing(found: Replay) -> None:
    show.line()
    for outcome in found.outcomes:
        _say(words.ends(outcome))
        if outcome.waited_s:
            _say(f"Under {outcome.policy} calls wait {outcome.waited_s:,.1f} s longer in all.")
        for note in outcome.notes:
            _say(f"Note ({outcome.policy}): {note}.")
    _say(words.cache_accuracy(found.prompt_cache))
    _say(words.LIMITS)


def _say(text: str) -> None:
    for line in _wrapped(text):
        show.line(line)


def _head(text: str) -> None:
    for line in _wrapped(text):
        show.heading(line)


def _wrapped(text: str) -> list[str]:
    """Lines under the first begin two columns further in."""
    return show.wrapped(text, text[: len(text) - len(text.lstrip())] + "  ")
