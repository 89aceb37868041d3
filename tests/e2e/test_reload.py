"""A policy file that changes while it is in use: everything in it takes effect, or it is said what does not."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import openai
import pytest
from ledgers import facts

import costopt
from costopt.demo.simulator import Simulator
from costopt.world.clock import VirtualClock

SECRET = "xyzzy-secret-phrase"
DISK = "cache: {disk: 64MB, memory: 0}\n"


class Running:
    """An Optimizer under way with a policy file and a clock of its own. `{led}` in the file is the ledger's folder."""

    def __init__(self, provider: Simulator, folder: Path, text: str) -> None:
        self.path = folder / "policy.yaml"
        self.led = folder / "led"
        self._clock = VirtualClock(time.time_ns())
        self._write(text)
        self.optimizer = costopt.Optimizer(self.path, reload=True, clock=self._clock)
        bare = openai.OpenAI(api_key="k", base_url=provider.base_url, max_retries=0)
        self._client = self.optimizer.wrap(bare)

    def _write(self, text: str) -> None:
        self.path.write_text("version: 1\n" + text.replace("{led}", str(self.led)))

    def reload(self, text: str) -> None:
        self._write(text)
        self._clock.advance(60)

    def ask(self, words: str) -> str:
        """The cache tier that answered."""
        asked: Any = [{"role": "user", "content": words}]
        raw = self._client.chat.completions.with_raw_response.create(
            model="gpt-4o-mini", messages=asked, max_tokens=2000, temperature=0
        )
        self.optimizer.flush()
        return raw.headers["x-costopt-cache"]

    def written(self) -> bytes:
        self.optimizer.close()
        return b"".join(path.read_bytes() for path in self.led.rglob("*") if path.is_file())


def test_hashed_content_takes_effect_with_the_next_call(provider: Simulator, tmp_path: Path) -> None:
    """In the ledger, and on disk, where answers to come would be kept."""
    run = Running(provider, tmp_path, f"{DISK}ledger: {{path: '{{led}}'}}\n")
    assert [run.ask("Where is my parcel?") for _ in range(2)] == ["miss", "disk"]
    run.reload(f"{DISK}ledger: {{path: '{{led}}', content: hashed}}\n")
    assert [run.ask(SECRET) for _ in range(2)] == ["miss", "miss"]
    assert SECRET.encode() not in run.written()
    assert len(facts(run.led)) == 4


def test_a_ledger_goes_off_and_on_again(
    provider: Simulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    on = f"{DISK}ledger: {{path: '{{led}}'}}\n"
    run = Running(provider, tmp_path, on)
    assert [run.ask("one") for _ in range(2)] == ["miss", "disk"]
    run.reload(f"{DISK}ledger: off\n")
    assert [run.ask(SECRET) for _ in range(2)] == ["miss", "miss"]
    run.reload(on)
    assert run.ask("one") == "disk"
    assert SECRET.encode() not in run.written()
    assert len(facts(run.led)) == 3
    assert not caplog.records


@pytest.mark.parametrize("start", ["ledger: off\n", "ledger: {path: '{led}/elsewhere'}\n"])
def test_a_place_that_cannot_change_is_said_once_with_its_key(
    start: str, provider: Simulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = Running(provider, tmp_path, start)
    run.ask("one")
    run.reload("ledger: {path: '{led}'}\nbudgets: [{limit: $1/day}]\n")
    run.ask("two")
    run.ask("three")
    (record,) = caplog.records
    assert "ledger.path" in record.getMessage()
    run.optimizer.close()
    assert not (run.led / "ledger.sqlite3").exists()


def test_the_sizes_of_both_caches_change(provider: Simulator, tmp_path: Path) -> None:
    ledger = "ledger: {path: '{led}'}\n"
    run = Running(provider, tmp_path, f"cache: {{memory: 0}}\n{ledger}")
    assert [run.ask("one") for _ in range(2)] == ["miss", "miss"]
    run.reload(f"{DISK}{ledger}")
    assert [run.ask("one") for _ in range(2)] == ["miss", "disk"]
    run.reload(f"cache: {{memory: 64MB, disk: 32MB}}\n{ledger}")
    assert [run.ask("one") for _ in range(2)] == ["disk", "memory"]
    assert run.optimizer.world.disk is not None
    assert run.optimizer.world.disk.max_bytes == run.optimizer.policy.disk == 32_000_000
    run.optimizer.close()
