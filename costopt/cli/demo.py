"""`costopt demo`: one agent workload on a simulated provider, plain and wrapped, side by side."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from costopt.cli.options import add_json, add_ledger


def add(commands: Any) -> None:
    parser: ArgumentParser = commands.add_parser("demo", help="see the saving; needs no key and no network")
    parser.add_argument("--policy", default=None, metavar="FILE|PRESET", help="default: balanced")
    parser.add_argument(
        "--real-model", action="store_true", help="a small local model answers (extra `local`)"
    )
    add_json(parser)
    add_ledger(parser, None, "where to record the wrapped run (default: a new temporary folder)")
    parser.set_defaults(run=run)


def run(args: Namespace) -> int:
    raise NotImplementedError
