"""`costopt report`: where the money went, from the ledger."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from costopt.cli.options import add_ledger


def add(commands: Any) -> None:
    parser: ArgumentParser = commands.add_parser("report", help="where the money went, and what was saved")
    add_ledger(parser)
    parser.add_argument(
        "--by",
        action="append",
        metavar="model|day|tag:NAME",
        help="group rows; repeat to nest (default: model)",
    )
    parser.add_argument("--since", metavar="WHEN", help="from this date (UTC) or span back: 2026-11-01, 7d")
    parser.add_argument("--until", metavar="WHEN", help="to the end of this date (UTC), or a span back")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON document for machines")
    form.add_argument("--csv", action="store_true", help="print comma-separated values")
    parser.set_defaults(run=run)


def run(args: Namespace) -> int:
    raise NotImplementedError
