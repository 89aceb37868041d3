"""A recorded call as the ledger gives it back."""

from __future__ import annotations

from msgspec import Struct

from costopt.types import Decision, Json, Nano, Receipt, Record, Saving, Tags, Usage

#: The end of time, as far as the ledger can tell: the largest integer SQLite holds, in the year 2262.
FOREVER = 2**63 - 1


class Selection(Struct, frozen=True):
    """Calls started in [since, until) ns that asked for or were answered by `model` (alone or as `provider/model`;
    "" is any) and carry all `tags`."""

    since: int = 0
    until: int = FOREVER
    model: str = ""
    tags: Tags = {}

    def holds(self, fact: Fact) -> bool:
        return (
            self.since <= fact.started < self.until
            and (not self.model or self.model in _names(fact))
            and (not self.tags or self.tags.items() <= fact.tags.items())
        )

    def __str__(self) -> str:
        """What a call must have; empty where any will do."""
        asked = ["that time"] if self.since or self.until < FOREVER else []
        asked += [f"model {self.model}"] if self.model else []
        return ", ".join([*asked, *(f"tag {name}={value}" for name, value in self.tags.items())])


class Fact(Struct, frozen=True, kw_only=True):
    """One call, live or archived. `shape` and `parts` are hashes of the request body's parts, `reply_body`
    and `reply_events` those of the answer; None where there was none.

    `unpriced` says that money was spent and nobody knows how much; `cost` None without `unpriced` is a call that
    never got to spend anything, or a hit on an unpriced answer. `control` is what the caller asked of the cache: "on",
    "off" or "refresh".
    `trimmed` is how many prompt tokens trimming took out before the call was sent; `usage` is that of the rest.
    `waited` is how long limits held the call back, ns."""

    id: str
    started: int
    ended: int
    first: int
    api: str
    provider: str
    endpoint: str
    asked: str
    served: str
    tenant: str
    variant: str
    revision: str
    outcome: str
    tier: str
    status: int | None
    finish: str
    stream: bool
    usage: Usage | None
    raw_usage: Json | None
    cost: Nano | None
    unpriced: bool
    error: str
    headers: dict[str, str]
    tags: dict[str, str]
    request_hash: bytes
    shape: bytes
    parts: tuple[tuple[bytes, ...], ...]
    reply_body: bytes | None = None
    reply_events: bytes | None = None
    cache_key: str = ""
    attempts: tuple[Receipt, ...] = ()
    savings: tuple[Saving, ...] = ()
    decisions: tuple[Decision, ...] = ()
    control: str = "on"
    trimmed: int = 0
    waited: int = 0


def _names(fact: Fact) -> tuple[str, ...]:
    models = fact.asked, fact.served
    return (*models, *(f"{fact.provider}/{model}" for model in models))


def served(record: Record) -> str:
    """The model that answered, as the price map knows it; what was asked where nobody answered."""
    receipt, reply = record.receipt, record.reply
    return (receipt.model if receipt else "") or (reply.model if reply else "") or record.asked_model


def usage(record: Record) -> Usage | None:
    if record.receipt:
        return record.receipt.usage
    return record.reply.usage if record.reply else None


def unpriced(outcome: str, receipt: Receipt | None) -> bool:
    """Whether money was spent at an unknown price. A hit spent none, a failed call without a receipt none we know
    of."""
    if outcome == "hit":
        return False
    return receipt.cost is None if receipt else outcome == "ok"
