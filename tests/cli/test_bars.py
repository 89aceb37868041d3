"""Bars tell sizes apart and hide nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costopt.cli import bars
from costopt.cli.bars import LONGEST, NARROW, Bar

SIZES = st.none() | st.integers(0, 10**15)


@given(st.lists(st.tuples(SIZES, SIZES)))
def test_a_pair_shows_both_bills(bills: list[tuple[int | None, int | None]]) -> None:
    for (then, now), bar in zip(bills, bars.pairs(bills), strict=True):
        assert len(bar) <= NARROW
        if then is None or now is None or then + now == 0:
            assert bar == ""
            continue
        assert ("-" in bar) <= (now < then)
        assert ("+" in bar) <= (now > then)
        assert bar.startswith("#") == (min(then, now) > 0)


def test_what_is_there_at_all_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    bars.draw(
        [Bar("large", 10**12, "$1000"), Bar("tiny", 1, "$0"), Bar("none", 0, "$0"), Bar("?", None, "unknown")]
    )
    out = capsys.readouterr().out.splitlines()
    assert out == ["", f"large  {'#' * LONGEST} $1000", "tiny   # $0", "none   $0", "?      unknown"]


def test_nothing_is_drawn_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    bars.draw([Bar("a", 0, "$0"), Bar("b", None, "unknown")])
    bars.draw([])
    assert capsys.readouterr().out == ""
