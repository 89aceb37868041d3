"""What the command looks like on a terminal."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import replay_ledger
import sample_ledger

pty = pytest.importorskip("pty", reason="platform: no pseudo-terminals")


@pytest.mark.parametrize("colour", [True, False])
def test_on_a_terminal_tables_are_drawn_and_no_color_is_honoured(tmp_path: Path, colour: bool) -> None:
    out = _on_a_terminal(["report", "--ledger", str(sample_ledger.write(tmp_path))], colour)
    assert "─" in out
    assert "$0.000423" in out
    assert ("\x1b[3" in out) is False  # no colours are used, only bold


def test_a_replay_is_drawn_on_a_terminal(tmp_path: Path) -> None:
    ledger = str(replay_ledger.write(tmp_path))
    out = _on_a_terminal(["replay", ledger, "--policy", "balanced"], True)
    assert "\N{FULL BLOCK}" * 4 + "\N{LIGHT SHADE}" * 20 in out
    assert "replaying" not in out  # the bar is on stderr, which is no terminal here


@pytest.mark.parametrize("columns", [30, 50, 80])
def test_no_number_and_no_day_is_ever_broken(tmp_path: Path, columns: int) -> None:
    ledger = str(sample_ledger.write(tmp_path))
    report = ["report", "--ledger", ledger, "--by", "day", "--by", "tag:agent"]
    lines = re.sub("\x1b\\[[0-9;]*m|\r", "", _on_a_terminal(report, False, columns)).split("\n")
    assert max(map(len, lines)) <= columns
    words = " ".join(lines).split()
    for whole in (
        sample_ledger.DATE,
        sample_ledger.NEXT_DATE,
        "total",
        "$0.000423",
        "+$0.000421",
        "+$0.000009",
        "unpriced",
    ):
        assert whole in words, whole


def test_a_bar_leaves_room_for_its_number(tmp_path: Path) -> None:
    ledger = str(replay_ledger.write(tmp_path))
    out = _on_a_terminal(["replay", ledger, "--policy", "balanced"], False, 40)
    drawn = [line for line in out.split("\r\n") if "\N{FULL BLOCK}" in line]
    assert drawn
    assert all(len(line) <= 40 for line in drawn)


def _on_a_terminal(args: list[str], colour: bool, columns: int = 120) -> str:
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns), "LANG": "C.UTF-8"}
    env.pop("NO_COLOR", None)
    env |= {} if colour else {"NO_COLOR": "1"}
    command = [sys.executable, "-m", "costopt.cli", *args]
    subprocess.run(command, stdout=theirs, env=env, check=True, timeout=60)
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:  # Linux: the other end is closed
        pass
    os.close(ours)
    return seen.decode()
