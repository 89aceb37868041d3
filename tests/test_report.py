"""Reports: every nano-dollar is found again, unknown stays unknown, sure stays apart from assumed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import written
from msgspec.structs import replace

from costopt.errors import LedgerError
from costopt.report import Row, explain, frame, report
from costopt.types import Decision, Receipt, Record, Reply, Request, Saving, Usage
from costopt.world import archive
from costopt.world.ledger import Ledger

DAY = 86_400 * 10**9
START = 20_000 * DAY  # 2024-10-04
HOUR = DAY // 24


def call(
    name: str,
    at: int = START,
    *,
    cost: int | None = 100,
    outcome: Any = "ok",
    model: str = "m",
    tags: dict[str, str] | None = None,
    savings: tuple[Saving, ...] = (),
    notes: list[Decision] | None = None,
    attempts: tuple[Receipt, ...] = (),
) -> Record:
    usage = Usage(input=10, cache_read=5, output=3)
    body = {"model": model, "messages": [{"role": "user", "content": name}]}
    return Record(
        request=Request(name, "chat", model, body, "https://api.test/v1", tags=tags or {}, notes=notes or []),
        reply=Reply(body=b'{"a": 1}', model=model, usage=usage),
        outcome=outcome,
        started=at,
        ended=at + 5,
        asked_model=model,
        receipt=Receipt(model, usage, cost, "r1", savings, attempts),
    )


def ledger(folder: Path, *records: Record) -> Path:
    return written(folder, records)


def by_group(rows: tuple[Row, ...]) -> dict[tuple[str, ...], Row]:
    return {row.group: row for row in rows}


SAVINGS = (
    Saving("cache", 70, "known", "list"),
    Saving("trim", -5, "derived", "list"),
    Saving("route", 9, "assumed", "m"),
)


def test_totals_by_model(tmp_path: Path) -> None:
    path = ledger(
        tmp_path,
        call("1", model="a", savings=SAVINGS),
        call("2", model="a", outcome="hit", cost=0, savings=(Saving("cache", 30, "known", "list"),)),
        call("3", model="b", cost=500),
        call("4", model="b", outcome="error"),
    )
    it = report(path)
    assert [row.group for row in it.rows] == [("b",), ("a",)]
    a, b = it.rows[1], it.rows[0]
    assert (a.calls, a.hits, a.prompt, a.cached, a.output, a.cost) == (2, 1, 15, 5, 3, 100)
    assert (a.saved, a.saved_assumed) == (95, 9)
    assert (b.calls, b.errors, b.cost, b.savings) == (2, 1, 600, ())
    assert (it.total.calls, it.total.cost, it.total.saved) == (4, 700, 95)
    assert {(s.lever, s.basis): s.nano for s in it.total.savings} == {
        ("cache", "known"): 100,
        ("trim", "derived"): -5,
        ("route", "assumed"): 9,
    }


def test_by_day_and_tag(tmp_path: Path) -> None:
    path = ledger(
        tmp_path,
        call("1", START, tags={"user": "ann", "team": "x"}),
        call("2", START + 23 * HOUR, tags={"user": "bob"}),
        call("3", START + 24 * HOUR, tags={"user": "ann"}),
        call("4", START + 25 * HOUR),
    )
    assert [row.group for row in report(path, by=("day", "tag:user")).rows] == [
        ("2024-10-04", "ann"),
        ("2024-10-04", "bob"),
        ("2024-10-05", ""),
        ("2024-10-05", "ann"),
    ]
    assert report(path, by="tag:user").rows == report(path, by=("tag:user",)).rows
    assert [row.calls for row in report(path, by=()).rows] == [4]


@pytest.mark.parametrize("by", ["cost", "tag:", "tag", "model; DROP TABLE facts", ""])
def test_an_unknown_grouping_is_refused(tmp_path: Path, by: str) -> None:
    path = ledger(tmp_path, call("1"))
    with pytest.raises(ValueError, match="day, model or tag:<name>"):
        report(path, by=by)


def test_a_tag_name_is_never_code(tmp_path: Path) -> None:
    name = "x' OR 1=1; --"
    path = ledger(tmp_path, call("1", tags={name: "v"}), call("2"))
    assert {row.group: row.calls for row in report(path, by=(f"tag:{name}",)).rows} == {("v",): 1, ("",): 1}


def test_unknown_prices_are_counted_never_zero(tmp_path: Path) -> None:
    path = ledger(
        tmp_path, call("1", model="a", cost=None), call("2", model="b", cost=None), call("3", model="b")
    )
    it = report(path)
    rows = by_group(it.rows)
    assert (rows["a",].cost, rows["a",].unpriced) == (None, 1)
    assert (rows["b",].cost, rows["b",].unpriced) == (100, 1)
    assert (it.total.cost, it.total.unpriced) == (100, 2)
    assert "2 calls have no known price" in it.headline()
    assert it.to_dict()["rows"][1]["cost"] is None


def test_calls_that_spent_nothing_are_not_unknown(tmp_path: Path) -> None:
    refused = replace(call("1", outcome="refused"), receipt=None, reply=None)
    it = report(ledger(tmp_path, refused))
    assert (it.total.calls, it.total.cost, it.total.unpriced) == (1, 0, 0)


def test_free_is_not_unknown(tmp_path: Path) -> None:
    it = report(ledger(tmp_path, call("1", cost=0)))
    assert (it.total.cost, it.total.unpriced) == (0, 0)


def test_tokens_of_attempts_that_were_not_used_are_counted(tmp_path: Path) -> None:
    attempt = Receipt("small", Usage(input=1, output=2), 4)
    it = report(ledger(tmp_path, call("1", attempts=(attempt,))))
    assert (it.total.prompt, it.total.output, it.total.cost) == (16, 5, 100)


def test_nothing_recorded_is_not_a_zero(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no ledger here"):
        report(tmp_path / "none")
    Ledger(tmp_path).open()
    it = report(tmp_path)
    assert (it.empty, it.rows, it.total.cost) == (True, (), None)
    assert "No calls" in it.headline()
    assert it.to_dict()["empty"] is True


def test_sure_and_assumed_savings_stay_apart(tmp_path: Path) -> None:
    it = report(ledger(tmp_path, call("1", savings=(Saving("route", 2 * 10**9, "estimated", "m"),))))
    assert (it.total.saved, it.total.saved_assumed) == (0, 2 * 10**9)
    assert "$0 saved; $2.0000 more if the assumptions hold" in it.headline()


TIMES = st.integers(START - 2 * DAY, START + 3 * DAY)


@settings(max_examples=30, deadline=None)
@given(at=st.lists(TIMES, max_size=12), since=TIMES, until=TIMES, cut=TIMES)
def test_any_span_live_or_archived_counts_each_call_once(
    tmp_path_factory: pytest.TempPathFactory, at: list[int], since: int, until: int, cut: int
) -> None:
    path = tmp_path_factory.mktemp("ledger")
    calls = [call(str(n), t, cost=2**n, model="ab"[n % 2], savings=SAVINGS) for n, t in enumerate(at)]
    ledger(path, *calls)
    inside = [2**n for n, t in enumerate(at) if since <= t < until]
    for by in ((), ("day",), ("model",)):
        it = report(path, by=by, since=since, until=until)
        assert (it.total.cost or 0, it.total.calls) == (sum(inside), len(inside))
        assert sum(row.saved for row in it.rows) == it.total.saved == 65 * len(inside)
        archive.run(path, 0, cut)
        assert report(path, by=by, since=since, until=until) == it


def test_machines_get_integers_and_a_schema(tmp_path: Path) -> None:
    path = ledger(tmp_path, call("1", savings=SAVINGS, tags={"user": "ann"}))
    shown = json.loads(json.dumps(report(path, by=("model", "tag:user"), since=START).to_dict()))
    assert (shown["schema"], shown["unit"], shown["since"], shown["until"]) == (1, "nano-USD", START, None)
    (row,) = shown["rows"]
    assert (row["model"], row["tag:user"], row["cost"], row["saved"], row["saved_assumed"]) == (
        "m",
        "ann",
        100,
        65,
        9,
    )
    assert not [value for value in walk(shown) if isinstance(value, float)]


def walk(value: Any) -> Iterator[Any]:
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(inner)


def test_csv_holds_the_same_and_no_formula(tmp_path: Path) -> None:
    path = ledger(
        tmp_path,
        call("1", savings=SAVINGS, tags={"user": "=cmd()"}),
        call("2", tags={"user": 'a,"b'}, cost=None),
    )
    rows = list(csv.DictReader(io.StringIO(report(path, by="tag:user").csv())))
    assert {row["tag:user"] for row in rows} == {"'=cmd()", 'a,"b'}
    assert [(row["cost_nano"], row["route_assumed_nano"]) for row in rows] == [("100", "9"), ("", "0")]


def test_a_table_for_people(tmp_path: Path) -> None:
    from rich.console import Console

    path = ledger(
        tmp_path,
        call("1", tags={"user": "[red]x"}, cost=1_500_000_000),
        call("2", cost=None, tags={"user": "b"}),
    )
    out = io.StringIO()
    Console(file=out, width=160).print(report(path, by="tag:user").rich_table())
    text = out.getvalue()
    for part in ("[red]x", "$1.5000", "unknown + 1 unpriced", "total"):
        assert part in text


def test_explain_tells_decisions_in_order_and_what_each_was_worth(tmp_path: Path) -> None:
    notes = [
        Decision("cache", "miss"),
        Decision("route", "m is enough"),
        Decision("cache", "stored"),
        Decision("limit", "go"),
    ]
    path = ledger(tmp_path, call("abcdef", savings=SAVINGS, notes=notes), call("xyz"))
    for _ in range(2):
        it = explain(path, "abc")
        assert [(s.layer, [w.nano for w in s.savings]) for s in it.steps] == [
            ("cache", []),
            ("route", [9]),
            ("cache", [70]),
            ("limit", []),
        ]
        assert [s.lever for s in it.others] == ["trim"]
        shown = json.loads(json.dumps(it.to_dict()))
        assert (shown["schema"], shown["call"]["id"], shown["call"]["cost"]) == (1, "abcdef", 100)
        archive.run(path, 0, START + DAY)
    with pytest.raises(LedgerError, match="no such call"):
        explain(path, "nope")


def test_a_frame_has_one_flat_line_a_call(tmp_path: Path) -> None:
    path = ledger(
        tmp_path, call("1", savings=SAVINGS, tags={"user": "ann"}), call("2", START + DAY, cost=None)
    )
    first, second = frame(path)
    assert (first["id"], first["cost"], first["saved_cache"], first["tag_user"], first["input"]) == (
        "1",
        100,
        70,
        "ann",
        10,
    )
    assert second["cost"] is None
    assert all(not isinstance(value, (dict, list, tuple)) for value in (first | second).values())
    assert [row["id"] for row in frame(path, since=START + 1)] == ["2"]


def test_each_attempt_is_paid_by_its_own_model(tmp_path: Path) -> None:
    """A cascade's failed answers: the sum is the bill, to the nano-dollar, from sums and from calls alike."""
    small = Receipt("small", Usage(input=7, output=1), 11, "r1")
    odd = Receipt("odd", Usage(input=7, output=1), None, "r1")
    folder = ledger(
        tmp_path,
        call("a", cost=111, attempts=(small,), tags={"user": "x"}),
        call("b", cost=133, attempts=(small, small, replace(small, model="m")), tags={"user": "x"}),
        call("c", cost=None, attempts=(odd, small)),
        call("d", cost=5, model="small"),
        call("e", cost=11, outcome="error", model="small", attempts=(small,)),
    )
    made, of_calls = (report(folder, since=START, until=until) for until in (START + DAY, START + HOUR))
    rows = by_group(made.rows)
    assert made.rows == of_calls.rows
    assert {name: (row.calls, row.cost) for (name,), row in rows.items()} == {
        "m": (3, 211),
        "small": (2, 49),
        "odd": (0, None),
    }
    assert (made.total.calls, made.total.cost, made.total.unpriced) == (5, 111 + 133 + 5 + 11, 1)
    assert made.total.prompt == 5 * 15 + 7 * 7
    by_user = by_group(report(folder, by="tag:user").rows)
    assert (by_user["x",].calls, by_user["x",].cost) == (2, 244)
