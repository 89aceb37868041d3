"""What sets a price besides the counts, as one text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costopt.wire import terms
from costopt.wire.terms import Terms


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (("", None, None), ""),
        (("standard", "standard", "global"), "standard"),
        (("standard", None, "not_available"), "standard"),
        (("standard", "fast", "us"), "fast geo:us"),
        (("", "fast", None), "fast"),
        (("batch", "fast", None), "batch fast"),
        (("priority", None, "US"), "priority geo:us"),
        (("flex", 7, ["us"]), "flex"),
    ],
)
def test_terms_are_said_in_one_text(given: tuple[str, object, object], text: str) -> None:
    assert terms.said(*given) == text


WORDS = st.sampled_from(["", "flex", "batch", "us", "maps", "search+maps", "high"])


@given(WORDS, WORDS, WORDS, st.booleans())
def test_what_is_said_is_read_again(tier: str, geo: str, search: str, advised: bool) -> None:
    said = terms.said(tier, None, geo, search, advised=advised)
    assert terms.read(said) == Terms(tier, geo, search, advised)


@given(st.text())
def test_any_word_of_a_provider_is_some_terms(word: str) -> None:
    terms.read(word)
