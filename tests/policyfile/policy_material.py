"""What is wrong with a policy."""

from __future__ import annotations

from textwrap import dedent

import pytest

from costopt.errors import PolicyError, Problem
from costopt.policyfile import parse


def problems(text: str, **known: object) -> tuple[Problem, ...]:
    with pytest.raises(PolicyError) as error:
        parse(dedent(text), "p.yaml", **known)  # type: ignore[arg-type]
    assert "\n".join(map(str, error.value.problems)) == str(error.value)
    return error.value.problems
