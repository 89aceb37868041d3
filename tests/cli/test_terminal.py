"""What the command looks like on a terminal."""

import os
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


def _on_a_terminal(args: list[str], colour: bool) -> str:
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LANG": "C.UTF-8"}
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
