"""What a benchmark reports: figures beside the bound they must hold, and one JSON line at the end."""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


class NoMaterial(Exception):
    """There is nothing to measure: not a benchmark that holds."""


@dataclass
class Figure:
    """One measured number. `bound` is what it must not exceed (or, with `at_least`, not fall below)."""

    name: str
    value: float
    unit: str
    bound: float | None = None
    stretch: float | None = None
    at_least: bool = False

    @property
    def holds(self) -> bool:
        if self.bound is None:
            return True
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def line(self) -> str:
        text = f"  {self.name:<52} {self.value:>12,.2f} {self.unit}"
        if self.bound is None:
            return text
        sign = ">=" if self.at_least else "<="
        stretch = "" if self.stretch is None else f", stretch {sign} {self.stretch:g}"
        return (
            f"{text:<76} bound {sign} {self.bound:g}{stretch}: {'holds' if self.holds else 'DOES NOT HOLD'}"
        )


@dataclass
class Report:
    """All figures of one benchmark, with what was measured in words."""

    name: str
    what: str
    figures: list[Figure] = field(default_factory=list)
    failed: bool = False

    def add(self, name: str, value: float, unit: str, bound: float | None = None, **more: Any) -> None:
        self.figures.append(Figure(name, value, unit, bound, **more))

    @property
    def holds(self) -> bool:
        return not self.failed and all(figure.holds for figure in self.figures)

    def print(self, *, as_json: bool) -> None:
        if not as_json:
            print(f"{self.name}: {self.what}")
            for figure in self.figures:
                print(figure.line())
        values = {figure.name: figure.value for figure in self.figures}
        print(json.dumps({"name": self.name, "figures": values, "holds": self.holds}))


@dataclass
class Pairs:
    """Microseconds a call in blocks of calls, `floor` and `ours` in turn, so that the machine's moods hit both.

    Blocks, because a program calls through one client again and again; changing client at each call would measure how
    two code paths push each other out of the processor's caches.
    """

    floor: list[list[float]]
    ours: list[list[float]]

    @property
    def base(self) -> float:
        return statistics.median(map(statistics.median, self.floor))

    @property
    def more(self) -> float:
        """How much more the typical call of ours takes: the median of the differences block by block."""
        blocks = zip(self.floor, self.ours, strict=True)
        return statistics.median(statistics.median(ours) - statistics.median(floor) for floor, ours in blocks)

    @property
    def more_mean(self) -> float:
        """The same on average: what runs in the background in between is in it."""
        return statistics.fmean(map(statistics.fmean, self.ours)) - statistics.fmean(
            map(statistics.fmean, self.floor)
        )


def paired(floor: Callable[[], Any], ours: Callable[[], Any], *, blocks: int = 40, calls: int = 50) -> Pairs:
    taken = Pairs([], [])
    for number in range(blocks + 2):
        for kept, call in ((taken.floor, floor), (taken.ours, ours)):
            gc.collect()
            block = [_timed(call) for _ in range(calls)]
            if number >= 2:  # the first two warm up
                kept.append(block)
    return taken


def _timed(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1e6
