"""One dialect per provider API: a view of its JSON, edits to it, and the way between streams and plain
answers."""

from costopt.wire.reply import (
    answer,
    answer_body,
    answer_stream,
    calls,
    dialect,
    output_text,
    read_body,
    read_events,
    texts,
    uncounted,
    unfinished,
    written_text,
)
from costopt.wire.urls import deployment, recognise, unread, with_deployment

__all__ = [
    "answer",
    "answer_body",
    "answer_stream",
    "calls",
    "deployment",
    "dialect",
    "output_text",
    "read_body",
    "read_events",
    "recognise",
    "texts",
    "uncounted",
    "unfinished",
    "unread",
    "with_deployment",
    "written_text",
]
