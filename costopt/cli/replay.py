"""`costopt replay`: what recorded calls would have cost under another policy."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from costopt.cli import show
from costopt.cli.fault import InputError
from costopt.cli.options import DEFAULT_LEDGER, add_command, add_form, add_period, since, tags, text, until
from costopt.cli.progress import progress_bar

if TYPE_CHECKING:
    from costopt.cli.replay_source import Opened
    from costopt.policy import Policy
    from costopt.world.ledger.words import Selection

EPILOG = """\
--json prints what `costopt.replay(...).to_dict()` gives: schema 1; money in integer nano-dollars, and
again as exact decimal dollars (*_usd); null is unknown. `outcomes` holds one entry for each policy.
A log FILE adds `imported`, --explain gives `call` and `traces` instead of outcomes.

--csv prints policy, section, name, basis, calls, before_nano, after_nano, saved_nano, low_nano,
high_nano; section is total, lever, answer, model, day, tag:NAME or call; an empty cell is unknown, or
does not apply.
"""


def add(commands: Any) -> None:
    from argparse import RawDescriptionHelpFormatter

    parser = add_command(
        commands,
        "replay",
        "what recorded calls would have cost under another policy",
        "Calls nobody.",
        epilog=EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source",
        nargs="?",
        default=DEFAULT_LEDGER,
        metavar="SOURCE",
        help=f"folder of a ledger (default: {DEFAULT_LEDGER}), or a log in the interchange format (.jsonl, "
        "packed as .gz or .zst too)",
    )
    parser.add_argument("--policy", required=True, metavar="FILE|PRESET", help="the policy to try")
    parser.add_argument("--against", metavar="FILE|PRESET", help="another one, side by side")
    add_period(parser)
    parser.add_argument(
        "--tag",
        action="append",
        metavar="NAME=VALUE",
        help="only calls with this tag; repeatable, all must be there",
    )
    parser.add_argument("--model", default="", help="only calls that asked this model, or that it answered")
    parser.add_argument("--explain", metavar="CALL", help="every effect of one call: its id or the beginning")
    add_form(parser)
    parser.set_defaults(run=run)


def run(args: Namespace) -> int:
    if args.explain is not None and args.csv:
        raise InputError("costopt: --explain prints text or --json, no --csv")
    wanted = _selection(args)
    policies = _policies(args)

    from costopt.cli.replay_source import opened

    with opened(args.source, quiet=args.json or args.csv) as source:
        if source.imported is not None:
            (sys.stderr if args.json or args.csv else sys.stdout).write(source.said() + "\n")
        source.check(wanted)
        if args.explain is not None:
            _explain(args, source, policies, wanted)
        else:
            _replay(args, source, policies, wanted)
    return 0


def _selection(args: Namespace) -> Selection:
    first, end, given = since(args.since), until(args.until), tags("--tag", args.tag)

    from costopt.world.ledger.words import FOREVER, Selection

    return Selection(first or 0, FOREVER if end is None else end, text("--model", args.model), given)


def _policies(args: Namespace) -> list[Policy]:
    """Two files of one name are told apart by their paths."""
    from msgspec.structs import replace

    from costopt.policyfile import load
    from costopt.world import pricemap

    book = pricemap.load()
    given: list[str] = [args.policy] if args.against is None else [args.policy, args.against]
    policies = [load(each, known=book.knows, names=book.names) for each in given]
    if len({policy.source for policy in policies}) > len({policy.name for policy in policies}):
        return [replace(policy, name=each) for policy, each in zip(policies, given, strict=True)]
    return policies


def _replay(args: Namespace, source: Opened, policies: list[Policy], wanted: Selection) -> None:
    from costopt.cli import replay_csv, replay_view

    with progress_bar("replaying", quiet=args.json or args.csv) as progress:
        found = source.replay(policies, wanted, progress=progress)
    if args.json:
        show.as_json(found.to_dict() | source.told())
    elif args.csv:
        show.text(replay_csv.document(found))
    else:
        replay_view.show_replay(found, source.short_ids(found))


def _explain(args: Namespace, source: Opened, policies: list[Policy], wanted: Selection) -> None:
    from costopt.cli import replay_explain

    fact = source.fact(args.explain, wanted)
    traced: list[replay_explain.Traced] = []
    for policy in policies:
        with progress_bar("replaying", quiet=args.json) as progress:
            traced.append(replay_explain.traced(source, policy, wanted, fact, progress))
    if args.json:
        show.as_json(replay_explain.document(fact, traced) | source.told())
    else:
        replay_explain.show_traces(fact, traced)
