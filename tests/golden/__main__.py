"""`python -m tests.golden`: write the golden figures anew. With `workload`, the workload first. Read the diff."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.golden import golden_replay, golden_workload


def main(asked: list[str]) -> int:
    if asked not in ([], ["workload"]):
        print(__doc__, file=sys.stderr)
        return 2
    if asked:
        golden_replay.WORKLOAD.write_text(golden_replay.written(golden_workload.lines()), "utf-8")
    with tempfile.TemporaryDirectory() as folder:
        ledger = golden_replay.recorded(Path(folder))
        for name, policy in golden_replay.policies().items():
            golden_replay.golden(name).write_text(golden_replay.figures(ledger, policy), "utf-8")
            print(golden_replay.golden(name))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
