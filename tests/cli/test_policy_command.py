"""`costopt policy`: what it tells of a policy, and every problem at its place."""

import json
from pathlib import Path

import pytest

from costopt.cli import main


@pytest.mark.parametrize("preset", ["balanced", "thrifty", "careful", "observe"])
def test_presets_are_explained(preset: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "check", preset]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{preset}: ")
    assert err == ""


def test_models_are_told_with_their_prices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("version: 1\nmodels: [{name: openai/gpt-4o-mini}, {name: openai/gpt-4o}]\nroute: {}\n")
    assert main(["policy", "check", str(file)]) == 0
    assert "openai/gpt-4o-mini ($0.15 in and $0.60 out per million tokens)" in capsys.readouterr().out


def test_every_problem_has_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("version: 1\ncache: {tll: 7d}\nbudgets: [{limit: 5 apples}]\n")
    assert main(["policy", "check", str(file)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"{file}:2: cache.tll: ")
    assert lines[1].startswith(f"{file}:3: budgets[0].limit: ")


def test_a_model_without_a_price_is_told_with_the_nearest_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("version: 1\nmodels: [{name: openai/gpt-4o-mni}]\nroute: {}\n")
    assert main(["policy", "check", str(file)]) == 2
    assert "gpt-4o-mini" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["balance", "nowhere.yaml", "/nowhere/policy.yaml"])
def test_what_is_not_there_is_bad_input(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "check", name]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_schema_is_a_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "schema"]) == 0
    assert "properties" in json.loads(capsys.readouterr().out)


def test_presets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "list"]) == 0
    out = capsys.readouterr().out
    assert {"balanced", "thrifty", "careful", "observe"} <= {line.split()[0] for line in out.splitlines()}


def test_a_model_for_something_else_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "policy.yaml"
    models = (
        "models: [{name: openai/text-embedding-3-small}, {name: openai/gpt-4o}, {name: openai/gpt-5-codex}]"
    )
    file.write_text(f"version: 1\n{models}\nroute: {{}}\n")
    assert main(["policy", "check", str(file)]) == 0
    out = capsys.readouterr().out
    assert "Note: openai/text-embedding-3-small is for embedding, so no call is routed to it." in out
    assert out.count("is for") == 1, "a model for the Responses API is for conversations"
