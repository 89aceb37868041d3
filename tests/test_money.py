"""Amounts as people read them: what is not zero never reads as zero, unknown stays unknown."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costopt.money import change, dollars, exact, places, rounded, usd, with_usd

NANO = st.integers(min_value=-(10**15), max_value=10**15)


@pytest.mark.parametrize(
    ("nano", "shown"),
    [
        (421_000, "$0.000421"),
        (1, "$0.000000001"),
        (0, "$0"),
        (-1_250_000_000, "-$1.2500"),
        (1_234_567_890_000, "$1,234.57"),
        (None, "unknown"),
    ],
)
def test_dollars_have_enough_digits(nano: int | None, shown: str) -> None:
    assert dollars(nano) == shown


def test_gains_and_losses_carry_their_sign() -> None:
    assert dollars(5_000_000, signed=True) == "+$0.005000"
    assert dollars(-5_000_000, signed=True) == "-$0.005000"
    assert dollars(0, signed=True) == "$0"


@given(NANO.filter(bool), st.integers(0, 9))
def test_what_is_not_zero_never_reads_as_zero(nano: int, digits: int) -> None:
    assert Decimal(dollars(nano, digits).replace("$", "").replace(",", "")) != 0


@given(NANO, st.integers(0, 9))
def test_what_is_shown_is_what_is_added_up(nano: int, digits: int) -> None:
    if rounded(nano, digits):
        assert Decimal(dollars(nano, digits).replace("$", "").replace(",", "")) == rounded(nano, digits)


@pytest.mark.parametrize(
    ("nano", "shown"),
    [
        (0, "$0"),
        (1, "$0.000000001"),
        (5_000_000_000, "$5"),
        (-1_500_000_000, "-$1.50"),
        (12_340_000, "$0.01234"),
        (1_234_000_000_000, "$1234"),
        (None, "unknown"),
    ],
)
def test_exact_amounts_have_no_more_digits_than_they_need(nano: int | None, shown: str) -> None:
    assert exact(nano) == shown


@given(NANO)
def test_exact_is_exact_and_signed_where_wanted(nano: int) -> None:
    text = exact(nano, signed=True)
    assert Decimal(text.replace("$", "")) * 10**9 == nano
    assert text[0] == ("+" if nano > 0 else "-" if nano < 0 else "$")


@given(NANO)
def test_usd_is_exact(nano: int) -> None:
    text = usd(nano)
    assert text is not None
    assert Decimal(text) * 10**9 == nano


def test_unknown_stays_unknown() -> None:
    assert usd(None) is None


def test_documents_carry_both_forms() -> None:
    document = {"rows": [{"cost": 421_000, "saved": -1, "calls": 2}], "total": {"cost": None}}
    assert with_usd(document) == {
        "rows": [
            {"cost": 421_000, "cost_usd": "0.000421000", "saved": -1, "saved_usd": "-0.000000001", "calls": 2}
        ],
        "total": {"cost": None, "cost_usd": None},
    }


def test_lists_of_amounts_and_amounts_by_name_carry_both_forms_too() -> None:
    document = {"interval": [-5, 1], "top": {"levers": {"cache": 7, "trim": None}}, "levers": [{"nano": 7}]}
    assert with_usd(document) == {
        "interval": [-5, 1],
        "interval_usd": ["-0.000000005", "0.000000001"],
        "top": {
            "levers": {"cache": 7, "trim": None},
            "levers_usd": {"cache": "0.000000007", "trim": None},
        },
        "levers": [{"nano": 7, "nano_usd": "0.000000007"}],
    }
    assert with_usd({"interval": None, "levers": []}) == {
        "interval": None,
        "interval_usd": None,
        "levers": [],
    }


def test_what_providers_and_users_wrote_stays_as_it_is() -> None:
    document = {"raw_usage": {"cost": 3}, "tags": {"cost": 4}, "headers": {"cost": "5"}}
    assert with_usd(document) == document


@given(st.lists(NANO | st.none(), min_size=1))
def test_a_column_has_one_number_of_decimals(nanos: list[int | None]) -> None:
    digits = places(nanos)
    whole = [dollars(nano, digits) for nano in nanos if nano and abs(nano) * 10**digits >= 10**9]
    assert all(len(text.partition(".")[2]) == digits for text in whole)


def test_change_is_signed_and_of_nothing_is_no_number() -> None:
    assert change(1000, 777) == "-22.3%"
    assert change(1000, 1040) == "+4.0%"
    assert change(1000, 1000) == "0%"
    assert change(0, 1) == change(None, 1) == change(1, None) == "-"
