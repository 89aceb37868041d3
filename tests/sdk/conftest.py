from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import costopt
from costopt.policy import Cache, Ledger, Policy


@pytest.fixture
def optimizer(tmp_path: Path) -> Iterator[costopt.Optimizer]:
    with costopt.Optimizer(Policy(cache=Cache(), ledger=Ledger()), ledger=tmp_path) as made:
        yield made
