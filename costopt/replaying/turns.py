"""When a recorded call comes in now: an agent sends its next call once it has the answer to the one before.

Calls of one session that followed each other follow each other here too (without a tag that names a session, where the
conversation has grown; an equal prompt may be somebody else's): what made a call later (a limit, an answer
that took longer) makes those after it as much later. What made it earlier does not: nobody knows how long the agent
had been busy otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from costopt.replaying.sessions import tagged
from costopt.world.clock import SECOND
from costopt.world.ledger.words import Fact
from costopt.world.recent import Recent
from costopt.world.recorded import EventClock, Past

#: After a longer pause than this a call does not go on from the one before, ns.
PAUSE = 600 * SECOND
#: Sessions that are late and remembered.
REMEMBERED = 10_000


class _Coming(Struct):
    """A call that waits for `before`, the calls that had ended before it began and have not ended yet."""

    fact: Fact
    begin: Callable[[], None]
    before: set[str]


class _Session:
    """The calls of one session that are under way or wait; none is left in an idle one."""

    __slots__ = ("calls", "waiting")

    def __init__(self) -> None:
        self.calls: dict[str, Fact] = {}
        self.waiting: list[_Coming] = []


class Turns:
    """Lets calls begin on `clock`. Tell it of each call as it comes and as it ends."""

    def __init__(self, clock: EventClock) -> None:
        self._clock = clock
        self._sessions: dict[int, _Session] = {}
        self._late: Recent[int, tuple[Fact, int]] = Recent(REMEMBERED)

    def come(self, past: Past, begin: Callable[[], None]) -> None:
        """`begin` the call now, or when its turn comes."""
        name, fact = past.session, past.fact
        group = self._sessions.setdefault(name, _Session())
        before = {call for call, earlier in group.calls.items() if _follows(fact, earlier)}
        group.calls[fact.id] = fact
        if before:
            group.waiting.append(_Coming(fact, begin, before))
        else:
            self._begin(name, fact, begin)

    def end(self, past: Past) -> None:
        """A call has ended: those that waited for it alone are next."""
        name, fact = past.session, past.fact
        group = self._sessions[name]
        del group.calls[fact.id]
        self._remember(name, fact, self._clock.now() - fact.ended)
        ready: list[_Coming] = []
        for coming in group.waiting:
            coming.before.discard(fact.id)
            if not coming.before:
                ready.append(coming)
        group.waiting = [coming for coming in group.waiting if coming.before]
        if not group.calls:
            del self._sessions[name]
        for coming in ready:
            self._begin(name, coming.fact, coming.begin)

    def _begin(self, name: int, fact: Fact, begin: Callable[[], None]) -> None:
        earlier, late = self._late.get(name, (None, 0))
        due = fact.started + (late if earlier is not None and _follows(fact, earlier) else 0)
        if due <= self._clock.now():
            begin()
        else:
            self._clock.call_at(due, begin)

    def _remember(self, name: int, fact: Fact, late: int) -> None:
        self._late.pop(name, None)
        if late > 0:
            self._late[name] = (fact, late)


def _follows(fact: Fact, earlier: Fact) -> bool:
    """Whether a call of the same session went on from `earlier`."""
    soon = fact.started - PAUSE < earlier.ended <= fact.started
    return soon and (tagged(fact) or _length(earlier) < _length(fact))


def _length(fact: Fact) -> int:
    """Messages in the prompt."""
    return max(map(len, fact.parts), default=0)
