"""What README tells people to type exists and works."""

import ast
import re
from pathlib import Path

import pytest

from costopt.cli import parser
from costopt.policyfile import parse

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("source", blocks("python"))
def test_python_is_python(source: str) -> None:
    ast.parse(source)


def test_the_policy_is_one() -> None:
    (text,) = blocks("yaml")
    assert parse(text).cache is not None


@pytest.mark.parametrize("line", re.findall(r"\bcostopt ([a-z]+[^`\n|]*)", "\n".join(blocks("sh"))))
def test_commands_are_understood(line: str) -> None:
    parser().parse_args(line.partition("#")[0].split())


def test_files_it_names_are_there() -> None:
    named = re.findall(r"`((?:costopt|notebooks|policies|tests)/[\w./]*)`", README)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_test_command_is_what_ci_runs() -> None:
    (command,) = [block.strip() for block in blocks("sh") if "tests" in block]
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
