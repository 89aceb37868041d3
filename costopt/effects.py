"""What a flow asks of the world. `answer = yield from Lookup(key)` reads as a call and does nothing by itself.

A world answers with the value, or with `Work` (blocking, run where blocking is allowed) or a
`concurrent.futures.Future` (a wait). So one world serves threads and event loops alike.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from msgspec import Struct

from costopt.types import Entry, Nano, Record, Reply, Request

R = TypeVar("R", covariant=True)
T = TypeVar("T")


class Effect(Struct, Generic[R], frozen=True):
    """Something asked of the world; `waits` effects may take long and are skipped once the caller has left."""

    waits: ClassVar[bool] = False

    def __iter__(self) -> Generator[Effect[Any], Any, R]:
        answer: R = yield self
        return answer


Flow: TypeAlias = Generator[Effect[Any], Any, T]
Perform: TypeAlias = Callable[[Effect[Any]], Any]


class Work(Struct, Generic[R], frozen=True):
    """A blocking answer: call `run` on a thread that may block."""

    run: Callable[[], R]


class Now(Effect[int], frozen=True):
    """Wall clock, nanoseconds since the epoch."""


class Random(Effect[float], frozen=True):
    """A number in [0, 1)."""


class Sleep(Effect[None], frozen=True):
    seconds: float
    waits: ClassVar[bool] = True


class Lookup(Effect[Entry | None], frozen=True):
    """A live entry under `key`, its reply's `tier` set to where it was found, or None."""

    key: str


class Store(Effect[None], frozen=True):
    key: str
    entry: Entry


class Lead(Struct, frozen=True, weakref=True):
    """You are first: answer for the others, then `Land` (with None when you failed)."""

    key: str
    token: int


class Join(Effect["Lead | Entry | None"], frozen=True):
    """Single-flight: `Lead` for the first, the leader's entry for the rest and for who comes when it has just been
    stored, None if the leader failed or took longer than `patience_s`."""

    key: str
    patience_s: float | None = None
    waits: ClassVar[bool] = True


class Land(Effect[None], frozen=True):
    lead: Lead
    entry: Entry | None


class Head(Struct, frozen=True, weakref=True):
    """You lead this micro-batch; `requests` are all in it, yours first."""

    token: int
    requests: tuple[Request, ...]


class Gather(Effect["Head | Reply | None"], frozen=True):
    """Micro-batching: `Head` for the one who calls for all, the caller's own part for the rest, None to go alone."""

    bucket: str
    request: Request
    size: int
    max_size: int
    max_wait_s: float
    waits: ClassVar[bool] = True


class Scatter(Effect[tuple[Reply, ...]], frozen=True):
    """Hand out the parts, in the order of `Head.requests`; None sends everybody off alone. Answered with the parts that
    nobody took, since their callers have left."""

    head: Head
    parts: tuple[Reply, ...] | None


class Claim(Struct, frozen=True):
    """One budget window a call must fit: `scope` names budget and tag values, `start`/`end` bound the window (ns)."""

    scope: str
    limit: Nano
    start: int
    end: int


class Hold(Struct, frozen=True):
    """Money set aside in every claimed window; expires by itself so that a killed process leaks nothing."""

    id: str
    claims: tuple[Claim, ...]
    nano: Nano


class Reserve(Effect[Hold], frozen=True):
    """Set `nano` aside in all `claims` or in none. Raises BudgetExceeded."""

    call: str
    claims: tuple[Claim, ...]
    nano: Nano


class Settle(Effect[None], frozen=True):
    hold: Hold
    nano: Nano


class Quota(Struct, frozen=True):
    """Requests and tokens per sliding window of one quota group; None is unlimited."""

    group: str
    requests: int | None
    tokens: int | None
    window_s: float


class Ticket(Struct, frozen=True):
    """One request let through at `at` (wall clock, ns), after waiting `waited_ns` for its turn."""

    id: int
    quotas: tuple[Quota, ...]
    tokens: int
    waited_ns: int = 0
    at: int = 0


class Admit(Effect[Ticket], frozen=True):
    """Wait until one request of `tokens` fits every quota, first come first served."""

    quotas: tuple[Quota, ...]
    tokens: int
    waits: ClassVar[bool] = True


class Correct(Effect[None], frozen=True):
    """Replace the ticket's estimate by the `tokens` really used."""

    ticket: Ticket
    tokens: int


class Cool(Effect[None], frozen=True):
    """The provider said 429: let nobody of these groups through for `seconds`."""

    groups: tuple[str, ...]
    seconds: float


class Call(Effect[Reply], frozen=True):
    """Ask the provider. The only effect that costs money. Raises UpstreamError."""

    request: Request
    waits: ClassVar[bool] = True


class Write(Effect[None], frozen=True):
    """Append one fact to the ledger."""

    record: Record
