"""A replay reads one ledger and does nothing else: no socket, no file, no thread, nothing left open."""

from __future__ import annotations

import gc
import os
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from ledgers import written
from replay_material import SECOND, START, Heard, chat, recorded

from costopt.policy import Batch, Budget, Cache, Limit, Model, Policy, Retry, Route, Trim
from costopt.policyfile import load
from costopt.replaying import replay
from costopt.replaying.change import Change
from costopt.types import Record, Usage
from costopt.world.ledger import Ledger
from costopt.world.ledger.read import Reader

EVERYTHING = Policy(
    models=(Model("openai/gpt-5-nano"), Model("openai/gpt-4o-mini")),
    route=Route(strategy="cheapest", downgrade=("gpt-4o",)),
    trim=Trim(900, 400),
    cache=Cache(disk=1 << 30),
    limits=(Limit("openai", requests=100, tokens=50_000, window=60),),
    budgets=(Budget(10**9, "day", per="user", on_unknown_price="allow"),),
    retry=Retry(3),
    batch=Batch(8, 0.02),
)
#: What the interpreter tells its audit hooks of anything that would touch the world.
TOUCHES = (
    "socket.",
    "subprocess.",
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.unlink",
    "shutil.",
    "tempfile.",
)


class Audit:
    """Hears what the interpreter does while it is on; a hook can never be taken out again."""

    def __init__(self) -> None:
        self.on = False
        self.heard: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[object, ...]) -> None:
        if not self.on:
            return
        if event.startswith(TOUCHES) or (event == "open" and _writes(args)):
            self.heard.append(f"{event} {args}")


def _writes(args: tuple[object, ...]) -> bool:
    flags = args[2]
    return isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) != 0


AUDIT = Audit()


@pytest.fixture
def listening() -> Iterator[list[str]]:
    AUDIT.heard.clear()
    AUDIT.on = True
    yield AUDIT.heard
    AUDIT.on = False


def calls(number: int, first: int = 0) -> list[Record]:
    made: list[Record] = []
    for n in range(first, first + number):
        body = chat(f"q {n % 50} " + "word " * 300, model="gpt-4o" if n % 9 == 0 else "gpt-4o-mini")
        tags = {"user": f"u{n % 5}", "session": f"s{n // 10}"}
        made.append(recorded(n, START + n * SECOND, body=body, tags=tags, usage=Usage(input=310, output=20)))
    return made


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("ledger"), calls(200))


def state(folder: Path) -> dict[str, bytes]:
    """Every file's bytes. Beside them SQLite keeps a table of who reads (`-shm`) and a log, which stays empty."""
    files = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: data for name, data in files.items() if not name.endswith("-shm") and data}


def test_nothing_is_written_called_or_started(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listening: list[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    before, threads = state(source), set(threading.enumerate())
    Heard(source, EVERYTHING)
    replay(source, load("balanced"), against=load("careful"))
    assert set(threading.enumerate()) == threads
    assert listening == []
    assert state(source) == before
    assert list(tmp_path.iterdir()) == []


def test_nothing_stays_open(source: Path) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("platform: no list of open descriptors")
    Heard(source, EVERYTHING)
    gc.collect()
    before = len(list(descriptors.iterdir()))
    for _ in range(3):
        Heard(source, EVERYTHING)
    assert len(list(descriptors.iterdir())) <= before


def test_a_replay_that_is_broken_off_leaves_nothing_behind(source: Path) -> None:
    def stop(change: Change) -> None:
        if change.call == "call-000100":
            raise KeyboardInterrupt

    threads, before = set(threading.enumerate()), state(source)
    with pytest.raises(KeyboardInterrupt):
        replay(source, EVERYTHING, hear=stop)
    assert set(threading.enumerate()) == threads
    assert state(source) == before
    assert Heard(source, EVERYTHING).result.calls == 200


def test_a_ledger_that_is_being_written_gives_one_answer(tmp_path: Path) -> None:
    """What is written after a replay has begun is not in it, and both of its policies see the same calls."""
    ledger = Ledger(tmp_path)
    ledger.write(calls(600))
    known = 600

    def write_on(change: Change) -> None:
        nonlocal known
        if known < 700:
            ledger.write(calls(1, known))
            known += 1

    result = replay(tmp_path, Policy(cache=Cache()), against=Policy(), hear=write_on)
    ledger.close()
    assert known == 700
    assert result.calls == 600
    assert [sum(outcome.outcomes.values()) for outcome in result.outcomes] == [600, 600]
    assert replay(tmp_path, Policy()).calls == 700
    with Reader(tmp_path) as reader:
        assert reader.count() == 700


def peak(folder: Path, number: int, policy: Policy) -> int:
    """Bytes at the highest point of replaying the first `number` calls, prices being read."""
    first = f"call-{0:06d}"
    gc.collect()
    tracemalloc.start()
    try:
        until = START + number * SECOND
        replay(
            folder, policy, until=until, hear=lambda c: tracemalloc.reset_peak() if c.call == first else None
        )
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_ledger(tmp_path: Path) -> None:
    """A call leaves its place in a bounded memo or two behind (480 bytes measured), never itself (some 4 kB)."""
    folder = written(tmp_path, calls(4000))
    policy = Policy(cache=Cache(ttl=600), limits=(Limit("openai", requests=500),), retry=Retry(3))
    small, large = peak(folder, 1000, policy), peak(folder, 4000, policy)
    assert large - small < 800 * 3000, f"{small:,} to {large:,} bytes"
