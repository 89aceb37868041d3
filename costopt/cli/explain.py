"""`costopt explain CALL`: what was decided for one recorded call, and what each decision was worth."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from costopt.cli.options import add_json, add_ledger


def add(commands: Any) -> None:
    parser: ArgumentParser = commands.add_parser("explain", help="the decisions of one recorded call")
    parser.add_argument("call", metavar="CALL", help="its id (header x-costopt-call), or the beginning of it")
    add_ledger(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: Namespace) -> int:
    raise NotImplementedError
