"""What YAML makes of a file, and what is no policy at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from policy_material import problems

from costopt.errors import PolicyError
from costopt.policy import Ledger, Policy, Trim
from costopt.policyfile import load, parse

#: Each line repeats the one above nine times: 9**9 values from 500 bytes.
BOMB = "- &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"- &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(8)
)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "this is empty"),
        ("# only a comment\n", 1, "this is empty"),
        ("- 1", 1, "this is a list"),
        ("hello", 1, "this is 'hello'"),
        ("version: 1\n\tcache: {}", 2, "a tab"),
        ("version: 1\ncache:\n\tttl: 7d", 3, "a tab"),
        ("version: 1\ncache: [", 2, "not YAML"),
        ("version: 1\na: b: c", 2, "not YAML"),
        ("version: 1\n---\nversion: 1", 2, "a second document"),
        ("version: 1\n\nx: \x07", 3, "U+0007"),
        (
            "version: !!python/object/apply:os.system [id]",
            1,
            "the tag !!python/object/apply:os.system is refused",
        ),
        ("version: 1\nstrict: !mine x", 2, "the tag !mine is refused"),
        ("version: 1\n? [a]\n: b", 2, "a key must be a word"),
        ("version: 1\ncache: *nowhere", 2, "refers to nothing"),
        ("version: 1\ncache: &a [*a]", 2, "refers to nothing"),
        ("version: 1\n<<: 5", 2, "can only merge"),
        ("version: 1\ncache: " + "[" * 100_000, 2, "nested more than"),
        ("version: 1\ncache:\n" + "- " * 50_000, 3, "nested more than"),
        (BOMB, 5, "more than 20000 values"),
        ("version: 1\nx: \ud800", 2, "U+D800"),
        ("# 😀😀\u00e9\n\n\x1b", 3, "U+001B"),
    ],
)
def test_what_is_no_policy_at_all(text: str, line: int, message: str) -> None:
    found = problems(text)[-1]
    assert found.line == line
    assert message in found.message
    assert "\n" not in str(found)


def test_a_key_written_twice_is_refused_with_both_lines() -> None:
    (found,) = problems("version: 1\ncache:\n  ttl: 1d\n  disk: 0\n  ttl: 7d\n")
    assert (found.line, found.key, found.message) == (5, "cache.ttl", "is written twice (first on line 3)")


def test_anchors_and_merges_are_followed() -> None:
    merged = parse(
        "version: 1\nbudgets:\n- &b {per: user, limit: $5/day}\n- {<<: *b, per: team}\n- {<<: *b, limit: $9/week}\n"
    )
    assert [(b.per, b.limit, b.window) for b in merged.budgets] == [
        ("user", 5 * 10**9, "day"),
        ("team", 5 * 10**9, "day"),
        ("user", 9 * 10**9, "week"),
    ]


def test_yaml_surprises_stay_text_or_are_refused() -> None:
    assert parse("version: 1\nledger: {path: '0755'}").ledger == Ledger("0755")
    assert [
        p.key for p in problems("version: 1\nretry: {attempts: 010}\ntrim: {budget: 1:30, keep: 0x10}")
    ] == [
        "retry.attempts",
        "trim.budget",
        "trim.keep",
    ]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for name, content, message in (
        ("huge.yaml", b"#" * 300_000, "larger than 256 KiB"),
        ("latin.yaml", b"version: 1\n# caf\xe9", "latin.yaml:2: is not UTF-8"),
        ("utf16.yaml", "version: 1".encode("utf-16"), "is not UTF-8"),
        ("nul.yaml", b"version: 1\n\0", r"U\+0000"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(PolicyError, match=message):
            load(path)
    for missing in (tmp_path, tmp_path / "none.yaml", Path("a\0b.yaml")):
        with pytest.raises(PolicyError, match="cannot be read"):
            load(missing)


def test_a_byte_order_mark_and_crlf_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbfversion: 1\r\ntrim: {budget: 2k, keep: 1k}\r\n")
    assert load(str(path)).trim == Trim(2000, 1000)


@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.text()
    | st.text(st.sampled_from("version: 1\n\t-[]{}&*!|>'\"%@`#,?cahe$/0\r\x00\u2028\ud7ffé"), max_size=60)
)
def test_any_text_is_a_policy_or_a_policy_error(text: str) -> None:
    try:
        assert isinstance(parse(text), Policy)
    except PolicyError as error:
        assert error.problems
