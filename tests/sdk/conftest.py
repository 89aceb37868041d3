"""An optimizer that caches in memory and on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import costopt
from costopt.policy import Cache, Policy

CACHING = Policy(name="test", cache=Cache(disk=64 * 1024**2))


@pytest.fixture
def optimizer(tmp_path: Path) -> Iterator[costopt.Optimizer]:
    with costopt.Optimizer(CACHING, ledger=tmp_path) as made:
        yield made
