"""Adding up takes the memory it is given, and loses nothing for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledgers import written
from msgspec.structs import replace
from replay_material import START, recorded

from costopt.replaying.change import Change, Share
from costopt.replaying.interval import interval
from costopt.replaying.tally import OTHERS, SESSIONS, TOP, VALUES, Tally, folded
from costopt.world.ledger import Fact, Reader


@pytest.fixture
def fact(tmp_path: Path) -> Fact:
    with Reader(written(tmp_path, [recorded(0, START)])) as reader:
        return next(reader.facts())


def change(n: int, saved: int = 0) -> Change:
    return Change(
        f"c{n}", 100, 100 - saved, (Share("cache", "derived", saved, saved, saved),) if saved else ()
    )


def test_a_tag_of_many_values_is_told_apart_up_to_a_number_of_them(fact: Fact) -> None:
    tally = Tally()
    for n in range(VALUES + 500):
        tally.add(replace(fact, tags={"request": str(n)}), 0, change(n, 1), "ok")
        tally.add(replace(fact, tags={"request": "7"}), 0, change(n), "ok")
    groups = tally.by["tag:request"]
    assert len(groups) == VALUES + 1
    assert (groups[OTHERS].calls, groups["7"].calls) == (500, VALUES + 501)
    assert sum(sums.before - sums.after for sums in groups.values()) == tally.total.before - tally.total.after


def test_sessions_are_thrown_together_when_they_are_too_many(fact: Fact) -> None:
    tally = Tally()
    for n in range(SESSIONS + 10):
        tally.add(fact, n, change(n, n % 7), "ok")
    assert len(tally.sessions) <= SESSIONS
    before, after = (sum(side) for side in zip(*tally.sessions.values(), strict=True))
    assert (before, after) == (tally.total.before, tally.total.after)


def test_the_largest_differences_are_kept_in_order_the_earlier_first(fact: Fact) -> None:
    tally = Tally()
    saved = [5, -90, 3, 90, *range(10, 40), 0]
    for n, nano in enumerate(saved):
        tally.add(fact, 0, change(n, nano), "ok")
    top = [one.saved for one in tally.top()]
    assert top[:3] == [-90, 90, 39]
    assert len(top) == TOP
    assert [abs(nano) for nano in top] == sorted(map(abs, top), reverse=True)


def test_a_bill_of_unknown_price_is_in_no_sum(fact: Fact) -> None:
    tally = Tally()
    for before, after in ((None, 5), (5, None), (None, None), (7, 3)):
        tally.add(fact, 0, Change("c", before, after), "ok")
    total = tally.total
    assert (total.calls, total.priced, total.before, total.after) == (4, 1, 7, 3)
    assert (tally.unpriced_then, tally.unpriced_now) == (2, 2)


def test_an_interval_needs_sessions_and_is_the_same_every_time() -> None:
    few = dict.fromkeys(range(4), (100, 50))
    assert interval(few) is None
    many = {n * 97: (100 + n, n % 60) for n in range(900)}
    low, high = interval(many) or (0, 0)
    assert interval(dict(reversed(many.items()))) == (low, high)
    saved = sum(before - after for before, after in many.values())
    assert low < saved < high


def test_without_any_difference_the_interval_is_nothing() -> None:
    assert interval(dict.fromkeys(range(50), (10, 10))) == (0, 0)


def test_folding_keeps_the_sums() -> None:
    sessions = {n * 31: (n, n // 2) for n in range(1000)}
    groups = folded(sessions, 17)
    assert len(groups) == 17
    assert sum(before for before, _ in groups.values()) == sum(range(1000))
