"""`costopt explain CALL`: what was decided for one recorded call, and what each decision was worth."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from costopt.cli import show
from costopt.cli.options import add_command, add_json, add_ledger, folder
from costopt.cli.show import Column, left
from costopt.money import dollars, with_usd

if TYPE_CHECKING:
    from costopt.report import Explanation
    from costopt.types import Saving, Usage
    from costopt.world.ledger import Fact


def add(commands: Any) -> None:
    parser = add_command(commands, "explain", "the decisions of one recorded call, and what each was worth")
    parser.add_argument("call", metavar="CALL", help="its id (header x-costopt-call), or the beginning of it")
    add_ledger(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: Namespace) -> int:
    from costopt.report import explain

    told = explain(folder(args.ledger), args.call)
    if args.json:
        show.as_json(with_usd(told.to_dict()))
    else:
        _print(told)
    return 0


def _print(told: Explanation) -> None:
    fact = told.fact
    show.heading(f"call {show.clean(fact.id)}")
    for name, what in _facts(fact):
        show.line(f"{name:<9}{show.clean(what)}")
    show.line()
    columns = [left("layer"), left("decision"), Column("worth"), left("")]
    rows = [[step.layer, step.what, *_worth(step.savings)] for step in told.steps]
    rows += [[saving.lever, "", *_worth((saving,))] for saving in told.others]
    if rows:
        show.table(columns, [[show.clean(cell) for cell in row] for row in rows])
    else:
        show.line("no lever had anything to decide")


def _facts(fact: Fact) -> Iterable[tuple[str, str]]:
    yield "when", f"{_time(fact.started)}, took {(fact.ended - fact.started) / 1e9:.3f} s"
    yield "model", fact.served if fact.served == fact.asked else f"{fact.asked} asked, {fact.served} answered"
    yield "api", f"{fact.api}{', streamed' if fact.stream else ''} at {fact.endpoint}"
    yield "outcome", _outcome(fact)
    if fact.usage is not None:
        yield "tokens", _tokens(fact.usage)
    yield "cost", _cost(fact)
    if fact.tags:
        yield "tags", ", ".join(f"{name}={value}" for name, value in fact.tags.items())


def _outcome(fact: Fact) -> str:
    meanings = {
        "ok": "answered by the provider",
        "hit": f"answered from the cache ({fact.tier}), no provider asked",
        "left": "the caller left before the end",
        "refused": "refused before any money was spent",
        "error": "the provider failed",
    }
    return meanings.get(fact.outcome, fact.outcome) + (f": {fact.error}" if fact.error else "")


def _tokens(usage: Usage) -> str:
    cached = f" ({usage.cache_read:,} from the provider's cache)" if usage.cache_read else ""
    note = ", estimated here" if usage.estimated else ""
    return f"{usage.prompt:,} prompt{cached}, {usage.output:,} output{note}"


def _cost(fact: Fact) -> str:
    if fact.unpriced or (fact.outcome == "hit" and fact.cost is None):
        return "unpriced: nobody knows its price, or what the provider bills for it"
    spent = dollars(fact.cost or 0)
    saved = sum(saving.nano for saving in fact.savings)
    without = f", {dollars((fact.cost or 0) + saved)} without costopt" if fact.savings else ""
    return spent + without + (f" (price revision {fact.revision})" if fact.revision else "")


def _worth(savings: tuple[Saving, ...]) -> tuple[str, str]:
    amounts = ", ".join(dollars(saving.nano, signed=True) for saving in savings)
    return amounts, "; ".join(f"{saving.basis}: against {saving.baseline}" for saving in savings)


def _time(nano: int) -> str:
    return datetime.fromtimestamp(nano // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
