"""`python -m benchmarks [NAME] [--data PATH] [--json]`."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

from benchmarks.figure import NoMaterial, Report
from costopt.errors import CostoptError

NAMES = {
    "import": "CPU time of `import costopt`, and what it loads and opens",
    "hit": "a cache hit in memory and on disk, over the same client without costopt",
    "miss": "a miss with cache, ledger and prices on, over the same client without costopt",
    "peers": "the same call through costopt, litellm.acompletion and litellm.Router",
    "record": "what recording a call costs its caller",
    "stream": "the first and each later chunk of a stream, over the same client without costopt",
    "concurrency": "10,000 concurrent async calls on a loopback server",
    "clients": "requests of real SDKs and frameworks, byte for byte through the transport",
    "importing": "agent transcripts into a ledger: every call counted, no line lost, nothing twice",
    "replay": "100,000 recorded calls replayed: calls/s, peak memory, the same bill",
    "reality": "predicted bill against the bill of really running the policy",
    "demo": "the demo's saving, twice, to the nano-dollar",
}


#: Those that have material of their own and take other instead; the rest measures what it makes.
TAKE_DATA = ("clients", "importing", "replay")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", choices=sorted(NAMES))
    parser.add_argument("--data", type=Path, help="material of the form the benchmark's docstring names")
    parser.add_argument("--json", action="store_true", help="print only the JSON line")
    asked = parser.parse_args(argv)
    if asked.name is None:
        for name, what in NAMES.items():
            print(f"{name:<12} {what}")
        return 0
    if asked.data is not None and asked.name not in TAKE_DATA:
        parser.error(f"{asked.name} takes no --data (those that do: {', '.join(TAKE_DATA)})")
    if asked.data is not None and not asked.data.exists():
        parser.error(f"--data {asked.data}: there is nothing")
    try:
        report = import_module(f"benchmarks.bench_{asked.name}").run(asked.data)
    except (NoMaterial, CostoptError, OSError) as trouble:
        print(f"{asked.name}: nothing measured: {trouble}", file=sys.stderr)
        report = Report(asked.name, "nothing measured", failed=True)
    report.print(as_json=asked.json)
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
