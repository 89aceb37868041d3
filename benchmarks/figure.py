"""What a benchmark reports: figures beside the bound they must hold, and one JSON line at the end."""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


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

    def add(self, name: str, value: float, unit: str, bound: float | None = None, **more: Any) -> None:
        self.figures.append(Figure(name, value, unit, bound, **more))

    @property
    def holds(self) -> bool:
        return all(figure.holds for figure in self.figures)

    def print(self, *, as_json: bool) -> None:
        if not as_json:
            print(f"{self.name}: {self.what}")
            for figure in self.figures:
                print(figure.line())
        values = {figure.name: figure.value for figure in self.figures}
        print(json.dumps({"name": self.name, "figures": values, "holds": self.holds}))


@dataclass
class Pairs:
    """Microseconds of single calls, `floor` and `ours` in turn, so that the machine's moods hit both alike."""

    floor: list[float]
    ours: list[float]

    @property
    def base(self) -> float:
        return statistics.median(self.floor)

    @property
    def more(self) -> float:
        """How much more the typical call of ours takes: the median of the differences pair by pair."""
        return statistics.median(ours - floor for floor, ours in zip(self.floor, self.ours, strict=True))

    @property
    def more_mean(self) -> float:
        """The same on average: what runs in the background in between is in it."""
        return statistics.fmean(self.ours) - statistics.fmean(self.floor)


def paired(
    floor: Callable[[], Any], ours: Callable[[], Any], *, pairs: int = 1500, warm_up: int = 100
) -> Pairs:
    taken = Pairs([], [])
    gc.collect()
    for number in range(warm_up + pairs):
        for kept, call in ((taken.floor, floor), (taken.ours, ours)):
            started = time.perf_counter()
            call()
            if number >= warm_up:
                kept.append((time.perf_counter() - started) * 1e6)
    return taken
