"""Who follows forks: called in order around each, let go of when nobody else holds him."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable

import pytest

from costopt.world.waiting import after_fork, follow_forks
from costopt.world.writer import Writer

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="platform: no fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


class Follower:
    """Notes what it is told in `said`, and does `before` first."""

    def __init__(self, name: str, said: list[str], before: Callable[[], object] = lambda: None) -> None:
        self.name = name
        self.said = said
        self.before = before
        follow_forks(self)

    def before_fork(self) -> None:
        self.said.append(f"{self.name} still")
        self.before()

    def after_fork_in_parent(self) -> None:
        self.said.append(f"{self.name} on")

    def after_fork_in_child(self) -> None:
        self.said.append(f"{self.name} anew")


class Child:
    """Only wants to know that it is in a child."""

    def __init__(self, name: str, said: list[str]) -> None:
        self.name = name
        self.said = said
        after_fork(self.note)

    def note(self) -> None:
        self.said.append(f"{self.name} anew")


def forked(said: list[str]) -> list[str]:
    """What was said in a forked child."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, ",".join(said).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read) as pipe:
        return pipe.read().split(",")


def test_the_last_to_come_is_the_first_to_be_still_and_the_last_to_go_on() -> None:
    said: list[str] = []
    kept = Follower("a", said), Child("b", said), Follower("c", said)
    assert forked(said) == ["c still", "a still", "a anew", "b anew", "c anew"]
    assert said == ["c still", "a still", "a on", "c on"]
    del kept


def test_who_comes_while_others_are_stilled_is_not_let_go() -> None:
    """Letting go of a lock that was never taken is an error."""
    said: list[str] = []
    late: list[Follower] = []
    first = Follower("a", said, lambda: late.append(Follower("late", said)))
    forked(said)
    assert said == ["a still", "a on"]
    del first


def test_one_that_fails_leaves_nobody_out(caplog: pytest.LogCaptureFixture) -> None:
    said: list[str] = []
    kept = Follower("a", said), Follower("b", said, lambda: 1 / 0), Follower("c", said)
    with caplog.at_level(logging.ERROR, "costopt"):
        assert forked(said)[-3:] == ["a anew", "b anew", "c anew"]
    assert said[-3:] == ["a on", "b on", "c on"]
    assert len(caplog.records) == 1
    del kept


def test_whoever_is_gone_has_left_nothing_behind() -> None:
    """A hook that the interpreter keeps is kept for ever: a service that made an Optimizer per request grew by 48
    objects each, and its forks got slower and slower."""
    Writer().close()
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(200):
        Writer().close()
    gc.collect()
    assert len(gc.get_objects()) - before < 200
