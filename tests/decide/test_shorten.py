"""Shortening tool output: within the cap, deterministic, idempotent, whole code points."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from costopt.decide.shorten import shorten
from costopt.world import tokenizers

COUNTER = tokenizers.counter()


def count(text: str) -> int:
    return COUNTER.count_text(text, "gpt-4o")


TEXTS = st.one_of(
    st.text(max_size=400),
    st.lists(
        st.sampled_from(["ok", "error: no such file", "", "漢字テスト", "👩‍👩‍👧‍👦", "x" * 90]), max_size=60
    ).map("\n".join),
    st.recursive(
        st.none() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(lambda value: json.dumps(value, indent=2)),
)


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.integers(0, 120))
def test_whatever_the_text_it_fits_stays_fitting_and_is_left_alone_where_it_did(text: str, cap: int) -> None:
    short = shorten(text, cap, count)
    assert count(short) <= cap or text == short == ""
    assert len(short) <= len(text)
    assert shorten(short, cap, count) == short
    assert shorten(text, cap, count) == short
    if count(text) <= cap:
        assert short == text
    short.encode("utf-8", "surrogatepass")


def test_json_loses_only_white_space() -> None:
    text = '{ "a b" : [ 1.50 , 2E+3, 12345678901234567890,\n\t"two  spaces\\\\ \\" " ] , "ä" : null }'
    short = shorten(text, count(text) - 1, count)
    assert short == '{"a b":[1.50,2E+3,12345678901234567890,"two  spaces\\\\ \\" "],"ä":null}'


def test_what_only_looks_like_json_keeps_its_spaces() -> None:
    text = "[info]  started   here\n" + "\n".join(f"[info]  step   {n}" for n in range(50))
    assert shorten(text, count(text) - 50, count).startswith("[info]  started   here\n[info]  step   0\n")


def test_repeated_lines_are_told_once() -> None:
    text = "begin\n" + "retrying connection to host\n" * 50 + "end"
    assert shorten(text, 40, count) == "begin\nretrying connection to host\n[49 more times]\nend"


def test_repeated_blocks_are_told_once() -> None:
    block = "GET /health 200\nGET /ready 200\n"
    assert shorten(block * 40 + "done", 40, count) == f"{block}[these 2 lines 39 more times]\ndone"


def test_short_repeats_are_left_alone() -> None:
    text = "a\na\n" + " ".join(f"word{n}" for n in range(100))
    assert shorten(text, count(text) - 20, count).startswith("a\na\n")


def test_head_and_tail_stay_and_the_mark_tells_the_truth() -> None:
    text = " ".join(f"item{n}" for n in range(2000))
    short = shorten(text, 200, count)
    head, _, rest = short.partition("\n[... ")
    number, _, tail = rest.partition(" tokens left out ...]\n")
    assert text.startswith(head)
    assert text.endswith(tail)
    assert len(head) > len(tail) > 0
    assert abs(int(number) - (count(text) - count(head) - count(tail))) <= 1
    assert 180 <= count(short) <= 200


def test_code_points_stay_whole() -> None:
    text = "👩‍👩‍👧‍👦漢" * 2000
    short = shorten(text, 100, count)
    assert "\ufffd" not in short
    short.encode()


def test_no_room_for_a_mark() -> None:
    text = "one two three four five six seven eight nine ten eleven twelve"
    assert text.startswith(shorten(text, 3, count))
    assert count(shorten(text, 3, count)) <= 3
    assert shorten(text, 0, count) == ""


def test_a_megabyte_takes_few_looks() -> None:
    looks = 0

    def looking(text: str) -> int:
        nonlocal looks
        looks += 1
        return len(text) // 4

    shorten("x y " * 250_000, 1000, looking)
    assert looks < 100
