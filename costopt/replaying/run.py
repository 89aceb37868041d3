"""The whole replay: recorded calls through the pipeline of another policy, in the recorded world."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from msgspec.structs import replace

from costopt.decide.prices import PriceBook
from costopt.effects import Flow
from costopt.errors import LedgerError
from costopt.flow import Handler, compose
from costopt.plan import Plan
from costopt.policy import Ledger, Policy
from costopt.policyfile import load
from costopt.replaying.change import Change, Judge
from costopt.replaying.notes import cautions, remarks
from costopt.replaying.result import CacheAccuracy, Outcome, Replay
from costopt.replaying.source import Needs, Source
from costopt.replaying.summary import outcome_of
from costopt.replaying.tally import Tally
from costopt.replaying.timeline import Timeline, Turn, Watch
from costopt.replaying.turns import Turns
from costopt.types import Reply
from costopt.world.files import expanded
from costopt.world.ledger.read import Reader
from costopt.world.ledger.words import FOREVER, Selection
from costopt.world.pricemap import load as load_prices
from costopt.world.recorded import Accuracy, EventClock, Past, PromptCaches, Recorded
from costopt.world.tokenizers import counter

#: A preset's name, a path to a YAML file, a mapping of the same shape, or a Policy.
PolicyLike: TypeAlias = str | Path | Policy | Mapping[str, Any]
#: Told how many calls are done, of how many.
Progress: TypeAlias = Callable[[int, int], None]
#: Told of each call as it ends: what the policy changed about it.
Hear: TypeAlias = Callable[[Change], None]
#: How often progress is told, in calls.
EVERY = 500


def replay(
    source: str | Path,
    policy: PolicyLike,
    *,
    against: PolicyLike | None = None,
    since: int | None = None,
    until: int | None = None,
    model: str = "",
    tags: Mapping[str, str] = {},
    progress: Progress | None = None,
    watch: Watch | None = None,
    hear: Hear | None = None,
) -> Replay:
    """What the calls recorded in the ledger folder `source` would have cost under `policy` (and under `against`).

    Caches, limits and budgets begin empty. Nothing is called, stored or written. Times are ns since the epoch; `model`
    is the one asked for or the one that answered; `tags` must all be there. `watch` is told of every effect, `hear`
    of what changed about every call; with `against`, first of those under `policy`. Raises PolicyError, and
    LedgerError where there is no ledger or no such call.
    """
    prices = load_prices()
    policies = [
        load(each, known=prices.knows, names=prices.names) for each in (policy, against) if each is not None
    ]
    wanted = Selection(since or 0, FOREVER if until is None else until, model, tags)
    with Reader(expanded(source)) as reader:
        runs = [_Run(reader, each, prices, wanted) for each in policies]
        with _collecting_rarely():
            for nth, run in enumerate(runs):
                run.go(progress and partial(_told, progress, nth, len(runs)), watch, hear)
    first = runs[0]
    if not first.tally.total.calls:
        asked = f" with {wanted}" if str(wanted) else ": the ledger is empty"
        raise LedgerError(f"{Path(source)}: no call to replay{asked}")
    outcomes = tuple(run.outcome() for run in runs)
    return Replay(
        str(source),
        first.tally.total.calls,
        first.first,
        first.last,
        outcomes,
        _accuracy(first.caches.accuracy),
        first.tally.counted,
    )


@contextmanager
def _collecting_rarely() -> Generator[None]:
    """A replay makes many small objects and no cycles to speak of: looking for cycles took 30% of its time."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _told(progress: Progress, nth: int, of: int, done: int, calls: int) -> None:
    progress(nth * calls + done, of * calls)


class _Run:
    """One policy over one selection."""

    def __init__(self, reader: Reader, policy: Policy, prices: PriceBook, wanted: Selection) -> None:
        self.policy = policy
        self.tally = Tally()
        self.first = self.last = 0
        book = load_prices(policy.prices) if policy.prices else prices
        self._reader, self._wanted = reader, wanted
        recording = replace(policy, ledger=policy.ledger or Ledger())
        plan = Plan(recording, book, counter())
        self._full = compose(plan)
        self._blind = compose(Plan(_without_text(recording), book, counter()))
        self._source = Source(reader, plan, Needs.of(policy))
        self.caches = PromptCaches(book)
        self._clock = EventClock(0)
        self._world = Recorded(policy, self._clock, self.caches)
        self._judge = Judge(book, prices)
        self._blind_calls = 0

    def go(self, progress: Progress | None, watch: Watch | None, hear: Hear | None) -> None:
        calls = self._reader.count(self._wanted.since, self._wanted.until)
        turns = Turns(self._clock)
        open_calls: dict[str, Past] = {}
        turn: Turn = lambda call, begin: turns.come(open_calls[call], begin)  # noqa: E731
        timeline = Timeline(self._clock, self._world.perform, watch, turn)
        for done, call in enumerate(timeline.run(self._starts(open_calls)), 1):
            past = open_calls.pop(call)
            turns.end(past)
            change = self._end(past)
            if hear is not None:
                hear(change)
            if progress is not None and (done % EVERY == 0):
                progress(done, calls)
        if progress is not None:
            progress(calls, calls)
        self._world.close()

    def outcome(self) -> Outcome:
        return outcome_of(self.policy, self.tally, self._world.waited_ns, self._notes())

    def _starts(self, open_calls: dict[str, Past]) -> Iterator[tuple[int, str, Callable[[], Flow[Reply]]]]:
        for past in self._source.calls(self._wanted):
            call = past.request.id
            self.first = self.first or past.fact.started
            self.last = past.fact.started
            open_calls[call] = past
            self._world.begin(past)
            yield past.fact.started, call, partial(self._handler(past), past.request)

    def _handler(self, past: Past) -> Handler:
        if past.texts or not self._source.needs.text:
            return self._full
        self._blind_calls += 1
        return self._blind

    def _end(self, past: Past) -> Change:
        record = self._world.end(past.request.id)
        assert record is not None, f"call {past.request.id} ended without a record"
        change = self._judge.compare(past, record, self.caches.blamed(past))
        self.caches.end(past.request.id, change.lever)
        self.tally.add(past.fact, past.session, change, record.outcome)
        return change

    def _notes(self) -> tuple[str, ...]:
        tally = self.tally
        met = (
            *remarks(self.policy, tally.by["model"], tally.asked),
            *cautions(
                tally.total.calls,
                tally.failed,
                tally.timeless,
                tally.total.before,
                self.policy.retry.attempts,
            ),
        )
        if not self._blind_calls:
            return met
        return (
            *met,
            f"{self._blind_calls:,} calls were recorded without their texts (ledger content: hashed): "
            "levers that read prompts (route, trim, downgrade) left them alone",
        )


def _without_text(policy: Policy) -> Policy:
    """The same policy without the levers that read prompts."""
    budgets = tuple(replace(rule, on_exceed="reject") for rule in policy.budgets)
    return replace(policy, route=None, trim=None, budgets=budgets)


def _accuracy(found: Accuracy) -> CacheAccuracy | None:
    if not found.calls:
        return None
    return CacheAccuracy(found.calls, found.reported, found.simulated, found.missed / max(1, found.prompt))
