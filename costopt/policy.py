"""A policy: what costopt may do, as frozen values. `policyfile` reads one from YAML; the defaults change nothing.

Durations are seconds, sizes bytes, money nano-USD.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from costopt.types import Nano


class Model(Struct, frozen=True):
    """One rung of the ladder, cheapest first. `name` is `provider/model`; None prices come from the price map."""

    name: str
    tier: str = ""


class Cascade(Struct, frozen=True):
    """Escalate to the next model when the answer fails `check`."""

    check: Literal["json", "json_schema", "non_empty", "none"] = "none"


class Route(Struct, frozen=True):
    """Model choice. Applies to calls that ask for `alias`, and to models listed in `downgrade`."""

    alias: str = "auto"
    strategy: Literal["rules", "cheapest", "strongest"] = "rules"
    downgrade: tuple[str, ...] = ()
    long_prompt: int = 4000
    task: dict[str, str] = {}
    cascade: Cascade = Cascade()


class Trim(Struct, frozen=True):
    """Token budget of a prompt. Above `budget` whole tool groups are cut down to `keep`; a tool output longer
    than `tool_output` tokens is shortened on arrival (None: left alone)."""

    budget: int
    keep: int
    tool_output: int | None = None


class Cache(Struct, frozen=True):
    """Exact cache. `sampled` stores answers of calls with temperature above 0 or unset; `tool_calls` answers that
    call tools."""

    ttl: float = 7 * 86400.0
    scope: Literal["tenant", "shared"] = "tenant"
    memory: int = 256 * 1024**2
    disk: int = 0
    sampled: bool = True
    tool_calls: bool = False
    share: bool = True


class Limit(Struct, frozen=True):
    """Requests and tokens per `window` seconds for the models that match one of `models` (default: those of the
    provider `group`)."""

    group: str
    requests: int | None = None
    tokens: int | None = None
    window: float = 60.0
    models: tuple[str, ...] = ()


class Budget(Struct, frozen=True):
    """At most `limit` in each `window`, separately for each value of the tag `per` (empty: for everybody together)."""

    limit: Nano
    window: Literal["minute", "hour", "day", "week", "month", "total"]
    per: str = ""
    on_exceed: Literal["reject", "downgrade"] = "reject"
    on_unknown_price: Literal["reject", "allow"] = "reject"


class Retry(Struct, frozen=True):
    """Attempts made here, the first included; 1 leaves retrying to the client."""

    attempts: int = 1
    base: float = 0.5
    cap: float = 8.0


class Batch(Struct, frozen=True):
    """Micro-batching of embeddings: merged within `max_wait` seconds up to `max_size` inputs; 0 is off."""

    max_size: int = 0
    max_wait: float = 0.02


class Ledger(Struct, frozen=True):
    """Where calls are recorded. `path` is a folder; empty records nothing."""

    path: str = "~/.costopt"
    content: Literal["full", "hashed"] = "full"
    archive_after: float | None = 30 * 86400.0
    keep: float | None = None


class Price(Struct, frozen=True):
    """A price of the user's own, nano-USD per million tokens; overrides the price map for one model."""

    input: Nano
    output: Nano
    cache_read: Nano | None = None
    cache_write: Nano | None = None
    cache_write_1h: Nano | None = None


class Policy(Struct, frozen=True):
    """All of it. An absent block is a lever that is off."""

    name: str = "observe"
    models: tuple[Model, ...] = ()
    route: Route | None = None
    trim: Trim | None = None
    cache: Cache | None = None
    limits: tuple[Limit, ...] = ()
    budgets: tuple[Budget, ...] = ()
    retry: Retry = Retry()
    batch: Batch = Batch()
    ledger: Ledger | None = Ledger()
    prices: dict[str, Price] = {}
    strict: bool = False
    source: str = ""

    @property
    def disk(self) -> int:
        """Bytes of the disk cache. None are kept where the ledger keeps no text: answers are text."""
        hashed = self.ledger is not None and self.ledger.content == "hashed"
        return 0 if self.cache is None or hashed else self.cache.disk
