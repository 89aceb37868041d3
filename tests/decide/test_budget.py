"""Windows of a budget."""

from __future__ import annotations

import pytest

from costopt.decide.budget import window

DAY = 86_400 * 10**9


@pytest.mark.parametrize(("now", "day"), [(20_000 * DAY - 1, 19_999), (20_000 * DAY, 20_000)])
def test_the_last_nanosecond_of_a_day_is_still_that_day(now: int, day: int) -> None:
    assert window("day", now) == (day * DAY, (day + 1) * DAY)
