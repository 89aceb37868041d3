"""Images at the dearest, against the examples of the providers' guides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costopt.decide import pictures
from costopt.wire.demands import Picture


def most(model: str, width: int = 0, height: int = 0, detail: str = "") -> int:
    return pictures.most(model, Picture(width, height, detail, 0))


@pytest.mark.parametrize(
    ("model", "width", "height", "detail", "tokens"),
    [
        ("gpt-4o", 1024, 1024, "high", 765),
        ("gpt-4o", 2048, 4096, "high", 1105),
        ("openai/gpt-4.1-2025-04-14", 4096, 8192, "low", 85),
        ("gpt-4o", 0, 0, "", 85 + 8 * 170),
        ("gpt-4o-mini", 1024, 1024, "", 2833 + 4 * 5667),
        ("ft:gpt-4o-mini-2024-07-18:us::1", 0, 0, "", 2833 + 8 * 5667),
        ("gpt-5", 1024, 1024, "", 70 + 4 * 140),
        ("gpt-5.1", 1024, 1024, "", 70 + 4 * 140),
        ("o3", 512, 512, "", 225),
        ("gpt-4.1-mini", 1024, 1024, "low", 1659),
        ("o4-mini", 5000, 5000, "", 2642),
        ("gpt-5.4-mini", 1600, 1600, "", 4050),
        ("gpt-5.4", 0, 0, "high", 3000),
        ("gpt-5.4", 0, 0, "original", 12_000),
        ("gpt-5.6-sol", 8000, 8000, "", 75_000),
        ("gpt-6.1-sol", 1024, 1024, "", 1229),
        ("claude-sonnet-4-20250514", 1000, 1000, "", 38 * 38),
        ("anthropic.claude-sonnet-4-5", 0, 0, "", 1600),
        ("claude-opus-4-6", 0, 0, "", 1600),
        ("claude-opus-4-7", 1000, 1000, "", 36 * 36),
        ("claude-opus-4-7", 0, 0, "", 4784),
        ("claude-haiku-5-5", 0, 0, "", 4784),
        ("gemini-2.5-flash", 384, 300, "", 258),
        ("gemini/gemini-2.5-pro", 960, 540, "", 6 * 258),
        ("gemini-2.0-flash", 1600, 1200, "low", 6 * 258),
        ("gemini-3.1-pro-preview", 1600, 1200, "high", 1120),
        ("gemini-3.1-pro-preview", 0, 0, "ultra_high", 2240),
        ("vertex_ai/gemini-flash-latest", 0, 0, "", 1120),
    ],
)
def test_each_family_has_its_own_price(model: str, width: int, height: int, detail: str, tokens: int) -> None:
    assert most(model, width, height, detail) == tokens


@given(st.integers(1, 9000), st.integers(1, 9000), st.sampled_from(["", "low", "high", "original"]))
def test_an_unknown_family_is_the_dearest(width: int, height: int, detail: str) -> None:
    known = ("gemini-2.5-pro", "gpt-4o-mini", "gpt-4.1-nano", "gpt-6-luna", "claude-opus-5", "o1", "gpt-5.5")
    assert most("mydep", width, height, detail) >= max(most(name, width, height, detail) for name in known)


@given(
    st.integers(1, 8000),
    st.integers(1, 8000),
    st.sampled_from(["gpt-4o", "gpt-5-mini", "gpt-6-luna", "gemini-2.5-pro", "x"]),
)
def test_an_unknown_size_is_the_dearest(width: int, height: int, model: str) -> None:
    assert most(model) >= most(model, width, height)
