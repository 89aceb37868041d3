"""Money that cannot be booked at once."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from costopt.effects import Claim
from costopt.errors import BudgetUnavailable, Closed
from costopt.world.clock import SECOND
from costopt.world.till import Till
from costopt.world.wallet import Wallet

NOW = 1_700_000_000 * SECOND
DAY = 86400 * SECOND
CLAIMS = (Claim("all", 1000, NOW, NOW + DAY),)


def test_what_cannot_be_booked_now_is_booked_before_anything_else_is_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "budgets.sqlite3"
    till = Till(Wallet(file))
    hold = till.reserve("one", CLAIMS, 600, NOW)
    with sqlite3.connect(file) as other:
        other.execute("ALTER TABLE spend RENAME TO elsewhere")
    till.settle(hold, 500)  # the answer is the caller's: no error
    till.settle(hold, 500)
    assert sum("booked later" in record.getMessage() for record in caplog.records) == 1
    with pytest.raises(BudgetUnavailable):
        till.reserve("two", CLAIMS, 1, NOW)
    with sqlite3.connect(file) as other:
        other.execute("ALTER TABLE elsewhere RENAME TO spend")
    till.settle(till.reserve("two", CLAIMS, 500, NOW), 1)
    assert till.wallet.spent("all", NOW, NOW + DAY) == 501
    assert till.wallet.held("all", NOW, NOW + DAY, NOW) == 0
    till.close()


def test_what_is_owed_at_the_end_is_booked_then_or_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "budgets.sqlite3"
    till = Till(Wallet(file))
    holds = [till.reserve(name, CLAIMS, 300, NOW) for name in ("one", "two")]
    with sqlite3.connect(file) as other:
        other.execute("ALTER TABLE spend RENAME TO elsewhere")
    till.settle(holds[0], 100)
    till.close()
    assert "1 calls could not be booked" in caplog.text
    with sqlite3.connect(file) as other:
        other.execute("ALTER TABLE elsewhere RENAME TO spend")
    till.settle(holds[1], 10)
    till.close()
    wallet = Wallet(file)
    assert wallet.spent("all", NOW, NOW + DAY) == 110
    wallet.close()


def test_a_call_that_outlives_its_optimizer_is_booked_and_none_is_begun(tmp_path: Path) -> None:
    till = Till(Wallet(tmp_path / "budgets.sqlite3"))
    hold = till.reserve("one", CLAIMS, 600, NOW)
    till.close()
    till.settle(hold, 500)
    with pytest.raises(Closed, match="nothing was sent"):
        till.reserve("two", CLAIMS, 1, NOW)
    files = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert not [file for file in files if file.startswith(str(tmp_path))]
    wallet = Wallet(tmp_path / "budgets.sqlite3")
    assert wallet.spent("all", NOW, NOW + DAY) == 500
    wallet.close()
