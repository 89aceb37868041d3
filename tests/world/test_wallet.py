"""The wallet: money held and spent, by whoever and however many, never passes the cap."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from subprocess import PIPE

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from threads import together

from costopt.effects import Claim, Hold
from costopt.errors import BudgetExceeded
from costopt.world.clock import SECOND
from costopt.world.files import StoreUnavailable
from costopt.world.wallet import HOLD_S, KEEP_NS, Wallet

NOW = 1_700_000_000 * SECOND
DAY = 86400 * SECOND


def claim(limit: int, scope: str = "all", start: int = NOW, end: int = NOW + DAY) -> Claim:
    return Claim(scope, limit, start, end)


def open_files(folder: Path) -> list[str]:
    links = [entry for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return [target for link in links if (target := str(link.readlink())).startswith(str(folder))]


@pytest.fixture(params=["file", "memory"])
def wallet(request, tmp_path):
    wallet = Wallet(tmp_path / "budgets.sqlite3" if request.param == "file" else None)
    yield wallet
    wallet.close()


def test_held_money_counts_until_it_is_settled(wallet):
    hold = wallet.reserve("call", (claim(100),), 60, NOW)
    with pytest.raises(BudgetExceeded):
        wallet.reserve("call", (claim(100),), 41, NOW)
    wallet.settle(hold, 10)
    assert wallet.spent("all", NOW, NOW + DAY) == 10
    wallet.reserve("call", (claim(100),), 90, NOW)
    with pytest.raises(BudgetExceeded):
        wallet.reserve("call", (claim(100),), 1, NOW)
    wallet.reserve("a call that costs nothing", (claim(100),), 0, NOW)


def test_all_claims_or_none(wallet):
    tight = claim(10, "user=a")
    with pytest.raises(BudgetExceeded) as refusal:
        wallet.reserve("call", (claim(100), tight), 11, NOW)
    assert refusal.value.scope == "user=a"
    wallet.reserve("call", (claim(100),), 100, NOW)


def test_two_limits_on_one_window_count_money_once(wallet):
    soft_and_hard = (claim(10), claim(20))
    hold = wallet.reserve("call", soft_and_hard, 6, NOW)
    assert wallet.held("all", NOW, NOW + DAY, NOW) == 6
    wallet.settle(hold, 6)
    assert wallet.spent("all", NOW, NOW + DAY) == 6
    with pytest.raises(BudgetExceeded):
        wallet.reserve("call", soft_and_hard, 5, NOW)


def test_the_refusal_says_which_budget_and_why(wallet):
    wallet.settle(wallet.reserve("a", (claim(5_000_000_000),), 4_000_000_000, NOW), 4_000_000_000)
    wallet.reserve("b", (claim(5_000_000_000),), 750_000_000, NOW)
    with pytest.raises(BudgetExceeded) as refusal:
        wallet.reserve("c", (claim(5_000_000_000),), 250_000_001, NOW)
    assert str(refusal.value) == (
        "budget 'all': $0.250000001 more would pass its limit of $5 ($4 spent, "
        "$0.75 held by calls under way); it resets at 2023-11-15 22:13:20 UTC"
    )
    with pytest.raises(BudgetExceeded, match="it never resets"):
        wallet.reserve("c", (claim(1, "total", 0, 2**63 - 1),), 2, NOW)


def test_windows_and_scopes_are_separate(wallet):
    wallet.settle(wallet.reserve("a", (claim(10),), 10, NOW), 10)
    wallet.reserve("b", (claim(10, start=NOW + DAY, end=NOW + 2 * DAY),), 10, NOW + DAY)
    wallet.reserve("c", (claim(10, "user=b"),), 10, NOW)
    assert wallet.spent("all", NOW, NOW + 2 * DAY) == 10


def test_a_hold_of_a_long_call_counts_until_it_is_settled(wallet):
    hold = wallet.reserve("long", (claim(10),), 10, NOW)
    later = NOW + 10 * int(HOLD_S * SECOND)
    with pytest.raises(BudgetExceeded):
        wallet.reserve("b", (claim(10),), 1, later)
    wallet.settle(hold, 7)
    wallet.settle(wallet.reserve("b", (claim(10),), 3, later), 3)
    assert wallet.spent("all", NOW, NOW + DAY) == 10


def test_a_hold_expires_when_its_wallet_is_gone_and_late_settlement_is_booked(tmp_path):
    first, second = Wallet(tmp_path / "budgets.sqlite3"), Wallet(tmp_path / "budgets.sqlite3")
    hold = first.reserve("one", (claim(10),), 10, NOW)
    later = NOW + int(HOLD_S * SECOND)
    with pytest.raises(BudgetExceeded):
        second.reserve("two", (claim(10),), 1, later)
    first.close()
    with pytest.raises(BudgetExceeded):
        second.reserve("two", (claim(10),), 1, later - 1)
    second.settle(second.reserve("two", (claim(10),), 10, later), 3)
    first.settle(hold, 7)
    assert second.spent("all", NOW, NOW + DAY) == 10
    first.close()
    second.close()


def test_an_older_versions_hold_expires(wallet):
    with wallet._transaction() as con:
        row = ("all", NOW, NOW + DAY, "call:0123456789abcdef", 10, NOW + 5)
        con.execute("INSERT INTO hold VALUES (?, ?, ?, ?, ?, ?)", row)
    if wallet._path is not None:
        assert (wallet.held("all", NOW, NOW + DAY, NOW), wallet.held("all", NOW, NOW + DAY, NOW + 5)) == (
            10,
            0,
        )


def test_settling_twice_books_once(wallet):
    hold = wallet.reserve("a", (claim(10),), 10, NOW)
    wallet.settle(hold, 4)
    wallet.settle(hold, 4)
    wallet.settle(Hold("never reserved", hold.claims, 9), 9)
    assert wallet.spent("all", NOW, NOW + DAY) == 4


def test_spending_more_than_reserved_is_booked_as_it_was(wallet):
    wallet.settle(wallet.reserve("a", (claim(10),), 1, NOW), 50)
    assert wallet.spent("all", NOW, NOW + DAY) == 50


def test_old_windows_are_pruned(wallet):
    wallet.settle(wallet.reserve("a", (claim(10),), 4, NOW), 4)
    wallet.reserve("lost", (claim(10),), 4, NOW)
    later = NOW + DAY + KEEP_NS + 1
    wallet.reserve("b", (claim(10, start=later, end=later + DAY),), 4, later)
    with wallet._transaction() as con:
        assert con.execute("SELECT COUNT(*) FROM spend").fetchone() == (0,)
        assert con.execute("SELECT COUNT(*) FROM hold").fetchone() == (1,)


def test_a_hundred_threads_never_pass_the_cap(wallet):
    refused: list[str] = []

    def work() -> None:
        try:
            hold = wallet.reserve("call", (claim(1000), claim(10**9, "user=a")), 70, NOW)
        except BudgetExceeded as error:
            refused.append(str(error))
        else:
            wallet.settle(hold, 70)

    together(*[work] * 100)
    assert wallet.spent("all", NOW, NOW + DAY) == 14 * 70
    assert len(refused) == 86


SPENDER = """
import sys
import tempfile
from pathlib import Path
from costopt.effects import Claim
from costopt.errors import BudgetExceeded
from costopt.world.wallet import Wallet

now, wallet, spent = int(sys.argv[2]), Wallet(Path(sys.argv[1])), 0
print('ready', flush=True)
sys.stdin.readline()  # so that all make the file at once
for n in range(60):
    try:
        hold = wallet.reserve(f"call {n}", (Claim("all", 1000, 0, 2 * now),), 7 + n % 5, now)
    except BudgetExceeded:
        continue
    wallet.settle(hold, 7 + n % 5)
    spent += 7 + n % 5
print(spent)
"""


def test_processes_share_one_cap(tmp_path):
    path = tmp_path / "new folder" / "budgets.sqlite3"
    command = [sys.executable, "-c", SPENDER, str(path), str(NOW)]
    running = [subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True) for _ in range(6)]
    for process in running:
        assert process.stdout and process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin and process.stdin.write("go\n")
        process.stdin.flush()
    spent = sum(int(process.communicate(timeout=60)[0]) for process in running)
    wallet = Wallet(path)
    assert wallet.spent("all", 0, 2 * NOW) == spent
    assert 1000 - 7 < spent <= 1000
    wallet.close()


def test_a_killed_process_leaks_nothing(tmp_path):
    path = tmp_path / "budgets.sqlite3"
    killed = (
        "import os, sys; from pathlib import Path; from costopt.effects import Claim;"
        "from costopt.world.wallet import Wallet; wallet = Wallet(Path(sys.argv[1]));"
        f"wallet.reserve('a', (Claim('all', 10, {NOW}, {NOW + DAY}),), 10, {NOW});"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", killed, str(path)], check=False).returncode == -9
    wallet = Wallet(path)
    assert wallet.held("all", NOW, NOW + DAY, NOW) == 10
    assert len(list(tmp_path.glob("*-holder-*"))) == 1
    wallet.reserve("b", (claim(10),), 10, NOW + int(HOLD_S * SECOND))
    wallet.close()
    assert not list(tmp_path.glob("*-holder-*"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_stand_for_its_parent(tmp_path):
    path = tmp_path / "budgets.sqlite3"
    parent = (
        "import os, sys; from pathlib import Path; from costopt.effects import Claim;"
        "from costopt.world.wallet import Wallet; wallet = Wallet(Path(sys.argv[1]));"
        f"wallet.reserve('a', (Claim('all', 10, {NOW}, {NOW + DAY}),), 10, {NOW});"
        "os.fork() and os.kill(os.getpid(), 9); print('alone', flush=True); sys.stdin.readline()"
    )
    with subprocess.Popen([sys.executable, "-c", parent, str(path)], stdin=PIPE, stdout=PIPE) as process:
        assert process.wait() == -9
        assert process.stdout and process.stdout.readline() == b"alone\n"
        wallet = Wallet(path)
        assert wallet.held("all", NOW, NOW + DAY, NOW + int(HOLD_S * SECOND)) == 0
        wallet.close()


def test_the_file_is_private_and_closing_leaves_no_descriptor(tmp_path):
    path = tmp_path / "budgets.sqlite3"
    wallet = Wallet(path)
    together(*[lambda: wallet.reserve("a", (claim(10),), 1, NOW)] * 8)
    assert open_files(tmp_path)
    assert {p.stat().st_mode & 0o777 for p in tmp_path.iterdir()} == {0o600}
    wallet.close()
    wallet.close()
    assert not open_files(tmp_path)
    assert wallet.held("all", NOW, NOW + DAY, NOW) == 8
    wallet.close()


def test_trouble_is_one_typed_error(tmp_path):
    broken = tmp_path / "broken.sqlite3"
    broken.write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreUnavailable, match="not a database"):
        Wallet(broken).spent("all", 0, 1)
    newer = tmp_path / "newer.sqlite3"
    con = sqlite3.connect(newer)
    con.execute("PRAGMA user_version = 99")
    con.close()
    with pytest.raises(StoreUnavailable, match="version 99"):
        Wallet(newer).spent("all", 0, 1)
    (tmp_path / "a file").touch()
    with pytest.raises(StoreUnavailable):
        Wallet(tmp_path / "a file" / "budgets.sqlite3").spent("all", 0, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_its_own_connection(tmp_path):
    wallet = Wallet(tmp_path / "budgets.sqlite3")
    wallet.settle(wallet.reserve("parent", (claim(10),), 4, NOW), 4)
    child = os.fork()
    if child == 0:
        try:
            wallet.settle(wallet.reserve("child", (claim(10),), 6, NOW), 6)
        finally:
            os._exit(0 if wallet._inherited else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert wallet.spent("all", NOW, NOW + DAY) == 10
    wallet.close()


class Model(RuleBasedStateMachine):
    """Wallets of several processes against the plainest possible account of two budgets, the second within the first.
    What living ones hold and all have spent never passes a limit, however long their calls take."""

    LIMITS = {"all": 100, "user=a": 40}

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.wallets = [self.wallet() for _ in range(2)]
        self.now = NOW
        self.spent = dict.fromkeys(self.LIMITS, 0)
        self.open: list[tuple[Hold, int, Wallet]] = []

    def wallet(self) -> Wallet:
        return Wallet(Path(self.folder.name) / "budgets.sqlite3", hold_s=10)

    def held(self, scope: str) -> int:
        alive = (hold for hold, expires, wallet in self.open if expires > self.now or wallet in self.wallets)
        return sum(hold.nano for hold in alive if any(c.scope == scope for c in hold.claims))

    @rule(
        who=st.integers(0, 1),
        scopes=st.sampled_from([("all",), ("user=a",), ("all", "user=a")]),
        nano=st.integers(0, 60),
    )
    def reserve(self, who: int, scopes: tuple[str, ...], nano: int) -> None:
        claims = tuple(claim(self.LIMITS[s], s) for s in scopes)
        fits = all(self.spent[s] + self.held(s) + nano <= self.LIMITS[s] for s in scopes)
        try:
            hold = self.wallets[who].reserve("call", claims, nano, self.now)
        except BudgetExceeded:
            assert not fits
        else:
            assert fits
            self.open.append((hold, self.now + 10 * SECOND, self.wallets[who]))

    @rule(which=st.integers(0, 99), share=st.integers(0, 100), again=st.booleans())
    def settle(self, which: int, share: int, again: bool) -> None:
        living = [each for each in self.open if each[2] in self.wallets]
        if not living:
            return
        settled = living[which % len(living)]
        self.open.remove(settled)
        hold, _, wallet = settled
        nano = hold.nano * share // 100
        wallet.settle(hold, nano)
        if again:
            wallet.settle(hold, nano)
        for c in hold.claims:
            self.spent[c.scope] += nano

    @rule(seconds=st.integers(0, 25))
    def wait(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(who=st.integers(0, 1))
    def die(self, who: int) -> None:
        """The process ends: its locks go, its files stay."""
        if self.wallets[who]._presence is not None:
            self.wallets[who]._presence.forget()
        self.wallets[who] = self.wallet()

    @invariant()
    def agrees(self) -> None:
        for scope in self.LIMITS:
            for wallet in self.wallets:
                assert wallet.spent(scope, NOW, NOW + DAY) == self.spent[scope]
                assert wallet.held(scope, NOW, NOW + DAY, self.now) == self.held(scope)
            assert self.spent[scope] <= self.LIMITS[scope]

    def teardown(self) -> None:
        for wallet in self.wallets:
            wallet.close()
        self.folder.cleanup()


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)


def test_a_ctrl_c_as_a_transaction_begins_leaves_none_open(tmp_path: Path) -> None:
    class Begun(sqlite3.Connection):
        struck = False

        def execute(self, sql: str, *args: object) -> sqlite3.Cursor:
            cursor = super().execute(sql, *args)
            if sql.startswith("BEGIN") and not Begun.struck:
                Begun.struck = True
                raise KeyboardInterrupt
            return cursor

    wallet = Wallet(tmp_path / "budgets.sqlite3")
    wallet.spent("all", NOW, NOW + DAY)  # makes the file
    wallet._con = sqlite3.connect(
        tmp_path / "budgets.sqlite3", factory=Begun, isolation_level=None, check_same_thread=False
    )
    with pytest.raises(KeyboardInterrupt):
        wallet.reserve("one", (claim(100),), 1, NOW)
    wallet.settle(wallet.reserve("two", (claim(100),), 1, NOW), 1)
    assert wallet.spent("all", NOW, NOW + DAY) == 1
    wallet.close()
