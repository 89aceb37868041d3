"""A call whose price nobody knows: unknown stays unknown, whoever asks."""

from __future__ import annotations

from pathlib import Path

import pytest
from flow_material import bill
from ledgers import written
from msgspec.structs import replace
from scripted import World, answer, request, serve

from costopt.cli import main
from costopt.policy import Cache, Policy
from costopt.report import explain, frame, report
from costopt.types import Record, Reply

MODEL = "nobody-knows-me"


def asked_twice() -> tuple[Reply, list[Record]]:
    """The hit, and both records."""
    world, rules = World(lambda sent: answer(model=sent.model)), Policy(cache=Cache())
    for name in ("first", "again"):
        reply = serve(replace(request(model=MODEL), id=name, notes=[]), rules, world)
    return reply, world.records


def test_a_hit_on_an_unpriced_answer_costs_and_saves_what_nobody_knows() -> None:
    reply, records = asked_twice()
    assert [record.outcome for record in records] == ["ok", "hit"]
    assert (bill(reply).cost, bill(reply).savings) == (None, ())


def test_it_is_neither_free_nor_money_spent_in_a_report(tmp_path: Path) -> None:
    it = report(written(tmp_path, asked_twice()[1]))
    (row,) = it.rows
    assert (row.calls, row.hits, row.unpriced, row.cost) == (2, 1, 1, None)
    assert it.to_dict()["total"]["cost"] is None
    assert [line["cost"] for line in frame(tmp_path)] == [None, None]
    assert [line["unpriced"] for line in frame(tmp_path)] == [True, False]


def test_not_even_where_only_the_hit_is_asked_for(tmp_path: Path) -> None:
    records = [
        replace(record, request=replace(record.request, tags={"of": record.outcome}))
        for record in asked_twice()[1]
    ]
    rows = {row.group: row.cost for row in report(written(tmp_path, records), by=("tag:of",)).rows}
    assert rows == {("ok",): None, ("hit",): None}


def test_its_explanation_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(written(tmp_path, asked_twice()[1]), "again").to_dict()["call"]["cost"] is None
    assert main(["explain", "again", "--ledger", str(tmp_path)]) == 0
    assert "unpriced: nobody knows its price, or what the provider bills for it" in capsys.readouterr().out
