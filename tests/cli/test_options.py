"""What dates and spans on the command line mean."""

import pytest

from costopt.cli import options
from costopt.cli.fault import InputError

SECOND = 10**9
NOW = 1_800_000_000 * SECOND
DAY = 86_400


def now() -> int:
    return NOW


def test_a_date_is_its_start_for_since_and_its_end_for_until() -> None:
    assert options.since("1970-01-02") == DAY * SECOND
    assert options.until("1970-01-02") == 2 * DAY * SECOND


def test_a_date_with_time_is_a_moment_in_utc_unless_it_names_a_zone() -> None:
    assert options.since("1970-01-01T00:00:01.5") == 1_500_000_000
    assert options.until("1970-01-01T01:00:00+01:00") == 0


@pytest.mark.parametrize(
    ("text", "seconds"), [("7d", 7 * DAY), ("12h", 43_200), ("30m", 1800), ("2w", 14 * DAY)]
)
def test_a_span_goes_back_from_now(text: str, seconds: int) -> None:
    assert options.since(text, now) == NOW - seconds * SECOND
    assert options.until(text, now) == NOW - seconds * SECOND


@pytest.mark.parametrize("text", ["", "yesterday", "7", "2026-13-01", "2026-02-30", "-3d"])
def test_anything_else_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(InputError, match=r"--since .*2026-11-30"):
        options.since(text)


def test_nothing_given_is_no_bound() -> None:
    assert options.since(None) is None
    assert options.until(None) is None


@pytest.mark.parametrize("text", ["", "30", "d", "1.5d", "soon"])
def test_a_bad_span_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="30d"):
        options.span("--older-than", text)


@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31", "999999999d"])
def test_far_away_moments_fit_into_sqlite(text: str) -> None:
    assert 0 <= (options.since(text) or 0) < 2**63
