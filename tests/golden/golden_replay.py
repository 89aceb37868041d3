"""The golden workload replayed under every shipped policy, its figures as text. `python -m tests.golden` writes them.

Prices are our own (`PRICES`), given to the import and to every policy, so that the figures do not move with the price
map of the installed litellm. What a model can do and which prompt cache its provider has still comes from the map.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

import costopt.demo
from costopt.importing import Options, load
from costopt.policy import Policy, Price
from costopt.policyfile import load as load_policy
from costopt.policyfile import presets
from costopt.replaying import CallResult, GroupResult, LeverResult, Outcome, Replay, replay

HERE = Path(__file__).parent
WORKLOAD = HERE / "workload.jsonl"
#: A policy with every lever on, and tight enough for each to act.
EVERYTHING = HERE / "everything.yaml"
COMMAND = "python -m tests.golden"
#: Calls with the largest difference that are told.
TOP = 12


def _price(input: float, output: float, read: float, write: float | None = None) -> Price:
    """Dollars per million tokens."""
    nano = [None if dollars is None else round(dollars * 10**9) for dollars in (input, output, read, write)]
    assert nano[0] is not None and nano[1] is not None
    return Price(nano[0], nano[1], nano[2], nano[3])


#: Round figures of the size that such models cost; `house-7b` has none.
PRICES = {
    "gpt-4o": _price(2.5, 10, 1.25),
    "gpt-4o-mini": _price(0.15, 0.6, 0.075),
    "gpt-5-nano": _price(0.05, 0.4, 0.005),
    "gpt-5-mini": _price(0.25, 2, 0.025),
    "gpt-5.4": _price(2, 12, 0.2),
    "text-embedding-3-small": _price(0.02, 0, 0.02),
    "claude-sonnet-4-5": _price(3, 15, 0.3, 3.75),
    "claude-sonnet-4-5-20250929": _price(3, 15, 0.3, 3.75),
}


def policies() -> dict[str, Policy]:
    desk = Path(costopt.demo.__file__).with_name("desk.yaml")
    found = {**presets(), desk.stem: desk, EVERYTHING.stem: EVERYTHING}
    return {name: replace(load_policy(path), prices=PRICES) for name, path in found.items()}


def recorded(folder: Path) -> Path:
    """A ledger of the workload in `folder`, as `costopt import jsonl` makes it."""
    done = load("jsonl", [WORKLOAD], ledger=folder, options=Options(prices=PRICES))
    assert not done.unusable, done.unusable
    assert done.new == done.calls == done.lines
    return folder


def golden(name: str) -> Path:
    """Where the figures of this policy are."""
    return HERE / f"{name}.txt"


def figures(ledger: Path, policy: Policy) -> str:
    return "".join(f"{line}\n" for line in _told(replay(ledger, policy)))


def _told(found: Replay) -> Iterator[str]:
    """Everything that a change of a lever can move. Money is in nano-dollars."""
    outcome = found.outcome
    yield f"policy {outcome.policy}: {found.calls} calls from {_time(found.first)} to {_time(found.last)}"
    yield f"priced {outcome.priced}, unpriced then {outcome.unpriced_then}, unpriced now {outcome.unpriced_now}"
    yield f"tokens counted here {found.counted}, waited {outcome.waited_s:.3f} s"
    yield f"before {outcome.before:,}"
    yield f"after  {outcome.after:,}"
    yield f"saved  {outcome.saved:,}"
    if outcome.interval:
        yield f"95% of draws of sessions {outcome.interval[0]:,} to {outcome.interval[1]:,}"
    if cache := found.prompt_cache:
        yield f"prompt cache: {cache.reported:,} tokens read, {cache.simulated:,} simulated, error {cache.error:.6f}"
    yield from _section("levers", map(_lever, sorted(outcome.levers, key=lambda one: (one.lever, one.basis))))
    yield from _section("outcomes", (f"{name} {calls}" for name, calls in sorted(outcome.outcomes.items())))
    yield from _section("answers changed", map(_group, _by_name(outcome.answers)))
    for group in ("day", "model", "tag:agent", "tag:session"):
        yield from _section(f"by {group}", map(_group, _by_name(outcome.by.get(group, ()))))
    yield from _section("largest differences", map(_call, _largest(outcome)))
    yield from _section("notes", outcome.notes)


def _section(title: str, rows: Iterable[str]) -> Iterator[str]:
    told = [f"  {row}" for row in rows]
    yield from ["", title, *told] if told else []


def _by_name(groups: tuple[GroupResult, ...]) -> list[GroupResult]:
    return sorted(groups, key=lambda group: group.name)


def _largest(outcome: Outcome) -> tuple[CallResult, ...]:
    return outcome.top[:TOP]


def _lever(one: LeverResult) -> str:
    spread = "" if one.low == one.nano == one.high else f" ({one.low:,} to {one.high:,})"
    return f"{one.lever}, {one.basis}: {one.nano:,}{spread}, {one.calls} calls"


def _group(one: GroupResult) -> str:
    return f"{one.name}: {one.calls} calls, {one.changed} changed, {one.before:,} -> {one.after:,}"


def _call(one: CallResult) -> str:
    money = " -> ".join("unknown" if each is None else f"{each:,}" for each in (one.before, one.after))
    levers = "".join(f", {lever} {nano:,}" for lever, nano in sorted(one.levers.items()))
    answer = f" [{one.answer}: {one.detail.partition(':')[0]}]" if one.answer else ""
    return f"{_time(int(one.call[:16], 16))} {one.call[16:24]}: {money}{levers}{answer}"


def _time(nano: int) -> str:
    return datetime.fromtimestamp(nano // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S")


def written(lines: list[dict[str, object]]) -> str:
    return "".join(f"{json.dumps(line, separators=(',', ':'))}\n" for line in lines)
