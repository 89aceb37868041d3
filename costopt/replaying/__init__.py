"""What recorded calls would have cost under another policy: the same pipeline, driven over a ledger."""

from __future__ import annotations

from costopt.replaying.result import (
    CacheAccuracy,
    CallResult,
    GroupResult,
    LeverResult,
    Outcome,
    Replay,
)
from costopt.replaying.rows import frame
from costopt.replaying.run import replay

__all__ = [
    "CacheAccuracy",
    "CallResult",
    "GroupResult",
    "LeverResult",
    "Outcome",
    "Replay",
    "frame",
    "replay",
]
