"""Rows for a data frame: everything a replay found, flat, with nothing unknown told as zero."""

from __future__ import annotations

from pathlib import Path

from ledgers import written
from replay_material import START, recorded

from costopt.replaying import CallResult, GroupResult, frame, replay
from costopt.replaying.change import Change, Share
from costopt.types import Basis


def repeated(folder: Path) -> Path:
    """Four calls, of which two ask what was asked before."""
    body = recorded(0).request.body
    return written(
        folder, [recorded(n, START + n * 60 * 10**9, body=body if n % 2 else None) for n in range(4)]
    )


def share(lever: str, basis: Basis, nano: int) -> Share:
    return Share(lever, basis, nano, nano, nano)


def test_levers_keep_their_fields(tmp_path: Path) -> None:
    outcome = replay(repeated(tmp_path), "balanced").outcome
    rows = frame(outcome.levers)
    assert outcome.saved
    assert sum(row["nano"] for row in rows) == outcome.saved
    assert all(list(row) == ["lever", "basis", "nano", "low", "high", "calls", "source"] for row in rows)


def test_the_calls_of_a_replay_add_up_to_its_groups(tmp_path: Path) -> None:
    changes: list[Change] = []
    outcome = replay(repeated(tmp_path), "balanced", hear=changes.append).outcome
    rows = frame(changes)
    assert len(rows) == 4
    assert outcome.saved
    assert sum(row["saved"] for row in rows) == sum(day["saved"] for day in frame(outcome.by["day"]))


def test_levers_of_a_call_are_columns_and_both_bases_of_one_are_one_sum() -> None:
    shares = (share("trim", "assumed", 7), share("cache", "derived", 3), share("trim", "derived", -1))
    (row,) = frame([Change("a", 20, 11, shares, "a trimmed prompt", "9 tokens cut, then 0")])
    assert row == {
        "call": "a",
        "before": 20,
        "after": 11,
        "saved": 9,
        "saved_trim": 6,
        "saved_cache": 3,
        "answer": "a trimmed prompt",
        "detail": "9 tokens cut, then 0",
    }


def test_what_has_no_price_is_unknown_and_not_zero() -> None:
    unknown = {"before": None, "after": None, "saved": None}
    group, call = frame([GroupResult("m", 2, 1, 0, 0), CallResult("a", 5, None, {}, "", "")])
    assert group == {"name": "m", "calls": 2, "changed": 1, "priced": 0, **unknown}
    assert (call["before"], call["after"], call["saved"]) == (5, None, None)
