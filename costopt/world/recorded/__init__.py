"""The recorded world: answers every effect from the ledger, in virtual time. No network, no files, no threads."""

from __future__ import annotations

from costopt.world.recorded.past import Past, asked_provider, asked_then, model_then
from costopt.world.recorded.prompts import Accuracy, PromptCaches
from costopt.world.recorded.world import EventClock, Recorded

__all__ = [
    "Accuracy",
    "EventClock",
    "Past",
    "PromptCaches",
    "Recorded",
    "asked_provider",
    "asked_then",
    "model_then",
]
