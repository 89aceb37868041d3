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


def paired(
    floor: Callable[[], Any], ours: Callable[[], Any], *, rounds: int = 40, calls: int = 50
) -> tuple[float, float]:
    """Median microseconds a call of `floor` and of `ours`, measured in turn so that drift hits both."""
    for _ in range(calls):
        floor()
        ours()
    times: tuple[list[float], list[float]] = ([], [])
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for kept, call in zip(times, (floor, ours), strict=True):
                started = time.perf_counter()
                for _ in range(calls):
                    call()
                kept.append((time.perf_counter() - started) / calls * 1e6)
            gc.collect()
    finally:
        gc.enable()
    return statistics.median(times[0]), statistics.median(times[1])
