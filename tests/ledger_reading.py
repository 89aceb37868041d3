"""What a ledger holds, for tests."""

from __future__ import annotations

from pathlib import Path

from costopt.world.ledger import Fact, Reader


def facts(folder: Path) -> list[Fact]:
    with Reader(folder) as reader:
        return list(reader.facts())
