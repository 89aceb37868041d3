"""`costopt policy`: what a policy will do, in plain words, before it does anything."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from typing import Any

from costopt.cli import show


def add(commands: Any) -> None:
    parser: ArgumentParser = commands.add_parser("policy", help="check a policy; list presets; JSON schema")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    check: ArgumentParser = actions.add_parser("check", help="say in plain words what a policy will do")
    check.add_argument(
        "policy", nargs="?", default="balanced", metavar="FILE|PRESET", help="default: balanced"
    )
    check.set_defaults(run=_check)
    schema: ArgumentParser = actions.add_parser("schema", help="the JSON schema, for editors")
    schema.set_defaults(run=_schema)
    presets: ArgumentParser = actions.add_parser("list", help="the presets that come with costopt")
    presets.set_defaults(run=_list)


def _check(args: Namespace) -> int:
    from costopt.policyfile import explain, load

    show.line(explain(load(args.policy)))
    return 0


def _schema(args: Namespace) -> int:
    from costopt.policyfile import schema

    show.line(json.dumps(schema(), indent=2))
    return 0


def _list(args: Namespace) -> int:
    from costopt.policyfile import presets

    for name in presets():
        show.line(name)
    return 0
