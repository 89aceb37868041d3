"""Everything costopt raises on its own account.

    CostoptError
    ├── PolicyError            the policy file is wrong: file, line, key, and what to write instead
    ├── UnsupportedClient      `wrap` was given something it does not know
    ├── Closed                 the Optimizer was closed
    ├── LedgerError            the ledger cannot be used (newer version, corrupt, not a ledger)
    │   └── NoSuchCall         no recorded call has this id, or several begin so
    ├── CannotImport           a log to import is not there, or is in no format we read
    └── Refused                a call was not made, on purpose, before any money was spent
        ├── BudgetExceeded     a budget has no room for it
        ├── UnknownPrice       a budget applies and nobody knows the most that the call can cost
        ├── BudgetUnavailable  a budget applies and the file that keeps it cannot be used
        ├── StoreFailed        the policy is strict, and the ledger or the disk cache cannot be used
        ├── InvalidControl     an `x-costopt-*` header that means nothing
        ├── LimitExceeded      it could never fit, or would wait longer than allowed
        ├── PromptTooLong      it does not fit the token budget even after trimming
        └── NoModel            no model of the ladder can serve it

`Refused` errors reach the caller as themselves through every SDK: they also derive from that SDK's own base error.
`Unanswered` ones travel inside a flow only and never reach a caller:

    Unanswered
    ├── UpstreamError          the provider failed
    └── Interrupted            the caller left
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from costopt.types import Reply


class CostoptError(Exception):
    """Base of all errors below."""


class Problem(NamedTuple):
    """One thing wrong in a policy. `line` counts from 1, 0 is none; `key` is dotted (`cache.ttl`)."""

    file: str
    line: int
    key: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        middle = f"{self.key}: " if self.key else ""
        return f"{place}: {middle}{self.message}" + (f" — {self.hint}" if self.hint else "")


class PolicyError(CostoptError, ValueError):
    """A policy that cannot be loaded. `problems` are all of them in file order, and the message holds
    one per line: `file:line: key: what is wrong — what to write`."""

    def __init__(self, problems: str | Sequence[Problem]) -> None:
        super().__init__(problems if isinstance(problems, str) else "\n".join(map(str, problems)))
        self.problems: tuple[Problem, ...] = () if isinstance(problems, str) else tuple(problems)


class UnsupportedClient(CostoptError, TypeError):
    """`wrap` does not know this kind of client."""


class Closed(CostoptError, RuntimeError):
    """The Optimizer behind this client was closed."""


class LedgerError(CostoptError, RuntimeError):
    """The ledger file cannot be read or written as a ledger."""


class NoSuchCall(LedgerError):
    """No call in the ledger has this id or begins so, or more than one does."""


class CannotImport(CostoptError, ValueError):
    """What was asked to be imported cannot be: an unknown format, a file that is not there, a wrong option."""


class Refused(CostoptError):
    """The call was refused before it cost anything. `paid` is what a call made for several callers had come to before,
    which was of no use to any of them; None where there was none."""

    paid: Reply | None = None


class BudgetExceeded(Refused):
    """A budget window has no room left for the worst case of this call. `scope` names the budget."""

    def __init__(self, message: str, scope: str = "") -> None:
        super().__init__(message)
        self.scope = scope


class UnknownPrice(Refused):
    """A budget applies to a call whose worst case nobody knows: its model has no known price, or nothing bounds its
    output or its web searches. The message says which, and what would help."""


class BudgetUnavailable(Refused):
    """A budget applies and the file that keeps it cannot be used, so nobody can say what is left."""


class StoreFailed(Refused):
    """The policy is strict and something could not be written or read: no further call is paid for unrecorded."""


class InvalidControl(Refused):
    """An `x-costopt-*` request header with a value that means nothing."""


class LimitExceeded(Refused):
    """The call is larger than a limit's whole window."""


class PromptTooLong(Refused):
    """The prompt does not fit its token budget even after trimming."""


class NoModel(Refused):
    """No model of the ladder can serve this request."""


class Unanswered(Exception):
    """A provider call came to no whole answer. `reply` is the provider's error, `partial` what had arrived."""

    reply: Reply | None = None
    partial: Reply | None = None

    @property
    def shown(self) -> Reply | None:
        """What the record of the call shows of it: the provider's error, else what had arrived, if anything had."""
        return self.reply or self.partial

    @shown.setter
    def shown(self, reply: Reply) -> None:
        if self.reply is None:
            self.partial = reply
        else:
            self.reply = reply


class UpstreamError(Unanswered):
    """A provider call failed. `reply` holds the provider's error answer where there was one, `cause` the
    client library's exception where there was none. `emitted` says whether the caller already saw a part, `sent`
    whether the request may have reached the provider, who may then bill it."""

    def __init__(
        self,
        reply: Reply | None,
        cause: BaseException | None = None,
        *,
        retry_after_s: float | None = None,
        partial: Reply | None = None,
        sent: bool = True,
    ) -> None:
        super().__init__(f"HTTP {reply.status}" if reply else f"{type(cause).__name__}")
        self.reply = reply
        self.cause = cause
        self.retry_after_s = retry_after_s
        self.partial = partial
        self.sent = sent

    @property
    def emitted(self) -> bool:
        return self.partial is not None and bool(self.partial.events or self.partial.body)


class Interrupted(Unanswered):
    """The caller left. `partial` is what had arrived by then, or None where no answer had begun; `sent` as above."""

    def __init__(self, partial: Reply | None, *, sent: bool = True) -> None:
        super().__init__("the caller left")
        self.partial = partial
        self.sent = sent
