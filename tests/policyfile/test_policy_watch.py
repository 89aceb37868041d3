"""A policy file that changes while it is in use."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

import pytest
from threads import together

from costopt.errors import PolicyError
from costopt.policy import Policy
from costopt.policyfile import Watcher

BUDGET = "budgets: [{limit: $1/day}]\n"


class Reload:
    """A policy file under a watcher, and its own clock; where that is far from the file's times, looks are compared."""

    def __init__(self, path: Path, now: int = 0) -> None:
        self.path = path
        self.now = now
        self.write("version: 1")
        self.watcher = Watcher(path)

    def write(self, text: str) -> None:
        self.path.write_text(text)

    def after(self, seconds: float) -> Policy:
        self.now += int(seconds * 1e9)
        return self.watcher.current(self.now)

    def settled(self) -> Policy:
        """After two looks."""
        self.after(2)
        return self.after(2)


@pytest.fixture
def reload(tmp_path: Path) -> Reload:
    return Reload(tmp_path / "live.yaml")


def test_a_changed_file_is_read_again_but_looked_at_once_a_second(reload: Reload) -> None:
    first = reload.after(0)
    reload.write("version: 1\nstrict: true")
    assert reload.after(0.5) is first
    reload.after(0.6)
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
    assert reload.settled().strict


def test_a_file_that_is_being_written_is_not_taken_up(reload: Reload) -> None:
    """Its beginning is a policy too: one without the budgets that come last."""
    reload.write(f"version: 1\n{BUDGET}")
    full = reload.settled()
    assert full.budgets
    reload.write("version: 1\n")
    assert reload.after(2) is full
    reload.write(f"version: 1\nstrict: true\n{BUDGET}")
    assert reload.after(2) is full
    taken = reload.after(2)
    assert (taken.strict, taken.budgets) == (True, full.budgets)


def test_a_file_that_has_lain_still_for_a_second_is_taken_up_at_the_first_look(tmp_path: Path) -> None:
    """Whoever calls once an hour would else go by the old file once more."""
    reload = Reload(tmp_path / "live.yaml", now=time.time_ns())
    first = reload.after(0)
    reload.write("version: 1\nstrict: true")
    assert reload.after(0.9) is first
    assert reload.after(60).strict


def test_an_editor_that_writes_a_new_file_over_the_old_is_never_noticed_half_way(
    reload: Reload, caplog: pytest.LogCaptureFixture
) -> None:
    first = reload.after(0)
    reload.path.rename(reload.path.with_suffix(".bak"))
    assert reload.after(2) is first
    reload.write("version: 1\nstrict: true")
    assert reload.settled().strict
    assert not caplog.records


def test_threads_that_look_at_once_have_looked_once(reload: Reload) -> None:
    first = reload.after(0)
    for size in range(20):
        reload.write("version: 1\nstrict: true" + " " * size)
        reload.now += 2 * 10**9
        together(*[lambda: reload.watcher.current(reload.now)] * 8)
        assert reload.watcher.policy is first


def test_a_file_that_changes_while_it_is_read_is_left_for_later(tmp_path: Path) -> None:
    path = tmp_path / "live.yaml"
    path.write_text("version: 1\n")

    def known(_: str) -> bool:
        if "large" not in path.read_text():
            path.write_text("version: 1\nmodels: [{name: openai/gpt-4o, tier: large}]\n")
        return True

    watcher = Watcher(path, known=known)
    path.write_text("version: 1\nmodels: [{name: openai/gpt-4o}]\n")
    looks = [watcher.current(n * 10**10).models for n in range(5)]
    assert [[model.tier for model in look] for look in looks] == [[], [], [], ["large"], ["large"]]


def test_what_was_taken_up_is_logged_by_its_keys(reload: Reload, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "costopt"):
        reload.write(f"version: 1\nstrict: true\n{BUDGET}")
        reload.settled()
        reload.write(f"version: 1\nstrict: true  # the same\n{BUDGET}")
        reload.settled()
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert record.getMessage().endswith("live.yaml; changed: budgets, strict")


def test_another_working_folder_is_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, strict in (("a", "false"), ("b", "true")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "live.yaml").write_text(f"version: 1\nstrict: {strict}\n")
    monkeypatch.chdir(tmp_path / "a")
    watcher = Watcher("live.yaml")
    monkeypatch.chdir(tmp_path / "b")
    assert not any(watcher.current(n * 10**10).strict for n in range(3))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_while_a_thread_looks_goes_on_looking(tmp_path: Path) -> None:
    path, reading, go_on = tmp_path / "live.yaml", threading.Event(), threading.Event()
    path.write_text("version: 1\n")

    def known(_: str) -> bool:
        reading.set()
        return go_on.wait(20)

    watcher = Watcher(path, known=known)
    path.write_text("version: 1\nmodels: [{name: openai/gpt-4o}]\n")
    looker = threading.Thread(target=lambda: [watcher.current(n * 10**10) for n in range(2)])
    looker.start()
    reading.wait(20)
    child = os.fork()
    if not child:
        go_on.set()
        watcher.renew_lock()
        os._exit(len(watcher.current(10**12).models))
    go_on.set()
    looker.join(20)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


def test_a_file_that_vanishes_and_comes_back(reload: Reload, caplog: pytest.LogCaptureFixture) -> None:
    first = reload.after(0)
    reload.path.unlink()
    assert [reload.after(2) for _ in range(2)] == [first] * 2
    assert len(caplog.records) == 1
    reload.write("version: 1\nstrict: true")
    assert reload.settled().strict


def test_a_clock_set_back_does_not_stop_the_watch(reload: Reload) -> None:
    reload.after(1000)
    reload.write("version: 1\nstrict: true")
    reload.after(-500)
    assert reload.after(-500).strict


def test_a_file_wrong_from_the_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        Watcher(tmp_path / "none.yaml")
