"""`costopt report`, `explain` and `archive`: tables for people, JSON and CSV for machines."""

import csv
import io
import json
import re
import shlex
from pathlib import Path

import pytest
import sample_ledger

from costopt.cli import main


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    return str(sample_ledger.write(tmp_path / "ledger"))


def said(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert main(list(args)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_by_model_with_a_total(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "report", "--ledger", ledger)
    heads, *rows = (line.split() for line in out.split("\n\n")[0].splitlines())
    assert heads[:5] == ["model", "calls", "hits", "errors", "unpriced"]
    cells = {row[0]: row for row in rows}
    assert cells["gpt-4o"][-3:] == ["$0.000423", "+$0.000421", "+$0.000009"]
    assert cells["total"][1:5] == ["4", "1", "0", "1"]


def test_a_call_without_a_price_is_shown_and_is_no_zero(
    ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(capsys, "report", "--ledger", ledger)
    assert "house-model" in out
    assert next(line for line in out.splitlines() if line.startswith("house-model")).split()[-3] == "unknown"
    assert "1 calls have no known price" in out


def test_what_was_checked_and_what_was_assumed_stand_apart(
    ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(capsys, "report", "--ledger", ledger)
    assert "cache  +$0.000421  derived" in out
    assert "trim   +$0.000009  assumed" in out


def test_json_is_exact(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(said(capsys, "report", "--ledger", ledger, "--json"))
    assert told["schema"] == 1
    assert (told["total"]["cost"], told["total"]["cost_usd"]) == (423_000, "0.000423000")
    unpriced = next(row for row in told["rows"] if row["model"] == "house-model")
    assert (unpriced["cost"], unpriced["cost_usd"], unpriced["unpriced"]) == (None, None, 1)
    assert {(s["lever"], s["nano"], s["nano_usd"]) for s in told["total"]["savings"]} == {
        ("cache", 421_000, "0.000421000"),
        ("trim", 9_000, "0.000009000"),
    }


def test_csv_is_csv(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(said(capsys, "report", "--ledger", ledger, "--csv"))))
    assert {row["model"]: row["cost_nano"] for row in rows} == {"gpt-4o": "423000", "house-model": ""}


def test_days_bound_it_on_both_sides(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    first = ("--since", sample_ledger.DATE, "--until", sample_ledger.DATE)
    told = json.loads(said(capsys, "report", "--ledger", ledger, "--json", "--by", "day", *first))
    assert [(row["day"], row["calls"]) for row in told["rows"]] == [(sample_ledger.DATE, 2)]


def test_tags_from_outside_cannot_steer_the_terminal(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "report", "--ledger", ledger, "--by", "tag:agent", "--by", "day")
    assert "\x1b" not in out
    assert "(none)" in out


def test_nothing_in_the_period_is_said(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        said(capsys, "report", "--ledger", ledger, "--since", "1d")
        == "no calls are recorded for this period\n"
    )


@pytest.mark.parametrize("by", ["", "modle", "tag:", "tag", "hour"])
def test_an_unknown_group_is_bad_input(by: str, ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--ledger", ledger, "--by", by]) == 2
    assert "write model, day or tag:NAME" in capsys.readouterr().err


def test_a_file_that_is_no_ledger_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ledger.sqlite3").write_bytes(b"not a database, but long enough to have a header of one" * 20)
    assert main(["report", "--ledger", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_explain_tells_decisions_and_what_they_were_worth(
    ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(capsys, "explain", "aa02", "--ledger", ledger)
    assert "answered from the cache" in out
    assert "$0, $0.000421 without costopt" in out
    assert "in memory" in out
    assert "the stored call paid again" in out


def test_explain_takes_the_beginning_of_an_id(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "call aa01" in said(capsys, "explain", "aa01", "--ledger", ledger)
    assert main(["explain", "aa", "--ledger", ledger]) == 2
    assert "2 calls begin so" in capsys.readouterr().err


def test_explain_says_unpriced(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "explain", "bb01", "--ledger", ledger)
    assert "unpriced: nobody knows its price" in out
    assert "\x1b" not in out


def test_explain_json_has_amounts_and_no_texts(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "explain", "aa02", "--ledger", ledger, "--json")
    told = json.loads(out)
    assert told["schema"] == 1
    assert told["call"]["cost_usd"] == "0.000000000"
    assert told["steps"][0]["savings"][0]["nano_usd"] == "0.000421000"
    assert "secret" not in out


def test_archive_moves_calls_that_report_and_explain_still_read(
    ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = said(capsys, "report", "--ledger", ledger, "--json")
    told = json.loads(said(capsys, "archive", "run", "--ledger", ledger, "--older-than", "30d", "--json"))
    assert (told["schema"], told["calls"]) == (1, 4)
    assert said(capsys, "report", "--ledger", ledger, "--json") == before
    assert "in memory" in said(capsys, "explain", "aa02", "--ledger", ledger)
    assert "nothing to archive: no call is older than 30d" in said(
        capsys, "archive", "run", "--ledger", ledger
    )


@pytest.fixture
def policy(ledger: str, tmp_path: Path) -> Path:
    """A policy file whose ledger is `ledger`; the calls in it are from 2024."""
    path = tmp_path / "my policy.yaml"
    path.write_text(f"version: 1\nledger: {{path: '{ledger}', archive_after: 7d}}\n")
    return path


def test_the_command_a_policy_check_names_archives_what_it_promised(
    policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    promise = re.search(
        r"older than 7d when `costopt (.*)` runs", said(capsys, "policy", "check", str(policy))
    )
    assert promise is not None
    assert said(capsys, *shlex.split(promise[1])).startswith("archived 4 calls")


def test_archive_goes_by_the_policys_age_unless_told_otherwise(
    policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy.write_text(policy.read_text().replace("7d", "100y"))
    told = said(capsys, "archive", "run", "--policy", str(policy))
    assert told == "nothing to archive: no call is older than 100y\n"
    told = said(capsys, "archive", "run", "--policy", str(policy), "--older-than", "30d")
    assert told.startswith("archived 4 calls")


@pytest.mark.parametrize(
    ("ledger_block", "mend"),
    [("{path: PATH, archive_after: off}", "--older-than SPAN"), ("off", "--ledger DIR")],
)
def test_archive_asks_for_what_a_policy_leaves_open(
    policy: Path, ledger: str, ledger_block: str, mend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    policy.write_text(f"version: 1\nledger: {ledger_block.replace('PATH', repr(ledger))}\n")
    assert main(["archive", "run", "--policy", str(policy)]) == 2
    assert capsys.readouterr().err.endswith(f": write {mend}\n")
    assert main(["archive", "run", "--policy", str(policy), "--ledger", ledger, "--older-than", "1d"]) == 0


def test_no_span_is_too_long_to_archive_by(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "archive", "run", "--ledger", ledger, "--older-than", "9999y").startswith("nothing")


def test_refused_calls_are_told_where_there_are_any(
    ledger: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(capsys, "report", "--ledger", str(sample_ledger.refused(tmp_path / "refused")))
    heads, row, *_ = (line.split() for line in out.splitlines())
    assert (heads[:5], row[1:5]) == (["model", "calls", "hits", "errors", "refused"], ["4", "0", "0", "3"])
    assert "refused" not in said(capsys, "report", "--ledger", ledger)


def test_machines_are_told_of_refused_calls_always(
    ledger: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, number in ((ledger, 0), (str(sample_ledger.refused(tmp_path / "refused")), 3)):
        told = json.loads(said(capsys, "report", "--ledger", folder, "--json"))
        assert told["total"]["refused"] == sum(row["refused"] for row in told["rows"]) == number
        lines = list(csv.DictReader(io.StringIO(said(capsys, "report", "--ledger", folder, "--csv"))))
        assert sum(int(line["refused"]) for line in lines) == number


def test_cost_without_a_call_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(sample_ledger.cascade(tmp_path / "cascade"))
    out = said(capsys, "report", "--ledger", folder)
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line}
    assert (rows["gpt-4o"][1], rows["gpt-4o"][-3]) == ("1", "$0.000500")
    assert (rows["gpt-4o-mini"][1], rows["gpt-4o-mini"][-3]) == ("0", "$0.000030")
    assert "Cost without a call is that of attempts which were paid and not used." in out
