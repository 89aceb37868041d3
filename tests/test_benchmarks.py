"""A benchmark that had nothing to measure does not hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from costopt.world.ledger import Ledger

ROOT = Path(__file__).resolve().parent.parent


def benchmark(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *args]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("name", ["clients", "importing", "replay"])
def test_without_material_it_fails_and_says_so(name: str, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "replay")
    ledger.open()
    ledger.close()
    (tmp_path / "clients").mkdir()
    (tmp_path / "importing").write_text("\n")
    done = benchmark(name, "--data", str(tmp_path / name))
    assert done.returncode == 1
    assert done.stderr.startswith(f"{name}: nothing measured: no ")
    assert json.loads(done.stdout.splitlines()[-1]) == {"name": name, "figures": {}, "holds": False}


@pytest.mark.parametrize(("name", "why"), [("clients", "there is nothing"), ("hit", "takes no --data")])
def test_data_that_is_not_there_or_not_wanted_is_bad_input(name: str, why: str, tmp_path: Path) -> None:
    done = benchmark(name, "--data", str(tmp_path / "nowhere"))
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr
