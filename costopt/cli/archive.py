"""`costopt archive run`: pack old calls into compressed segments that report and explain still read.

Which ledger and which calls is what a policy says under `ledger:`, the default one where none is named; `--ledger`
and `--older-than` say otherwise.
"""

from __future__ import annotations

import time
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from costopt.cli import show
from costopt.cli.fault import InputError
from costopt.cli.options import add_command, add_json, add_ledger, folder, span

if TYPE_CHECKING:
    from costopt.policy import Policy


def add(commands: Any) -> None:
    parser = add_command(commands, "archive", "pack old calls of the ledger")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    pack = add_command(
        actions, "run", "move old calls to compressed segments", "report, explain and replay still read them."
    )
    pack.add_argument(
        "--policy",
        metavar="FILE|PRESET",
        help="the policy whose ledger and archive_after count (default: balanced)",
    )
    add_ledger(pack, default=None, note="folder of the ledger (default: the policy's ledger.path)")
    pack.add_argument(
        "--older-than",
        metavar="SPAN",
        help="which calls are old (default: the policy's ledger.archive_after)",
    )
    add_json(pack)
    pack.set_defaults(run=run)


def run(args: Namespace) -> int:
    from costopt.policyfile import load
    from costopt.policyfile.units import say_duration
    from costopt.world import archive

    policy = load(args.policy)
    place = folder(_ledger(policy, args.ledger))
    older_than_s = _older_than(policy, args.older_than)
    done = archive.run(place, older_than_s, time.time_ns())
    if args.json:
        sizes = {"bytes_before": done.bytes_before, "bytes_after": done.bytes_after}
        show.as_json({"calls": done.calls, "parts": done.parts, **sizes})
    elif done.calls:
        show.line(f"archived {done.calls:,} calls; {done.parts:,} messages and answers moved out of SQLite")
        show.line(f"folder: {_size(done.bytes_before)} before, {_size(done.bytes_after)} after")
    else:
        show.line(f"nothing to archive: no call is older than {say_duration(older_than_s)}")
    return 0


def _ledger(policy: Policy, given: str | None) -> str:
    if given is not None:
        return given
    if policy.ledger is None or not policy.ledger.path:
        raise InputError(f"costopt: the policy {policy.name} keeps no ledger: write --ledger DIR")
    return policy.ledger.path


def _older_than(policy: Policy, given: str | None) -> float:
    """Seconds."""
    if given is not None:
        return span("--older-than", given)
    if policy.ledger is None or policy.ledger.archive_after is None:
        raise InputError(f"costopt: the policy {policy.name} never archives calls: write --older-than SPAN")
    return policy.ledger.archive_after


def _size(count: int) -> str:
    """`412 bytes`, `1.2 MB`."""
    power = min((len(str(count)) - 1) // 3, 4)
    return (
        f"{count / 1000**power:.1f} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}" if power else f"{count} bytes"
    )
