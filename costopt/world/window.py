"""What was let through in the last `span` nanoseconds: an exact sliding log, not a bucket."""

from __future__ import annotations

from collections import deque

from costopt.effects import Quota


class _Passed:
    __slots__ = ("at", "ticket", "tokens")

    def __init__(self, ticket: int, tokens: int, at: int) -> None:
        self.ticket = ticket
        self.tokens = tokens
        self.at = at


class Window:
    """One entry per request; an entry counts up to and including `span` after it was let through."""

    __slots__ = ("_by_id", "_log", "_span", "tokens")

    def __init__(self, span: int) -> None:
        self._span = span
        self._log: deque[_Passed] = deque()
        self._by_id: dict[int, _Passed] = {}
        self.tokens = 0

    def add(self, ticket: int, tokens: int, now: int) -> None:
        passed = _Passed(ticket, tokens, now)
        self._log.append(passed)
        self._by_id[ticket] = passed
        self.tokens += tokens

    def correct(self, ticket: int, tokens: int) -> None:
        """Count `tokens` for `ticket` from now on; nothing happens when it has left the window."""
        passed = self._by_id.get(ticket)
        if passed is not None:
            self.tokens += tokens - passed.tokens
            passed.tokens = tokens

    def ready_at(self, quota: Quota, tokens: int, now: int) -> int:
        """The earliest time one more request of `tokens` fits `quota`; `now` if it does already."""
        self._expire(now)
        spare_requests = 1 if quota.requests is None else quota.requests - len(self._log)
        spare_tokens = tokens if quota.tokens is None else quota.tokens - self.tokens
        at = now
        if spare_requests >= 1 and spare_tokens >= tokens:
            return at
        for passed in self._log:
            spare_requests += 1
            spare_tokens += passed.tokens
            if spare_requests >= 1 and spare_tokens >= tokens:
                return passed.at + self._span + 1
        return at

    def _expire(self, now: int) -> None:
        log = self._log
        while log and log[0].at + self._span < now:
            passed = log.popleft()
            del self._by_id[passed.ticket]
            self.tokens -= passed.tokens
