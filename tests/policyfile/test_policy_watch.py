"""A policy file that changes while it is in use."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from costopt.errors import PolicyError
from costopt.policy import Policy
from costopt.policyfile import Watcher


class Reload:
    """A policy file under a watcher, and its own clock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 0
        self.write("version: 1")
        self.watcher = Watcher(path)

    def write(self, text: str) -> None:
        self.path.write_text(text)

    def after(self, seconds: float) -> Policy:
        self.now += int(seconds * 1e9)
        return self.watcher.current(self.now)


@pytest.fixture
def reload(tmp_path: Path) -> Reload:
    return Reload(tmp_path / "live.yaml")


def test_a_changed_file_is_read_again_but_looked_at_once_a_second(reload: Reload) -> None:
    first = reload.after(0)
    reload.write("version: 1\nstrict: true")
    assert reload.after(0.5) is first
    second = reload.after(0.6)
    assert second.strict
    assert reload.after(5) is second


def test_a_wrong_file_keeps_the_old_policy_and_warns_once(
    reload: Reload, caplog: pytest.LogCaptureFixture
) -> None:
    first = reload.after(0)
    reload.write("version: 1\nstrct: true\ncach: {}")
    with caplog.at_level(logging.WARNING, "costopt"):
        assert [reload.after(2) for _ in range(3)] == [first] * 3
    (record,) = caplog.records
    assert "live.yaml:2: strct: is not a key here" in record.message
    reload.write("version: 1\nstrict: true")
    assert reload.after(2).strict


def test_a_file_that_vanishes_and_comes_back(reload: Reload, caplog: pytest.LogCaptureFixture) -> None:
    first = reload.after(0)
    reload.path.unlink()
    assert [reload.after(2) for _ in range(2)] == [first] * 2
    assert len(caplog.records) == 1
    reload.write("version: 1\nstrict: true")
    assert reload.after(2).strict


def test_a_clock_set_back_does_not_stop_the_watch(reload: Reload) -> None:
    reload.after(1000)
    reload.write("version: 1\nstrict: true")
    assert reload.after(-500).strict


def test_a_file_wrong_from_the_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        Watcher(tmp_path / "none.yaml")
