"""What the calls of a Codex session rest on: the conversation as it stands, and what other files have told."""

from __future__ import annotations

from costopt.importing.formats.codex.counts import Counts
from costopt.types import Json


class Conversation:
    """The items a model would be sent now. `asked` is when the last one came that no model wrote, `asked_since`
    whether one came since the last answer began."""

    def __init__(self) -> None:
        self.items: list[Json] = []
        self.asked = 0
        self.asked_since = False
        self._turns: list[int] = []

    def begin_turn(self) -> None:
        self._turns.append(len(self.items))

    def begin_answer(self) -> tuple[list[Json], int, int]:
        """The items, how many of them were asked, and when. The list only grows; what changes its beginning makes
        a new one."""
        self.asked_since = False
        return self.items, len(self.items), self.asked

    def ask(self, item: Json, now: int) -> None:
        self.items.append(item)
        self.asked, self.asked_since = now, True

    def replace(self, items: list[Json], now: int) -> None:
        """A shorter conversation in place of this one."""
        self.items = items
        self._turns = [min(start, len(items)) for start in self._turns]
        self.asked, self.asked_since = now, True

    def roll_back(self, turns: int, now: int) -> None:
        """Forgets the last turns, as far as they are known."""
        if 0 < turns <= len(self._turns):
            start = self._turns[-turns]
            del self._turns[-turns:]
            self.replace(self.items[:start], now)


class Known:
    """What was met in all files so far."""

    def __init__(self) -> None:
        self.calls: set[str] = set()
        self.parents: dict[str, str] = {}
        self._totals: dict[str, set[Counts]] = {}
        self.recorded: set[tuple[str, str]] = set()

    def totals(self, session: str) -> set[Counts]:
        return self._totals.setdefault(session, set())

    def root(self, session: str) -> str:
        """The session that this one was forked from, or that one, and so on."""
        met: set[str] = set()
        while (parent := self.parents.get(session)) and session not in met:
            met.add(session)
            session = parent
        return session
