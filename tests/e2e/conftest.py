"""A provider on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from costopt.demo.simulator import Simulator


@pytest.fixture
def provider() -> Iterator[Simulator]:
    with Simulator() as made:
        yield made
