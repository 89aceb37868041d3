"""What budgets ask of the wallet, and what becomes of it when its file is in trouble or the Optimizer closed."""

from __future__ import annotations

import logging
from collections import deque

from costopt.effects import Claim, Hold
from costopt.errors import BudgetUnavailable, Closed
from costopt.types import Nano
from costopt.world.files import StoreUnavailable
from costopt.world.wallet import Wallet

_log = logging.getLogger("costopt")


class Till:
    """`reserve` lets nothing through that cannot be checked; `settle` never costs a caller the answer he paid for."""

    def __init__(self, wallet: Wallet, *, closed: bool = False) -> None:
        self.wallet = wallet
        self._owed: deque[tuple[Hold, Nano]] = deque()
        self._closed = closed
        self._warned = False

    def reserve(self, call: str, claims: tuple[Claim, ...], nano: Nano, now: int) -> Hold:
        """Raises BudgetExceeded, BudgetUnavailable, Closed."""
        if self._closed:
            raise Closed("this Optimizer was closed while the call was on its way; nothing was sent")
        try:
            self._book()
            return self.wallet.reserve(call, claims, nano, now)
        except StoreUnavailable as trouble:
            mend = "mend or remove that file, or take budgets out of the policy"
            raise BudgetUnavailable(f"{trouble}: {mend}") from trouble

    def settle(self, hold: Hold, nano: Nano) -> None:
        """Book what a call cost. Where that cannot be written now, what was set aside stays so, and it is booked before
        anything else is set aside."""
        self._owed.append((hold, nano))
        try:
            self._book()
        except StoreUnavailable as trouble:
            self._warn(trouble)
        finally:
            if self._closed:
                self.wallet.close()

    def close(self) -> None:
        """A call under way may still settle: the file is opened for that alone."""
        self._closed = True
        try:
            self._book()
        except StoreUnavailable as trouble:
            _log.warning("costopt: %d calls could not be booked: %s", len(self._owed), trouble)
        finally:
            self.wallet.close()

    def _book(self) -> None:
        while self._owed:
            try:
                hold, nano = self._owed.popleft()
            except IndexError:  # another thread took the last
                return
            try:
                self.wallet.settle(hold, nano)
            except BaseException:
                self._owed.appendleft((hold, nano))
                raise

    def _warn(self, trouble: StoreUnavailable) -> None:
        if not self._warned:
            self._warned = True
            _log.warning("costopt: what calls cost is booked later: %s", trouble)
