"""A place to call litellm from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from edge.litellm_material import Desk, desk


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as made:
        yield made
