"""One import from beginning to end: `load` reads the files, makes records of the calls and writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from msgspec import Struct, field

from costopt.errors import CannotImport
from costopt.importing.formats import FORMATS, format_named
from costopt.importing.recording import Recorded, Recorder, Unfit, record_id
from costopt.importing.sources import Sources, found
from costopt.importing.store import BATCH, Content, Store
from costopt.importing.words import Found, Imported, Options, Unusable
from costopt.money import with_usd
from costopt.tagging import timeless
from costopt.types import Nano
from costopt.world import pricemap
from costopt.world.files import expanded
from costopt.world.tokenizers import counter

#: Hears of bytes read and bytes in all (0: not known) after each batch.
Progress: TypeAlias = Callable[[int, int], None]


class Bill(Struct):
    """What the log says was paid for `calls` new calls in all, and what they cost at the prices we have (nano-USD)."""

    calls: int = 0
    logged: Nano = 0
    listed: Nano = 0

    def to_dict(self) -> dict[str, Any]:
        return {"calls": self.calls, "log": {"cost": self.logged}, "list": {"cost": self.listed}}


class Summary(Struct, kw_only=True):
    """What one import did.

    Of `lines` read, `calls` were found: `new` ones are in the ledger now, `known` ones were there already (or twice in
    the log), the rest is in `unusable`, as is every line that could not be read. Of the new ones, `shared` had an id in
    the log that another call with another request, answer or time has too, `counted` had no token counts in the log,
    `timeless` no time, `unanswered` neither answer nor counts, so that their output is in no sum, `unpriced` no known
    price; `cost` (nano-USD) sums up the others. `bill` compares those whose log says what was paid. `first` and `last`
    are when the earliest and the latest of them began (ns).
    """

    format: str
    ledger: str
    files: int
    lines: int = 0
    calls: int = 0
    new: int = 0
    known: int = 0
    shared: int = 0
    counted: int = 0
    timeless: int = 0
    unanswered: int = 0
    unpriced: int = 0
    cost: Nano = 0
    first: int | None = None
    last: int | None = None
    bill: Bill = field(default_factory=Bill)
    unusable: list[Unusable] = []

    @property
    def usable(self) -> bool:
        """Whether there was anything to import, new or not."""
        return self.new + self.known > 0

    def to_dict(self) -> dict[str, Any]:
        """For JSON, `cost_usd` included."""
        told = {
            name: getattr(self, name) for name in self.__struct_fields__ if name not in ("bill", "unusable")
        }
        lost = [{"path": each.path, "line": each.line, "why": each.why} for each in self.unusable]
        return with_usd({**told, "bill": self.bill.to_dict(), "unusable": lost})


def load(
    format: str,  # noqa: A002 - why: as the command calls it
    paths: Sequence[str | Path],
    *,
    ledger: str | Path,
    options: Options | None = None,
    content: Content = "full",
    progress: Progress | None = None,
) -> Summary:
    """Import logs into the ledger in the folder `ledger`; each call once, however often it is imported.

    `paths` are files (.gz and .zst too), folders or "-". Nothing that looks like a call is left out without an entry
    in `Summary.unusable`. With `content="hashed"` no text of prompts and answers is kept. Raises CannotImport
    (unknown format, missing file) and LedgerError.
    """
    if format not in FORMATS:
        raise CannotImport(_unknown(format))
    files = found(paths, FORMATS[format].files)
    folder = expanded(ledger)
    summary = Summary(format=format, ledger=str(folder), files=len(files))
    store = partial(Store, folder, content)
    run = _Run(Sources(files, summary.unusable.append), store, options or Options(), summary)
    try:
        while run.batch():
            if progress:
                progress(run.sources.done, run.sources.total)
    finally:
        run.close()
    summary.lines = run.sources.lines
    return summary


class _Place(Struct, frozen=True):
    """Where in the log something was found."""

    path: str
    line: int


class _Run:
    """The calls of one import, batch by batch. The ledger is opened at the first of them."""

    def __init__(
        self, sources: Sources, opened: Callable[[], Store], options: Options, summary: Summary
    ) -> None:
        self.sources = sources
        self._opened = opened
        self._summary = summary
        self._recorder = Recorder(options, pricemap.load(options.prices), counter())
        self._calls = self._new(format_named(summary.format).read(iter(sources), options))

    @cached_property
    def _store(self) -> Store:
        return self._opened()

    def batch(self) -> bool:
        """Write the next calls; False where there are no more."""
        calls = sorted(islice(self._calls, BATCH), key=lambda each: each[0].at)
        recorded = {each.record.request.id: (each, place) for each, place in self._recorded(calls)}
        records = [each.record for each, _ in recorded.values()]
        refused = self._store.write(records) if records else []
        for record in refused:
            _, place = recorded.pop(record.request.id)
            self._lose(place, "holds a value that the ledger cannot store")
        for each, _ in recorded.values():
            self._count(each)
        return bool(calls)

    def close(self) -> None:
        if "_store" in self.__dict__:
            self._store.close()

    def _new(self, calls: Iterator[Found]) -> Iterator[tuple[Imported, _Place]]:
        """The calls that were never met before."""
        for call in calls:
            if isinstance(call, Unusable):
                self._summary.unusable.append(call)
                continue
            self._summary.calls += 1
            is_shared = bool(call.named) and self._store.is_shared(call.named)
            if self._store.is_new(record_id(self._summary.format, call)):
                self._summary.shared += is_shared
                yield call, _Place(*self.sources.place)
            else:
                self._summary.known += 1

    def _recorded(self, calls: Sequence[tuple[Imported, _Place]]) -> Iterator[tuple[Recorded, _Place]]:
        for call, place in calls:
            name = record_id(self._summary.format, call)
            try:
                yield self._recorder.record(call, name), place
            except (ValueError, TypeError, OverflowError, RecursionError) as error:
                # why: a log holds anything, and one odd call must not end the import of all others
                self._store.forget(name)
                odd = f"cannot be recorded ({type(error).__name__})"
                self._lose(place, str(error) if isinstance(error, Unfit) else odd)

    def _lose(self, place: _Place, why: str) -> None:
        self._summary.unusable.append(Unusable(place.path, place.line, why))

    def _count(self, each: Recorded) -> None:
        summary, record = self._summary, each.record
        summary.new += 1
        summary.first = min(summary.first or record.started, record.started)
        summary.last = max(summary.last or 0, record.started)
        summary.timeless += timeless(record.request.tags)
        summary.unanswered += not each.answered
        if receipt := record.receipt:
            summary.counted += receipt.usage.estimated
            summary.unpriced += receipt.cost is None
            summary.cost += receipt.cost or 0
        if record.outcome != "hit":
            _compare(summary.bill, each.call.cost, each.listed)


def _compare(bill: Bill, logged: Nano | None, listed: Nano | None) -> None:
    if logged is not None and listed is not None:
        bill.calls += 1
        bill.logged += logged
        bill.listed += listed


def _unknown(name: str) -> str:
    near = get_close_matches(name.lower(), FORMATS, n=1, cutoff=0.3)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"no format is called {name!r}{hint} (formats: {', '.join(FORMATS)})"
