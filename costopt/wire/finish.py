"""Why a model stopped: the words of all providers in one vocabulary, and "empty" for a stop with nothing said."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from costopt.types import Finish

_WORDS: dict[str, Finish] = {
    "stop": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "completed": "stop",
    "tool_calls": "tool",
    "tool_use": "tool",
    "function_call": "tool",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "content_filter": "filter",
    "safety": "filter",
    "sensitive": "filter",
    "refusal": "refusal",
    "pause_turn": "incomplete",
    "incomplete": "incomplete",
    "in_progress": "incomplete",
    "queued": "incomplete",
    "error": "error",
    "failed": "error",
    "cancelled": "error",
    "network_error": "error",
    "insufficient_system_resource": "error",
}

_UNKNOWN: Finish = "unknown"

_BADNESS: dict[Finish, int] = {
    "error": 7,
    "refusal": 6,
    "filter": 5,
    "length": 4,
    "incomplete": 3,
    "unknown": 2,
    "tool": 1,
    "stop": 0,
    "empty": -1,
}


def finish(word: Any) -> Finish:
    """`word` in our vocabulary: "incomplete" where there is none, "unknown" where we do not know it."""
    if not word:
        return "incomplete"
    if not isinstance(word, str):
        return "unknown"
    return _WORDS.get(word.lower(), _UNKNOWN)


def worst(finishes: Iterable[Finish]) -> Finish:
    """The one that matters of several choices; "unknown" of none."""
    known: list[Finish] = [*finishes]
    return max(known, key=_BADNESS.__getitem__) if known else _UNKNOWN
