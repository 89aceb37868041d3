"""`costopt policy`: what a policy will do, in plain words, before it does anything."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from costopt.cli import show
from costopt.cli.options import add_command

if TYPE_CHECKING:
    from costopt.decide.prices import PriceBook
    from costopt.types import Nano

#: Tokens whose cost tells a price: few enough to stay below every threshold for long prompts.
SAMPLE = 1000


def add(commands: Any) -> None:
    parser = add_command(commands, "policy", "check a policy, list the presets, print the JSON schema")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    check = add_command(
        actions, "check", "say in plain words what a policy will do", "Names each mistake with its line."
    )
    check.add_argument(
        "policy", nargs="?", metavar="FILE|PRESET", help="the policy to check (default: balanced)"
    )
    check.set_defaults(run=_check)
    schema = add_command(actions, "schema", "print the JSON schema, for editors")
    schema.set_defaults(run=_schema)
    presets = add_command(actions, "list", "list the presets that come with costopt")
    presets.set_defaults(run=_list)


def _check(args: Namespace) -> int:
    from costopt.decide.route import other_use
    from costopt.policyfile import explain, load
    from costopt.policyfile.check import matches
    from costopt.world import pricemap

    book = pricemap.load()
    policy = load(args.policy, known=book.knows, names=book.names)
    show.heading(f"{policy.name}: this policy will")
    sentences = explain(
        policy,
        lambda model: _price(book, model),
        lambda model: other_use(model, book),
        lambda pattern: matches(pattern, book.names, book.knows),
    )
    for sentence in sentences:
        show.line(f"- {sentence}")
    show.line(f"Prices: litellm's price map, revision {book.revision}.")
    return 0


def _price(book: PriceBook, model: str) -> tuple[Nano, Nano] | None:
    """Input and output price of a short prompt, nano-USD per million tokens; None where one is unknown."""
    from costopt.types import Usage

    usages = (Usage(), Usage(input=SAMPLE), Usage(output=SAMPLE))
    fee, asked, said = (book.cost(model, usage) for usage in usages)
    if fee is None or asked is None or said is None:
        return None
    return (asked - fee) * 1_000_000 // SAMPLE, (said - fee) * 1_000_000 // SAMPLE


def _schema(args: Namespace) -> int:
    from costopt.policyfile import schema

    show.line(json.dumps(schema(), indent=2))
    return 0


def _list(args: Namespace) -> int:
    from costopt.policyfile import presets
    from costopt.policyfile.read import DEFAULT

    rows = [[name, "default" if name == DEFAULT else "", str(path)] for name, path in presets().items()]
    show.table([show.left(title) for title in ("preset", "", "file")], rows)
    return 0
