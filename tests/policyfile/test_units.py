"""Units: exact, strict, and written back as they were read."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costopt.money import exact
from costopt.policyfile import units

WHOLE = st.integers(0, 10**12)


@given(st.integers(0, units.LONGEST_S * 1000))
def test_durations_come_back(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert units.duration(units.say_duration(seconds)) == seconds


@given(WHOLE)
def test_sizes_come_back(size: int) -> None:
    assert units.size(units.say_size(size)) == size


@given(WHOLE)
def test_counts_come_back(count: int) -> None:
    assert units.count(units.say_count(count)) == count


@given(st.integers(0, 10**20))
def test_money_comes_back_to_the_nano_dollar(nano: int) -> None:
    assert units.money(exact(nano)) == nano


@given(WHOLE, st.sampled_from([1, 60, 3600, 86400]))
def test_rates_come_back(number: int, window: int) -> None:
    assert units.rate(units.say_rate(number, window)) == (number, window)


@given(st.decimals(0, 10**6, places=9), st.sampled_from(units.SPEND_WINDOWS))
def test_spend_is_exact(dollars: Decimal, window: str) -> None:
    assert units.spend(f"${dollars:f}/{window}") == (int(dollars * 10**9), window)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20ms", 0.02),
        ("30s", 30),
        ("5m", 300),
        ("1h", 3600),
        ("7d", 604800),
        ("1.5h", 5400),
        ("2w", 1209600),
        ("0", 0),
        ("1y", 365 * 86400),
    ],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert units.duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("256MB", 256 * 10**6), ("256MiB", 256 * 2**20), ("0", 0), ("64KB", 64000), ("1.5KiB", 1536)],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert units.size(text) == size


@pytest.mark.parametrize(
    ("text", "rate"),
    [("500/min", (500, 60)), ("10/s", (10, 1)), ("1M/day", (10**6, 86400)), ("1.5k/hour", (1500, 3600))],
)
def test_rates_are_read(text: str, rate: tuple[int, float]) -> None:
    assert units.rate(text) == rate


def test_ten_cents_are_ten_cents() -> None:
    assert units.money("$0.10") + units.money("$0.20") == units.money("$0.30")


@pytest.mark.parametrize(
    ("read", "text", "hint"),
    [
        (units.duration, "30", "write 30s"),
        (units.duration, "1 hour", "write 30s"),
        (units.duration, "-1s", "write 30s"),
        (units.duration, "7D", "write 30s"),
        (units.duration, "٣s", "write 30s"),
        (units.duration, "30s\n", "write 30s"),
        (units.duration, "1000y", "write 100y"),
        (units.duration, "1" * 400 + "s", "write 30s"),
        (units.size, "256", "256MB"),
        (units.size, "256mb", "256MB"),
        (units.size, "0.3B", "a whole number"),
        (units.size, "99999999TB", "at most 1000000TB"),
        (units.count, "32k tokens", "32k"),
        (units.count, "1.5", "a whole number"),
        (units.count, "1e9", "32k"),
        (units.rate, "500", "500/min"),
        (units.rate, "500/month", "500/min"),
        (units.rate, "0.5/s", "a whole number"),
        (units.money, "5", "$0.50"),
        (units.money, "$0.0000000001", "nine digits"),
        (units.money, "$-5", "$0.50"),
        (units.money, "€5", "$0.50"),
        (units.spend, "$5", "$5/day"),
        (units.spend, "$5/fortnight", "$5/day"),
        (units.spend, "$nan/day", "$5/day"),
    ],
)
def test_what_is_wrong_says_what_to_write(read: object, text: str, hint: str) -> None:
    assert callable(read)
    with pytest.raises(units.Wrong) as wrong:
        read(text)
    assert hint in wrong.value.hint
    assert len(str(wrong.value)) < 120
