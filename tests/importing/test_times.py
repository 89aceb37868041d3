"""One moment however a log writes it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from costopt.importing.times import moment


@given(st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1)))
def test_one_moment_in_all_its_spellings(when: datetime) -> None:
    whole = when.replace(microsecond=when.microsecond // 1000 * 1000, tzinfo=UTC)
    ms = (
        (whole - datetime(1970, 1, 1, tzinfo=UTC)).days * 86_400_000
        + (whole - datetime(1970, 1, 1, tzinfo=UTC)).seconds * 1000
        + whole.microsecond // 1000
    )
    spelled: list[Any] = [
        ms,
        ms * 1000,
        ms * 10**6,
        whole.isoformat(),
        whole.isoformat().replace("+00:00", "Z"),
        str(ms),
    ]
    spelled.append(f"{ms // 1000}.{ms % 1000:03d}")
    assert {moment(each) for each in spelled} == {ms * 10**6}


@given(
    st.one_of(
        st.none(), st.booleans(), st.text(max_size=20), st.floats(), st.integers(), st.lists(st.integers())
    )
)
def test_no_value_is_a_time_by_accident(value: Any) -> None:
    at = moment(value)
    assert at is None or 10**17 <= at < 2**63
