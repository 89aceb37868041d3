"""Ledgers for tests: written in one go, and what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from costopt.types import Record
from costopt.world.ledger import Fact, Ledger, Reader


def written(folder: Path, records: Sequence[Record], content: Any = "full") -> Path:
    """The same folder, now with these records in its ledger."""
    ledger = Ledger(folder, content)
    ledger.write(records)
    ledger.close()
    return folder


def facts(folder: Path) -> list[Fact]:
    with Reader(folder) as reader:
        return list(reader.facts())
