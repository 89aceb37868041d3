"""Every notebook runs from top to bottom in a fresh interpreter, and is committed without outputs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
#: What each prints near its end, and the ledger it leaves in its folder.
TOLD = {
    "01_where_the_money_goes": ("was asked", "ledger.sqlite3"),
    "02_what_would_it_have_cost": ("reported on", "ledger/ledger.sqlite3"),
}


def code_cells(notebook: Path) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_they_are_all_here() -> None:
    assert [notebook.stem for notebook in NOTEBOOKS] == sorted(TOLD)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.skipif(not (find_spec("matplotlib") and find_spec("pandas")), reason="pip install '.[notebook]'")
def test_it_runs_from_top_to_bottom(notebook: Path, tmp_path: Path) -> None:
    script = tmp_path / "notebook.py"
    script.write_text("\n\n".join("".join(cell["source"]) for cell in code_cells(notebook)), encoding="utf-8")
    env = {**os.environ, "MPLBACKEND": "Agg", "TMPDIR": str(tmp_path), "MPLCONFIGDIR": str(tmp_path / "mpl")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore::UserWarning", str(script)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=env,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    words, ledger = TOLD[notebook.stem]
    assert words in done.stdout
    assert list(tmp_path.glob(f"costopt-notebook-*/{ledger}"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_committed_without_outputs(notebook: Path) -> None:
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code_cells(notebook))
