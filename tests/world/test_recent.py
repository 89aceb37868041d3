"""A mapping that stays small."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from costopt.world.recent import Recent


@given(st.lists(st.integers(0, 9)), st.integers(1, 5))
def test_it_holds_what_was_put_in_last(keys: list[int], most: int) -> None:
    recent: Recent[int, int] = Recent(most)
    for at, key in enumerate(keys):
        recent.pop(key, None)
        recent[key] = at
    newest = list(dict.fromkeys(reversed(keys)))[:most]
    assert sorted(recent) == sorted(newest)


def test_a_default_counts_too() -> None:
    recent: Recent[str, int] = Recent(1)
    recent["a"] = 1
    assert recent.setdefault("b", 2) == 2
    assert dict(recent) == {"b": 2}
