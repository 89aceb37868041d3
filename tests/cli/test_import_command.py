"""`costopt import` as a user meets it: what it prints, and its exit codes."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from costopt.cli import main

CALL = {
    "request": {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]},
    "response": {
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10},
    },
    "timestamp": "2026-11-01T09:30:00Z",
}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "calls.jsonl"
    path.write_text(f"{json.dumps(CALL)}\n{json.dumps({**CALL, 'id': 'two'})}\nbroken\n")
    return path


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    return str(tmp_path / "ledger")


def said(capsys: pytest.CaptureFixture[str], *args: Any, code: int = 0) -> str:
    assert main([str(arg) for arg in args]) == code
    out, err = capsys.readouterr()
    assert (err == "") == (code == 0)
    return out if code == 0 else err


def test_it_says_what_it_did(log: Path, ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "import", "jsonl", log, "--ledger", ledger)
    assert out.splitlines() == [
        f"2 new calls, $0.000700, 2026-11-01, from 3 lines in {ledger}",
        "  1 could not be used:",
        f"    {log}:3: no JSON",
    ]
    again = said(capsys, "import", "jsonl", log, "--ledger", ledger)
    assert again.splitlines()[:2] == [
        f"0 new calls from 3 lines in {ledger}",
        "  2 were there already, or twice in the log, and are counted once",
    ]


def test_it_says_what_the_log_says_was_paid(
    tmp_path: Path, ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log, policy = tmp_path / "paid.jsonl", tmp_path / "policy.yaml"
    log.write_text("".join(json.dumps({**CALL, "id": f"call {n}", "cost": 0.0001}) + "\n" for n in range(2)))
    policy.write_text("version: 1\nprices:\n  openai/gpt-4o: {input: $0.50, output: $5}\n")
    told = said(capsys, "import", "jsonl", log, "--ledger", ledger).splitlines()
    assert told[1:] == [
        "  the log says $0.000200 for 2 calls; at list prices $0.000700 (+250.0%)",
        "    add your own prices under `prices:` in a policy and name it with --prices FILE,",
        "    or take what the log says with --cost log",
    ]
    told = said(capsys, "import", "jsonl", log, "--ledger", f"{ledger}-2", "--cost", "log").splitlines()
    assert told[0].startswith("2 new calls, $0.000200")
    assert told[1:] == ["  the log says $0.000200 for 2 calls; at list prices $0.000700 (+250.0%)"]
    told = said(capsys, "import", "jsonl", log, "--ledger", f"{ledger}-3", "--prices", policy).splitlines()
    assert told[1:] == ["  the log says $0.000200 for 2 calls; at your own and list prices $0.000200"]


def test_json_has_every_lost_line_and_exact_money(
    tmp_path: Path, ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "many.jsonl"
    log.write_text(json.dumps(CALL) + "\n" + "broken\n" * 30)
    told = json.loads(said(capsys, "import", "jsonl", log, "--json", "--ledger", ledger))
    assert (told["schema"], told["lines"], told["calls"], told["new"], told["cost_usd"]) == (
        1,
        31,
        1,
        1,
        "0.000350000",
    )
    assert [lost["line"] for lost in told["unusable"]] == list(range(2, 32))
    assert told["unusable"][0] == {"path": str(log), "line": 2, "why": "no JSON"}
    shown = said(capsys, "import", "jsonl", log, "--ledger", ledger)
    assert shown.count("no JSON") == 20
    assert "... and 10 more; --json has all" in shown


def test_options_may_stand_between_format_and_path(
    log: Path, ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "2 new calls" in said(capsys, "import", "jsonl", "--ledger", ledger, "--tag", "from=old", log)
    report = said(capsys, "report", "--ledger", ledger, "--by", "tag:from", "--json")
    assert json.loads(report)["rows"][0]["tag:from"] == "old"


def test_transcripts_with_tools_model_and_times(
    tmp_path: Path, ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    talk = {
        "trace_id": "t",
        "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}],
    }
    tools = tmp_path / "tools.json"
    tools.write_text(json.dumps([{"type": "function", "function": {"name": "look"}}]))
    log = tmp_path / "talks.jsonl"
    log.write_text(json.dumps(talk))
    options = (
        "--tools",
        tools,
        "--model",
        "gpt-4o",
        "--start",
        "2025-03-01",
        "--every",
        "500ms",
        "--no-prompt-cache",
    )
    out = said(capsys, "import", "transcripts", log, "--ledger", ledger, *options)
    assert "1 new call, $0.000062500, 2025-03-01, from 1 line" in out
    assert "1 have no time in the log" in out
    assert "1 have no token counts in the log" in out
    days = json.loads(said(capsys, "report", "--ledger", ledger, "--by", "day", "--json"))
    assert days["rows"][0]["day"] == "2025-03-01"


def test_calls_are_read_from_standard_input_packed_or_not(
    ledger: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, pack in enumerate((bytes, gzip.compress)):
        piped = io.BufferedReader(io.BytesIO(pack(json.dumps({**CALL, "id": f"call {number}"}).encode())))
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=piped))
        assert "1 new call" in said(capsys, "import", "jsonl", "-", "--ledger", ledger)


def test_the_list_of_formats(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["import", "--list"])
    assert exit_.value.code == 0
    names = [row.split()[0] for row in capsys.readouterr().out.splitlines()[1:]]
    assert names == ["jsonl", "transcripts", "litellm", "langfuse", "otlp", "claude-code", "codex"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("jsnl", "LOG"), "no format is called 'jsnl'; did you mean jsonl?"),
        (("jsonl", "gone.jsonl"), "gone.jsonl: cannot be read: No such file or directory"),
        (
            ("transcripts", "LOG"),
            "nothing in 3 lines could be imported as transcripts; LOG:1: no conversation",
        ),
        (("jsonl", "LOG", "--start", "soon"), "--start 'soon': write a day"),
        (("jsonl", "LOG", "--prices", "thrifty"), "--prices thrifty: there is no `prices:` in this policy"),
        (("jsonl", "LOG", "--every", "often"), "--every 'often': write a span"),
        (("jsonl", "LOG", "--tag", "planner"), "--tag 'planner': write NAME=VALUE"),
        (("jsonl", "LOG", "--tools", "LOG"), "no JSON"),
        (("jsonl", "EMPTY"), "nothing to import: there is not one line in it"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    args: tuple[str, ...], says: str, log: Path, ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = log.with_name("empty.jsonl")
    empty.write_text("")
    places = {"LOG": str(log), "EMPTY": str(empty)}
    err = said(capsys, "import", *(places.get(arg, arg) for arg in args), "--ledger", ledger, code=2)
    assert err.startswith("costopt: ")
    assert err.count("\n") == 1
    assert says.replace("LOG", str(log)) in err
    assert not Path(ledger).exists()


def test_nothing_usable_still_has_its_json(
    log: Path, ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", "transcripts", str(log), "--ledger", ledger, "--json"]) == 2
    assert len(json.loads(capsys.readouterr().out)["unusable"]) == 3


def test_a_path_cannot_steer_the_terminal(
    tmp_path: Path, ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "red\x1b[31m.jsonl"
    log.write_text(f"{json.dumps(CALL)}\nbroken\n")
    assert "\x1b" not in said(capsys, "import", "jsonl", log, "--ledger", ledger)
