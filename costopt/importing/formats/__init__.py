"""The formats by name. Each is a module of this package, loaded on first use."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from msgspec import Struct

from costopt.importing.words import Format


class Listed(Struct, frozen=True):
    """A format in the list: its module in this package, what it reads, and which files of a folder are its own."""

    module: str
    what: str
    files: tuple[str, ...] = ("*.jsonl", "*.json", "*.ndjson")


FORMATS = {
    "jsonl": Listed("jsonl", "one call a line: request, response, timestamp, tags; also OpenAI batch files"),
    "transcripts": Listed("transcripts", "one conversation a line, as a list of messages"),
    "litellm": Listed("litellm", "litellm's standard logging payload"),
    "langfuse": Listed(
        "langfuse", "an export of Langfuse observations", ("*.jsonl", "*.json", "*.ndjson", "*.csv")
    ),
    "otlp": Listed("otlp", "OpenTelemetry GenAI spans as OTLP JSON"),
    "claude-code": Listed("claude_code", "session logs of Claude Code (~/.claude/projects)", ("*.jsonl",)),
    "codex": Listed("codex", "session logs of Codex (~/.codex/sessions)", ("*.jsonl",)),
}


def format_named(name: str) -> Format:
    """The module of a format. Raises KeyError."""
    return cast(Format, import_module(f"{__name__}.{FORMATS[name].module}"))
