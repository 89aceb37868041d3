"""Importing agent transcripts: whether every call is counted, no line is lost and a second import adds nothing.

`--data` takes a file of transcripts, one JSON object with `messages` a line (.gz too); the default is made up here.
"""

from __future__ import annotations

import gzip
import json
import tempfile
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from benchmarks.figure import NoMaterial, Report
from costopt.importing import Options, Summary, load

CONVERSATIONS, TURNS = 80, 12
#: For lines that name no model, or one the price map does not know.
MODEL = "gpt-4o"


def run(data: Path | None = None) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        log = data or _made_up(Path(folder) / "transcripts.jsonl")
        said = [[message.get("role") for message in talk] for talk in _talks(log)]
        spoken = sum(roles.count("assistant") for roles in said)
        if not spoken:
            raise NoMaterial(f"no assistant speaks in {log}")
        _load(log, Path(folder) / "warm")  # loads the price map and the tokenizer
        first, took = _load(log, Path(folder) / "ledger")
        second, took_again = _load(log, Path(folder) / "ledger")
        whole, _ = _load(log, Path(folder) / "whole", prompt_cache=False)
    report = Report(
        "importing", f"{len(said)} transcripts with {spoken:,} assistant messages into a new ledger"
    )
    report.add("calls counted less assistant messages (absolute)", abs(first.calls - spoken), "", 0)
    report.add("calls written less assistant messages (absolute)", abs(first.new - spoken), "", 0)
    report.add("lines lost", len(first.unusable), "", 0)
    report.add("calls added by a second import", second.new, "", 0)
    report.add("calls a second", first.calls / took, "")
    report.add("calls a second, second import", second.calls / took_again, "")
    report.add("cost as counted here", first.cost / 1e9, "$")
    report.add("cost as if the provider had no prompt cache", whole.cost / 1e9, "$")
    return report


def _load(log: Path, ledger: Path, **options: Any) -> tuple[Summary, float]:
    started = time.perf_counter()
    done = load("transcripts", [log], ledger=ledger, options=Options(model=MODEL, **options))
    return done, time.perf_counter() - started


def _talks(log: Path) -> Iterator[list[dict[str, Any]]]:
    """The conversations, read without anything of costopt."""
    with gzip.open(log) if log.suffix == ".gz" else log.open("rb") as lines:
        for line in filter(bytes.strip, lines):
            yield json.loads(line)["messages"]


def _made_up(path: Path) -> Path:
    with path.open("w") as out:
        for number in range(CONVERSATIONS):
            trace = {"trace_id": f"trace-{number}", "model": MODEL, "messages": _talk(number)}
            out.write(json.dumps(trace) + "\n")
    return path


def _talk(number: int) -> list[dict[str, Any]]:
    rules = "".join(f"Rule {at}: parcels of class {at} are shipped within {at} days. " for at in range(120))
    turns = (_turn(number, turn) for turn in range(TURNS))
    return [{"role": "system", "content": rules}, *chain.from_iterable(turns)]


def _turn(number: int, turn: int) -> list[dict[str, Any]]:
    name = f"call-{number}-{turn}"
    function = {"name": "find_parcel", "arguments": json.dumps({"parcel": f"{number}-{turn}"})}
    found = {"parcel": f"{number}-{turn}", "stations": [f"depot {at}, day {turn}" for at in range(12)]}
    return [
        {"role": "user", "content": f"Where is parcel {number}-{turn}?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": name, "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": name, "content": json.dumps(found)},
        {"role": "assistant", "content": f"Parcel {number}-{turn} is at depot {turn % 12}."},
    ]
