"""The words of an import: a line of a log, a model call found in it, a line nobody could use.

A format is one module with `read(lines, options)`; `costopt.importing.formats` names them all. It yields an `Imported`
for each call and an `Unusable` for whatever should have been one and is not. A line that is not about a call yields
nothing. What is common to all formats (secrets, prices, counting, ids, writing) is done in one place, `store`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from msgspec import Struct

from costopt.policy import Price
from costopt.types import Api, Finish, Json, Nano, Usage

#: Whose bill is the ledger's: list prices (or the user's own), or what the log says was paid.
CostOf: TypeAlias = Literal["list", "log"]


class Line(NamedTuple):
    """One line of a log, as it stands there, without its line break. `number` counts from 1 in each file; what was
    packed (gzip, zstd) has been unpacked."""

    path: str
    number: int
    data: bytes


class Options(Struct, frozen=True, kw_only=True):
    """What the user said of the log.

    `model` is for calls that name none, or one without a price; `tools` are the schemas that every call of a
    transcript sent. `start` (ns) and `every` (ns between two calls) give times to logs that have none. `tags` are
    added to every call. `prices` are the user's own, as in a policy. With `cost` "log" a call costs what its log says
    was paid, where it says so. With `prompt_cache`, tokens that had to be
    counted here are split as the provider's prompt cache would have.
    """

    model: str = ""
    tools: list[Any] | None = None
    start: int | None = None
    every: int = 2 * 10**9
    tags: Mapping[str, str] = {}
    prompt_cache: bool = True
    prices: Mapping[str, Price] = {}
    cost: CostOf = "list"


class Imported(Struct, frozen=True, kw_only=True):
    """One model call found in a log.

    `id` is unique and stable in its source (the provider's response id, a span id, a message id): the same call met
    again must have the same `id`, and is counted once whatever its time. `named` is the id that the log's writer gave
    it, where several calls may have one. `body` is the request as far as the log
    has it, in the provider's own JSON; `answer` its JSON answer, or one rebuilt in that shape, None where the log has
    none. `partial` says that the log leaves out some of the request, so that two equal bodies need not be equal
    requests and no cache may be keyed by them. `hit` was answered by a cache of the other tool and cost nothing; its
    usage is that of the answer which it repeats.

    `usage` is what the log itself counted, in disjoint buckets; None reads it from `answer`, and where that has none
    the tokens are counted here and labelled estimated. `cost` is what the log says was paid: a note, and the cost
    itself where the price map has no price or the user wants it so. Times are nanoseconds since the epoch, `ended` 0
    where it is not known.
    """

    id: str
    named: str = ""
    at: int
    ended: int = 0
    api: Api
    provider: str = ""
    model: str
    endpoint: str = ""
    body: Json
    answer: Json | None = None
    usage: Usage | None = None
    raw_usage: Json | None = None
    status: int = 200
    error: str = ""
    finish: Finish | None = None
    stream: bool = False
    tags: Mapping[str, str] = {}
    cost: Nano | None = None
    partial: bool = False
    hit: bool = False


class Unusable(Struct, frozen=True):
    """Something of the log that is no call and should be. `line` 0 is the whole file; `why` is one plain sentence
    that quotes nothing of the log's texts."""

    path: str
    line: int
    why: str


Found: TypeAlias = Imported | Unusable


class Format(Protocol):
    """A module of this package that reads one kind of log."""

    def read(self, lines: Iterable[Line], options: Options) -> Iterator[Found]:
        """The calls in `lines`: all lines of one file, then all of the next. May hold back calls that a later line
        completes, and must not hold more than that in memory."""
        ...
