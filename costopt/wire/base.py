"""What a dialect is: a view of one API's JSON for the decisions, and the edits they may make to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from costopt.types import Finish, Json, Need, Turn, Usage


class Event(Struct, frozen=True):
    """One server-sent event. `raw` are its exact bytes, blank line included; `data` is its joined data
    field."""

    raw: bytes
    event: str
    data: bytes


class Summary(Struct, frozen=True):
    """What an answer says of itself."""

    model: str
    usage: Usage | None
    raw_usage: Json | None
    finish: Finish


class Dialect(Protocol):
    """One API. All methods are pure; none mutates what it is given; unknown fields and events survive."""

    def turns(self, body: Json) -> list[Turn]:
        """The conversation, in order; system text that stands outside the list comes first as a pinned
        turn."""
        ...

    def with_turns(self, body: Json, turns: Sequence[Turn]) -> Json:
        """A copy of `body` holding just these turns (a subset, or turns from `with_outputs`), all else as it
        was."""
        ...

    def outputs(self, turn: Turn) -> list[str]:
        """What tools said in `turn`: the text of each output that has one, and nothing else that counts as text."""
        ...

    def with_outputs(self, turn: Turn, texts: Sequence[str]) -> Turn:
        """`turn` with `texts` in the place of its `outputs`, one for each, and all else as it was."""
        ...

    def with_model(self, body: Json, model: str) -> Json: ...

    def tools_text(self, body: Json) -> str:
        """Tool schemas and response schema as sent, for counting; empty where there are none."""
        ...

    def needs(self, body: Json) -> frozenset[Need]: ...

    def choices(self, body: Json) -> int:
        """How many answers are asked for; each may be as long as the bound on one."""
        ...

    def max_output(self, body: Json) -> int | None:
        """The caller's own bound on output tokens (all choices together), or None."""
        ...

    def summary(self, body: Json) -> Summary:
        """Read a JSON answer."""
        ...

    def read(self, answer: bytes) -> Summary:
        """`summary` of an encoded answer, decoding no more than it needs. Raises ValueError: no JSON
        object."""
        ...

    def output_text(self, body: Json) -> str:
        """All text and tool-call arguments of a JSON answer, no reasoning, for checks."""
        ...

    def written_text(self, body: Json) -> str:
        """Everything a JSON answer shows of its output, reasoning and tool names included, for counting where the
        provider sent no usage."""
        ...

    def complete(self, events: Sequence[Event]) -> bool:
        """Whether the stream reached its proper end."""
        ...

    def assemble(self, events: Sequence[Event]) -> Json:
        """The JSON answer that a (possibly cut) stream adds up to."""
        ...

    def replay(self, answer: Json, request: Json) -> bytes:
        """A JSON answer as the SSE bytes this API would have streamed for `request`."""
        ...

    def restream(self, events: Sequence[Event], request: Json) -> bytes:
        """Recorded events as `request` asks for them (usage chunk only where asked for), all other bytes as
        recorded."""
        ...
