"""`costopt archive run`: pack old calls into compressed segments that report and explain still read."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from costopt.cli.options import add_json, add_ledger


def add(commands: Any) -> None:
    parser: ArgumentParser = commands.add_parser("archive", help="pack old calls of the ledger")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    pack: ArgumentParser = actions.add_parser("run", help="move calls older than a span to segments")
    add_ledger(pack)
    pack.add_argument("--older-than", default="30d", metavar="SPAN", help="default: 30d")
    add_json(pack)
    pack.set_defaults(run=run)


def run(args: Namespace) -> int:
    raise NotImplementedError
