"""`costopt replay`: what it prints, for people, machines and spreadsheets; what it refuses."""

import csv
import gc
import gzip
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import replay_ledger

import costopt
from costopt.cli import main
from costopt.money import usd
from costopt.world.pricemap import load

#: What one call costs, and what the five repeats of everybody's question would have saved.
ONE = 1200 * 150 + 100 * 600
SAVED = 5 * ONE


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(replay_ledger.write(tmp_path_factory.mktemp("replay") / "ledger"))


def said(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert main(["replay", *args]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def refused(capsys: pytest.CaptureFixture[str], *args: str, code: int = 2) -> str:
    assert main(["replay", *args]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def one_line(text: str) -> str:
    return " ".join(text.split())


def log(lines: int = 3) -> bytes:
    """The interchange format: the same question, asked each day."""
    request = {"model": replay_ledger.MODEL, "messages": [{"role": "user", "content": replay_ledger.SECRET}]}
    usage = {"prompt_tokens": 1200, "completion_tokens": 100, "total_tokens": 1300}
    message = {"role": "assistant", "content": "a secret answer"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    response = {"id": "r", "model": replay_ledger.MODEL, "choices": [choice], "usage": usage}
    rows = (
        {"request": request, "response": response | {"id": f"r{n}"}, "timestamp": f"2026-02-1{n}T09:00:00Z"}
        for n in range(lines)
    )
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def test_the_headline_says_what_follows_from_recorded_calls(
    ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(capsys, ledger, "--policy", "balanced")
    assert out.startswith("Recorded: $0.002880 for 12 calls.\n")
    assert (
        "Under balanced: $0.001680, $0.001200 less (41.7%): all of it follows from recorded calls."
        in one_line(out)
    )
    assert "(95%, bootstrap over whole sessions)" in one_line(out)


def test_what_is_assumed_is_never_told_as_known(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    policy = tmp_path / "swap.yaml"
    book = load()
    records = replay_ledger.workload()
    records += [replay_ledger.call(book, "c100", replay_ledger.START + 1, "hello", model="gpt-4o")]
    policy.write_text(
        "version: 1\ncache: {ttl: 7d}\nmodels: [{name: openai/gpt-4o-mini}]\n"
        "route: {alias: auto, strategy: cheapest, downgrade: [gpt-4o]}\n"
    )
    ledger = replay_ledger.write(tmp_path / "ledger", records)
    out = one_line(said(capsys, str(ledger), "--policy", str(policy)))
    assert "follows from recorded calls" in out
    assert "is estimated" in out


def test_the_sum_of_the_levers_is_the_difference(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line.split() for line in said(capsys, ledger, "--policy", "balanced").splitlines()]
    assert ["cache", "derived", "5", "+$0.001200"] in lines
    assert ["recorded", "less", "now", "+$0.001200"] in lines


def test_days_models_and_tags_are_told_then_and_now(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line.split() for line in said(capsys, ledger, "--policy", "balanced").splitlines()]
    assert [replay_ledger.DATE, "6", "$0.001440", "$0.001440", "0%", "#" * 24] in lines
    assert [replay_ledger.NEXT_DATE, "6", "$0.001440", "$0.000240", "-83.3%", "#" * 4 + "-" * 20] in lines
    assert ["gpt-4o-mini", "12", "$0.002880", "$0.001680", "-41.7%"] in lines
    assert ["planner", "6", "$0.001440", "$0.000720", "-50.0%"] in lines
    assert ["from", "the", "cache", "5", "$0.001200", "$0", "-100.0%"] in lines


def test_the_chart_is_plain_where_piped(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, ledger, "--policy", "balanced")
    assert out.isascii()
    bars = {line.split()[0]: line.count("#") for line in out.splitlines() if "#" in line}
    assert (bars["recorded"], bars["balanced"]) == (40, 24)
    assert max(map(len, out.splitlines())) <= 80


def test_calls_with_a_large_difference_can_be_explained(
    ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(capsys, ledger, "--policy", "balanced")
    assert "--explain CALL" in out
    assert ["b100", "$0.000240", "$0", "cache", "from", "the", "cache"] in [
        row.split() for row in out.splitlines()
    ]


def test_it_says_what_a_replay_cannot_know(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "What no replay can know" in said(capsys, ledger, "--policy", "observe")


def test_the_policy_that_changes_nothing_has_the_same_bill(
    ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(capsys, ledger, "--policy", "observe")
    assert "Under observe: $0.002880, the same.\n" in out
    assert "Under observe no answer would have changed." in out


def test_two_policies_side_by_side(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, ledger, "--policy", "balanced", "--against", "observe")
    told = one_line(out)
    assert "balanced costs $0.001200 less than observe: all of it follows from recorded calls." in told
    lines = [line.split() for line in out.splitlines()]
    assert ["under", "the", "policy", "$0.001680", "$0.002880"] in lines
    assert ["cache", "derived", "+$0.001200", "$0", "+$0.001200"] in lines
    assert ["saved", "in", "all", "+$0.001200", "$0", "+$0.001200"] in lines


def test_a_policy_against_itself_differs_in_nothing(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, ledger, "--policy", "balanced", "--against", "balanced")
    assert "balanced costs the same as balanced." in out


def test_two_policy_files_of_one_name_are_told_apart(
    ledger: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "p.yaml").write_text("version: 1\n")
    files = [str(tmp_path / name / "p.yaml") for name in ("a", "b")]
    told = json.loads(said(capsys, ledger, "--policy", files[0], "--against", files[1], "--json"))
    assert [outcome["policy"] for outcome in told["outcomes"]] == files


def test_json_is_what_the_library_gives(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(said(capsys, ledger, "--policy", "balanced", "--json"))
    assert (told["schema"], told["unit"], told["calls"], told["counted"]) == (1, "nano-USD", 12, 0)
    (outcome,) = told["outcomes"]
    assert (outcome["before"], outcome["after"], outcome["saved"]) == (12 * ONE, 7 * ONE, SAVED)
    assert outcome["saved_usd"] == usd(SAVED)
    assert sum(lever["nano"] for lever in outcome["levers"]) == SAVED
    (lever,) = outcome["levers"]
    assert [lever[f"{name}_usd"] for name in ("nano", "low", "high")] == [usd(SAVED)] * 3
    assert outcome["top"][0]["levers_usd"] == {"cache": usd(ONE)}
    assert set(outcome["by"]) == {"day", "model", "tag:agent", "tag:session"}
    assert {group["name"] for group in outcome["answers"]} == {"from the cache"}
    assert [call["call"] for call in outcome["top"]] == ["b100", "b200", "b300", "b400", "b500"]


def test_csv_is_one_long_table(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, ledger, "--policy", "balanced", "--against", "observe", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    totals = {row["policy"]: row for row in rows if row["section"] == "total"}
    assert totals["balanced"]["saved_nano"] == str(SAVED)
    assert totals["observe"]["saved_nano"] == "0"
    levers = [row for row in rows if row["section"] == "lever" and row["policy"] == "balanced"]
    assert [(row["name"], row["basis"], row["saved_nano"], row["before_nano"]) for row in levers] == [
        ("cache", "derived", str(SAVED), "")
    ]
    sections = {row["section"] for row in rows}
    assert sections == {"total", "lever", "answer", "day", "model", "tag:agent", "tag:session", "call"}


def test_the_same_calls_give_the_same_bytes(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    once = said(capsys, ledger, "--policy", "balanced", "--json")
    assert said(capsys, ledger, "--policy", "balanced", "--json") == once


def test_a_selection_is_replayed_alone(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    select = (
        "--since",
        replay_ledger.NEXT_DATE,
        "--until",
        replay_ledger.NEXT_DATE,
        "--tag",
        "agent=planner",
    )
    told = json.loads(said(capsys, ledger, "--policy", "balanced", *select, "--json"))
    assert (told["calls"], told["outcomes"][0]["saved"]) == (3, 2 * ONE)


def test_unknown_prices_are_unknown_and_no_zero(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    book = load()
    records = [replay_ledger.call(book, "x100", replay_ledger.START, "hm", model="house-model")]
    ledger = str(replay_ledger.write(tmp_path / "ledger", records))
    out = said(capsys, ledger, "--policy", "balanced")
    assert out.startswith("Recorded: unknown.")
    assert "Under balanced: unknown." in out
    assert "Calls without a known price: 1 as recorded, 1 under balanced." in out
    assert "$0" not in out
    told = json.loads(said(capsys, ledger, "--policy", "balanced", "--json"))
    assert [told["outcomes"][0][name] for name in ("before", "after", "saved", "saved_usd")] == [None] * 4
    row = next(csv.DictReader(io.StringIO(said(capsys, ledger, "--policy", "balanced", "--csv"))))
    assert (row["before_nano"], row["after_nano"], row["saved_nano"]) == ("", "", "")


def test_refused_calls_are_no_saving_like_another(
    ledger: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    policy = tmp_path / "tight.yaml"
    policy.write_text("version: 1\nbudgets: [{limit: $0.000001/day, on_exceed: reject}]\n")
    out = one_line(said(capsys, ledger, "--policy", str(policy)))
    assert "Of the difference, $0.002880 is 12 calls that tight refuses." in out


def test_models_nobody_called_are_named(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = one_line(said(capsys, ledger, "--policy", "thrifty"))
    assert "the policy names openai/gpt-5-nano" in out
    assert "none asks for 'auto'" in out


def test_explain_tells_every_step_and_no_text(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, ledger, "--policy", "balanced", "--explain", "b0")
    told = one_line(out)
    assert "call b000" in told
    assert "-> miss" in told
    assert "gpt-4o-mini at openai" in told
    assert "200, 1,200 prompt tokens, 100 output, ended with stop, after 1.500 s" in told
    assert "Store" in told
    assert "Write ok, $0.00024" in told
    assert "the caller gets the recorded answer" in told
    assert "secret" not in out
    hit = one_line(said(capsys, ledger, "--policy", "balanced", "--explain", "b300"))
    assert "hit in memory, stored 2026-02-17 00:00:0" in hit
    assert "cache derived +$0.000240000" in hit
    assert "another answer: from the cache" in hit


def test_explain_for_machines(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, ledger, "--policy", "balanced", "--against", "observe", "--explain", "b300", "--json")
    told = json.loads(out)
    assert (told["schema"], told["call"]) == (1, "b300")
    balanced, observe = told["traces"]
    assert [step["effect"] for step in balanced["steps"]] == ["Now", "Lookup", "Now", "Write"]
    assert (balanced["before"], balanced["after"], balanced["saved"]) == (ONE, 0, ONE)
    assert [share["nano"] for share in balanced["shares"]] == [ONE]
    assert [step["effect"] for step in observe["steps"]] == ["Now", "Call", "Now", "Write"]
    assert [step["at_ns"] for step in observe["steps"]] == [0, *[1_500_000_000] * 3]
    assert "secret" not in out


@pytest.mark.parametrize("packed", [False, True])
def test_a_log_is_imported_into_a_ledger_that_is_gone_afterwards(
    packed: bool, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    file = tmp_path / ("calls.jsonl.gz" if packed else "calls.jsonl")
    file.write_bytes(gzip.compress(log()) if packed else log())
    out = said(capsys, str(file), "--policy", "balanced")
    assert out.startswith(f"{file}: 3 calls from 3 lines of a log\nRecorded: $0.000720 for 3 calls.\n")
    assert list(scratch.iterdir()) == []


def test_lines_of_a_log_that_cannot_be_used_are_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_bytes(log() + b'{"request": {"mod')
    assert main(["replay", str(file), "--policy", "balanced", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "1 could not be used (line 4: " in err
    told = json.loads(out)
    assert (told["source"], told["calls"], told["imported"]["new"]) == (str(file), 3, 3)


def test_a_ledgers_file_stands_for_its_folder(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "for 12 calls" in said(capsys, f"{ledger}/ledger.sqlite3", "--policy", "observe")


@pytest.mark.parametrize(
    ("select", "why"),
    [
        (
            ["--model", "gpt-4o-mni"],
            "no call asked for or was answered by model 'gpt-4o-mni'; did you mean gpt-4o-mini?",
        ),
        (["--tag", "agent=nobody"], "no call has the tag agent=nobody"),
        (["--until", "2020-01-01"], f"no call in that time; the calls are from {replay_ledger.DATE} to "),
        (["--since", replay_ledger.NEXT_DATE, "--until", replay_ledger.DATE], "no call in that time"),
        (
            ["--tag", "agent=critic", "--tag", "session=s1"],
            "no call fits all of tag agent=critic, tag session=s1",
        ),
    ],
)
def test_an_empty_selection_names_what_left_nothing(
    select: list[str], why: str, ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert why in refused(capsys, ledger, "--policy", "balanced", *select)


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["--policy", "balnced"], "write balanced"),
        (["--policy", "nowhere.yaml"], "cannot be read"),
        (["--policy", "balanced", "--against", "thrify"], "write thrifty"),
        (["--policy", "balanced", "--tag", "agent"], "--tag 'agent': write NAME=VALUE"),
        (["--policy", "balanced", "--since", "soon"], "--since 'soon'"),
        (["--policy", "balanced", "--explain", "zz"], "--explain zz: no such call"),
        (["--policy", "balanced", "--explain", "a"], "6 calls begin so"),
        (["--policy", "balanced", "--explain", "a000", "--tag", "agent=planner"], "not among those selected"),
        (["--policy", "balanced", "--explain", "a000", "--csv"], "no --csv"),
    ],
)
def test_bad_input_is_one_line(
    args: list[str], why: str, ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert why in refused(capsys, ledger, *args)


def test_no_ledger_is_a_failure_and_none_is_made(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert "no ledger here" in refused(capsys, str(nowhere), "--policy", "balanced", code=1)
    assert not nowhere.exists()
    assert "no such file" in refused(capsys, str(tmp_path / "calls.jsonl"), "--policy", "balanced")


@pytest.mark.parametrize("content", [b"", b"# a text\n"])
def test_a_log_without_calls_is_bad_input(
    content: bytes, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_bytes(content)
    assert "nothing to replay in this log" in refused(capsys, str(file), "--policy", "balanced")


@pytest.mark.parametrize("args", [["--json", "--csv"], []])
def test_what_argparse_refuses(args: list[str], ledger: str) -> None:
    policy: list[Any] = ["--policy", "balanced"] if args else []
    with pytest.raises(SystemExit) as exit_:
        main(["replay", ledger, *policy, *args])
    assert exit_.value.code == 2


def test_ctrl_c_leaves_no_flow_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = load()
    records = [replay_ledger.call(book, f"a{n}", replay_ledger.START + n, f"question {n}") for n in range(3)]
    ledger = replay_ledger.write(tmp_path / "ledger", records)
    complaints: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)

    def interrupted(*heard: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        costopt.replay(ledger, "balanced", hear=interrupted)
    gc.collect()
    assert complaints == []
