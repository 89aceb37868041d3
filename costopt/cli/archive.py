"""`costopt archive run`: pack old calls into compressed segments that report and explain still read."""

from __future__ import annotations

import time
from argparse import Namespace
from typing import Any

from costopt.cli import show
from costopt.cli.options import add_command, add_json, add_ledger, folder, span


def add(commands: Any) -> None:
    parser = add_command(commands, "archive", "pack old calls of the ledger")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    pack = add_command(
        actions, "run", "move old calls to compressed segments", "report, explain and replay still read them."
    )
    add_ledger(pack)
    pack.add_argument(
        "--older-than", default="30d", metavar="SPAN", help="which calls are old (default: 30d)"
    )
    add_json(pack)
    pack.set_defaults(run=run)


def run(args: Namespace) -> int:
    from costopt.world import archive

    older_than_s = span("--older-than", args.older_than)
    done = archive.run(folder(args.ledger), older_than_s, time.time_ns())
    if args.json:
        sizes = {"bytes_before": done.bytes_before, "bytes_after": done.bytes_after}
        show.as_json({"calls": done.calls, "parts": done.parts, **sizes})
    elif done.calls:
        show.line(f"archived {done.calls:,} calls; {done.parts:,} messages and answers moved out of SQLite")
        show.line(f"folder: {_size(done.bytes_before)} before, {_size(done.bytes_after)} after")
    else:
        show.line(f"nothing to archive: no call is older than {args.older_than}")
    return 0


def _size(count: int) -> str:
    """`412 bytes`, `1.2 MB`."""
    power = min((len(str(count)) - 1) // 3, 4)
    return (
        f"{count / 1000**power:.1f} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}" if power else f"{count} bytes"
    )
