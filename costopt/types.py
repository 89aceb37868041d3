"""The words every floor of the house uses. Values only: no I/O, no clock, no provider SDK.

Money is an integer number of nano-USD (1 USD = 1,000,000,000 `Nano`); an unknown price is `None`, never 0.
Time is an integer number of nanoseconds since the epoch unless a name ends in `_s` (seconds, float).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from msgspec import Struct

Nano: TypeAlias = int
Json: TypeAlias = dict[str, Any]
Api: TypeAlias = Literal["chat", "responses", "messages", "embeddings", "completions"]
Tags: TypeAlias = Mapping[str, str]

#: How far a saving can be trusted: recorded, arithmetic on recorded facts, same-output assumption, or a guess.
Basis: TypeAlias = Literal["known", "derived", "assumed", "estimated"]
#: How a call ended. `hit` was answered without a provider; `left` means the caller went away.
Outcome: TypeAlias = Literal["ok", "hit", "error", "left", "refused"]
#: Why the model stopped, in one vocabulary for all dialects. `empty` is a stop with nothing said.
Finish: TypeAlias = Literal[
    "stop", "tool", "length", "filter", "refusal", "error", "incomplete", "empty", "unknown"
]
#: What a request needs from a model.
Need: TypeAlias = Literal["tools", "vision", "audio", "json_schema", "reasoning"]
Tier: TypeAlias = Literal["", "memory", "disk", "flight"]


class Usage(Struct, frozen=True):
    """Tokens of one call in disjoint buckets: input + cache_read + cache_write + cache_write_1h = the whole prompt.

    `audio_input` and `image_input` are parts of `input`, `audio_output`, `image_output` and `reasoning` parts
    of `output`.
    `service_tier` also names what else sets the price (`costopt.wire.terms`). `estimated` says that numbers were
    counted here because the provider sent none, or not of all that came.
    """

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    image_input: int = 0
    searches: int = 0
    service_tier: str = ""
    estimated: bool = False
    image_output: int = 0

    @property
    def prompt(self) -> int:
        """All tokens sent, whatever they cost."""
        return self.input + self.cache_read + self.cache_write + self.cache_write_1h


class Turn(Struct, frozen=True):
    """One item of a conversation as the decisions see it; `raw` is the provider's own JSON, untouched.

    `calls` are ids of tool calls this turn makes, `answers` ids it answers. `pinned` turns are never cut.
    `text` is everything countable in it; `extra_tokens` stands for what is not text (images, audio).
    """

    role: Literal["system", "user", "assistant", "tool"]
    text: str
    raw: Any
    calls: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    pinned: bool = False
    extra_tokens: int = 0


class Control(Struct, frozen=True):
    """What was asked for one call, by its caller or by what the call is; `why` says who asked for no cache."""

    cache: Literal["on", "off", "refresh"] = "on"
    deadline_s: float | None = None
    why: str = ""


class Decision(Struct, frozen=True):
    """One thing a layer decided, in plain words; the ledger keeps them and `costopt explain` prints them."""

    layer: str
    what: str


class Request(Struct, frozen=True):
    """One model call on its way down. `body` is the provider's JSON, shared and never mutated.

    `raw` is the caller's own bytes as long as nobody edited `body`, else empty. `endpoint` is the upstream URL
    without query. `variant` holds whatever else can change the answer (query, beta headers); it may hold secrets.
    `tenant` separates whose answers these are. `hold` asks the driver to keep a stream back until it is accepted.
    `provider` is the price map's provider name. `at` is when the call came in, `patience_s` how long its caller
    waits for an answer. `key` is the cache key, empty where the call may not be cached. `notes` grows as layers
    decide. `tokens` is the prompt's length where it is known without counting.
    """

    id: str
    api: Api
    model: str
    body: Json
    endpoint: str
    provider: str = ""
    raw: bytes = b""
    stream: bool = False
    tenant: str = ""
    variant: str = ""
    tags: Tags = {}
    control: Control = Control()
    hold: bool = False
    key: str = ""
    at: int = 0
    patience_s: float | None = None
    tokens: int | None = None
    notes: list[Decision] = []

    def note(self, layer: str, what: str) -> None:
        self.notes.append(Decision(layer, what))


class Saving(Struct, frozen=True):
    """What one lever saved (+) or lost (-) on one call, net of its own overhead, against `baseline`."""

    lever: str
    nano: Nano
    basis: Basis
    baseline: str


class Receipt(Struct, frozen=True):
    """What a call cost. `cost + sum(savings)` is what it would have cost without costopt; None is unpriced.

    `attempts` are the paid calls that were made and not used (failed checks, tries nobody heard of again, parts whose
    callers had left); their cost is part of `cost`, and `own` is what the used answer cost without them (None where
    there are none, or nobody knows).
    `trimmed` is how many prompt tokens trimming took out before the call was sent, by our own count; `usage` is
    that of the shorter prompt.
    """

    model: str
    usage: Usage
    cost: Nano | None
    revision: str = ""
    savings: tuple[Saving, ...] = ()
    attempts: tuple[Receipt, ...] = ()
    trimmed: int = 0
    own: Nano | None = None


class Reply(Struct, frozen=True):
    """A finished answer. `body` is the JSON answer, `events` the raw SSE bytes; at least one is there.

    `raw_usage` is the provider's usage object as it came. `usage` is None where the provider sent none, or zeros.
    `first_ns` is when its first byte came (0: not known), `waited_ns` how long limits held the request back.
    `asked_usage` says whether a stream was asked to report usage (None: not known).
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    events: bytes = b""
    model: str = ""
    usage: Usage | None = None
    raw_usage: Json | None = None
    finish: Finish = "unknown"
    tier: Tier = ""
    receipt: Receipt | None = None
    first_ns: int = 0
    waited_ns: int = 0
    asked_usage: bool | None = None


class Entry(Struct, frozen=True):
    """A stored answer. `expires` is absolute, so moving it between tiers never lengthens its life."""

    reply: Reply
    created: int
    expires: int


class Record(Struct, frozen=True):
    """The immutable fact of one call, as the ledger stores it."""

    request: Request
    reply: Reply | None
    outcome: Outcome
    started: int
    ended: int
    asked_model: str
    receipt: Receipt | None
    error: str = ""
