"""`python3 -m tests` where not everything can be installed."""

from __future__ import annotations

import importlib.util
import sys
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest


def command() -> Any:
    found = importlib.util.spec_from_file_location("test_command", Path(__file__).with_name("__main__.py"))
    assert found and found.loader
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module
    found.loader.exec_module(module)
    return module


def made(tests: Any, *, fails: bool) -> Future[Path]:
    venv: Future[Path] = Future()
    if fails:
        venv.set_exception(tests.SetupError("npm install\nno such registry"))
    else:
        venv.set_result(Path(sys.executable).parent.parent)
    return venv


@pytest.mark.parametrize("ci", [False, True])
def test_a_simulator_that_cannot_be_installed_is_excused_outside_ci_only(
    ci: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tests = command()
    monkeypatch.setenv("CI", "true") if ci else monkeypatch.delenv("CI", raising=False)
    told = tmp_path / "told"
    code = (
        f"import os; open({str(told)!r}, 'w').write(os.environ['CI'] + ' ' + os.environ[{tests.LACKING!r}])"
    )
    step = tests.Step("tests", "main", (Path(sys.executable).name, "-c", code), needs=("llmock", "aimock"))
    venvs = [made(tests, fails=False), made(tests, fails=False), made(tests, fails=True)]
    assert tests.perform(step, venvs)
    assert told.read_text() == ("true " if ci else "true aimock")
    assert "goes on without aimock: npm install\nno such registry" in capsys.readouterr().out


def test_a_step_without_its_own_environment_fails() -> None:
    tests = command()
    step = tests.Step("mypy", "main", ("mypy",))
    assert not tests.perform(step, [made(tests, fails=True)])
