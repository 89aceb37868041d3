"""The command as a program: exit codes, stderr, pipes, start-up."""

import json
import os
import socket
import subprocess
import sys
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from pathlib import Path

import pytest
import sample_ledger

from costopt import __version__, cli
from costopt.cli import main, quietly

COMMAND = (sys.executable, "-m", "costopt.cli")


def costopt(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *args], capture_output=True, text=True, env={**os.environ, **env}, check=False, timeout=60
    )


def test_version_is_printed_and_is_success(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"costopt {__version__}\n"


@pytest.mark.parametrize("args", [[], ["nonsense"], ["report", "--json", "--csv"], ["archive"], ["policy"]])
def test_what_it_does_not_know_is_bad_input(args: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(args)
    assert exit_.value.code == 2


def test_bad_values_are_one_line_on_stderr(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["report", "--ledger", str(tmp_path), "--since", "soon"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("costopt: --since 'soon'")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    "args",
    [
        ["report", "--ledger", "NOWHERE"],
        ["explain", "18f3", "--ledger", "NOWHERE"],
        ["replay", "NOWHERE", "--policy", "balanced"],
        ["archive", "run", "--ledger", "NOWHERE"],
        ["demo", "--ledger", "NOWHERE"],
        ["import", "jsonl", "NOWHERE"],
        ["policy", "check", "NOWHERE"],
    ],
)
def test_a_home_folder_that_is_not_there_is_one_line(
    args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([arg.replace("NOWHERE", "~no-such-user/x.yaml") for arg in args]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "~no-such-user/x.yaml" in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    "args",
    [["report"], ["report", "--json"], ["explain", "18f3"], ["archive", "run"]],
)
def test_no_ledger_is_a_failure_in_one_line(
    args: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    nowhere = tmp_path / "nowhere"
    assert main([*args, "--ledger", str(nowhere)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("costopt: ")
    assert said.err.count("\n") == 1
    assert not nowhere.exists()


@pytest.mark.parametrize("args", [["explain"], ["replay", "--policy", "observe", "--explain"]])
@pytest.mark.parametrize(("call", "why"), [("18f3", "18f3: no such call"), ("", "which call?")])
def test_a_call_that_is_not_there_is_bad_input(
    args: list[str], call: str, why: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sample_ledger.write(tmp_path)
    where = [str(tmp_path)] if args[0] == "replay" else ["--ledger", str(tmp_path)]
    assert main([args[0], *where, *args[1:], call]) == 2
    assert why in capsys.readouterr().err


LONG = "x" * 300
NO_TEXT = "a\udcff"
LAST = "\U0010ffff"


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["explain", NO_TEXT, "--ledger", "LEDGER"], "'a\\udcff': no id of a call holds these bytes"),
        (["explain", LAST, "--ledger", "LEDGER"], f"{LAST}: no such call"),
        (["explain", "\ud7ff", "--ledger", "LEDGER"], "no such call"),
        (
            ["replay", "LEDGER", "--policy", "observe", "--explain", NO_TEXT],
            "no id of a call holds these bytes",
        ),
        (["replay", "LEDGER", "--policy", "observe", "--model", NO_TEXT], "--model 'a\\udcff': these bytes"),
        (["replay", "LEDGER", "--policy", "observe", "--tag", f"a={NO_TEXT}"], "--tag 'a=a\\udcff': these"),
        (["report", "--by", f"tag:{NO_TEXT}", "--ledger", "LEDGER"], "--by 'tag:a\\udcff': these bytes"),
        (["import", "jsonl", "calls.jsonl", "--tag", f"a={NO_TEXT}"], "--tag 'a=a\\udcff': these bytes"),
        (["import", "jsonl", "calls.jsonl", "--model", NO_TEXT], "--model 'a\\udcff': these bytes"),
    ],
)
def test_bytes_that_are_no_text_are_bad_input_in_one_line(
    args: list[str], why: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = str(sample_ledger.write(tmp_path))
    assert main([arg.replace("LEDGER", folder) for arg in args]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert why in said.err


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="platform: no socket to put where a file is meant")
def test_a_file_that_cannot_be_read_is_bad_input_to_import_and_to_replay(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as here:
        here.bind("calls.jsonl")
        for args in (["import", "jsonl", "calls.jsonl"], ["replay", "calls.jsonl", "--policy", "observe"]):
            assert main(args) == 2
            assert capsys.readouterr().err.startswith("costopt: calls.jsonl: cannot be read: ")


@pytest.mark.parametrize("args", [["replay", LONG, "--policy", "observe"], ["report", "--ledger", LONG]])
def test_a_path_that_cannot_be_looked_at_is_one_line(
    args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(args) in (1, 2)
    said = capsys.readouterr().err
    assert said.startswith("costopt: ") and f"{LONG}: " in said
    assert (said.count("\n"), "Errno" in said) == (1, False)


def commands(of: ArgumentParser, *names: str) -> Iterator[tuple[tuple[str, ...], ArgumentParser]]:
    """Every command and action below `of`."""
    for action in of._actions:
        if isinstance(action, _SubParsersAction):
            for name, one in action.choices.items():
                yield (*names, name), one
                yield from commands(one, *names, name)


def test_every_command_says_what_it_does_and_is_listed() -> None:
    listed = cli.__doc__ or ""
    for names, one in commands(cli.parser()):
        assert one.description and one.description.rstrip().endswith("."), names
        assert all(action.help for action in one._actions if action.metavar != "ACTION"), names
        if len(names) == 1:
            assert f"\n    {names[0]} " in listed


def test_a_reader_who_leaves_ends_it_quietly() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run(
            [*COMMAND, "policy", "schema"], stdout=closed, stderr=subprocess.PIPE, check=False, timeout=60
        )
    assert done.returncode == 141
    assert done.stderr == b""


@pytest.mark.parametrize("args", [["import", "--list"], ["--version"], ["report", "--help"]])
def test_a_reader_who_leaves_before_argparse_is_done_ends_it_quietly(args: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run(
            [*COMMAND, *args],
            stdout=closed,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
            env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        )
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_nobody_to_talk_to(tmp_path: Path, closed: str) -> None:
    sample_ledger.write(tmp_path)
    code = f'"$0" -m costopt.cli report --ledger "$1" {closed}'
    done = subprocess.run(
        ["/bin/sh", "-c", code, sys.executable, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert ("gpt-4o" in done.stdout) is (closed == "2>&-")


def test_a_full_disk_under_the_output_is_a_failure_in_one_line() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("platform: no /dev/full")
    with full.open("wb") as out:
        done = subprocess.run(
            [*COMMAND, "policy", "schema"],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("costopt: ")
    assert done.stderr.count("\n") == 1


def test_an_output_that_is_not_utf_8_shows_escapes(tmp_path: Path) -> None:
    sample_ledger.write(tmp_path, agent="プランナー 🎉 é")
    shown = costopt("report", "--ledger", str(tmp_path), "--by", "tag:agent", PYTHONIOENCODING="ascii")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert r"\u30d7" in shown.stdout
    told = costopt(
        "report", "--ledger", str(tmp_path), "--by", "tag:agent", "--json", PYTHONIOENCODING="ascii"
    )
    assert "プランナー 🎉 é" in [row["tag:agent"] for row in json.loads(told.stdout)["rows"]]


def test_ctrl_c_ends_it_quietly(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    assert quietly(interrupted) == 130
    assert capsys.readouterr().err == ""


def test_the_command_starts_without_the_heavy_libraries() -> None:
    heavy = {"litellm", "openai", "httpx", "httpx2", "rich", "sqlite3", "tiktoken", "yaml", "diskcache"}
    code = f"import sys; from costopt.cli import parser; parser(); print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"
