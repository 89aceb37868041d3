"""Adding up a replay call by call, in memory that does not grow with the number of calls."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping
from itertools import count

from msgspec import Struct

from costopt.replaying.change import Change
from costopt.tagging import timeless
from costopt.types import Basis, Nano
from costopt.world.ledger.rollup import utc_date
from costopt.world.ledger.words import Fact

TOP = 20
#: Values told apart of one tag; the calls of any further ones are counted together, as `OTHERS`.
VALUES = 5000
OTHERS = "(others)"
#: Sessions are thrown together beyond this many, for the bootstrap.
SESSIONS = 20_000


class Sums(Struct):
    """Calls of one group. Money only of calls priced both then and now."""

    calls: int = 0
    changed: int = 0
    before: Nano = 0
    after: Nano = 0
    priced: int = 0

    def add(self, change: Change) -> None:
        self.calls += 1
        self.changed += bool(change.answer)
        if change.before is not None and change.after is not None:
            self.priced += 1
            self.before += change.before
            self.after += change.after


class LeverSum(Struct):
    nano: Nano = 0
    low: Nano = 0
    high: Nano = 0
    calls: int = 0


class Tally:
    """Everything a result says of one policy."""

    def __init__(self) -> None:
        self.total = Sums()
        self.unpriced_then = self.unpriced_now = 0
        self.counted = self.failed = self.timeless = 0
        self.asked: set[str] = set()
        self.levers: defaultdict[tuple[str, Basis], LeverSum] = defaultdict(LeverSum)
        self.by: defaultdict[str, defaultdict[str, Sums]] = defaultdict(lambda: defaultdict(Sums))
        self.answers: defaultdict[str, Sums] = defaultdict(Sums)
        self.outcomes: defaultdict[str, int] = defaultdict(int)
        self.sessions: dict[int, tuple[Nano, Nano]] = {}
        self._top: list[tuple[Nano, int, Change]] = []
        self._order = count()

    def add(self, fact: Fact, session: int, change: Change, outcome: str) -> None:
        self.total.add(change)
        self.unpriced_then += change.before is None
        self.unpriced_now += change.after is None
        self.outcomes[outcome] += 1
        self.asked.update((fact.asked, f"{fact.provider}/{fact.asked}"))
        self.counted += fact.usage is not None and fact.usage.estimated
        self.failed += fact.outcome in ("error", "refused")
        self.timeless += timeless(fact.tags)
        for share in change.shares:
            sums = self.levers[share.lever, share.basis]
            sums.nano, sums.low, sums.high = (
                sums.nano + share.nano,
                sums.low + share.low,
                sums.high + share.high,
            )
            sums.calls += 1
        for group, name in _groups(fact):
            groups = self.by[group]
            groups[name if name in groups or len(groups) < VALUES else OTHERS].add(change)
        if change.answer:
            self.answers[change.answer].add(change)
        if change.saved or change.answer:
            self._rank(change)
        self._session(session, change)

    def top(self) -> list[Change]:
        """The calls with the largest difference, largest first."""
        return [change for _, _, change in sorted(self._top, key=lambda item: (-item[0], -item[1]))]

    def _rank(self, change: Change) -> None:
        item = (abs(change.saved), -next(self._order), change)
        if len(self._top) < TOP:
            heapq.heappush(self._top, item)
        else:
            heapq.heappushpop(self._top, item)

    def _session(self, name: int, change: Change) -> None:
        if change.before is None or change.after is None:
            return
        before, after = self.sessions.get(name, (0, 0))
        self.sessions[name] = (before + change.before, after + change.after)
        if len(self.sessions) > SESSIONS:
            self.sessions = folded(self.sessions, SESSIONS // 10)


def folded(sessions: Mapping[int, tuple[Nano, Nano]], room: int) -> dict[int, tuple[Nano, Nano]]:
    """The same sums in at most `room` groups of whole sessions."""
    groups: dict[int, tuple[Nano, Nano]] = {}
    for name, (before, after) in sessions.items():
        had = groups.get(name % room, (0, 0))
        groups[name % room] = (had[0] + before, had[1] + after)
    return groups


def _groups(fact: Fact) -> list[tuple[str, str]]:
    return [
        ("day", utc_date(fact.started)),
        ("model", fact.served),
        *((f"tag:{name}", value) for name, value in fact.tags.items()),
    ]
