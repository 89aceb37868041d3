"""`costopt report`: where the money went, from the ledger."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from costopt.cli import show
from costopt.cli.fault import InputError
from costopt.cli.options import add_command, add_form, add_ledger, add_period, folder, since, text, until
from costopt.cli.show import Column, left
from costopt.money import dollars, with_usd

if TYPE_CHECKING:
    from costopt.report import Report, Row

#: What the basis of a saving means, in the words of the report.
BASES = {
    "known": "recorded",
    "derived": "arithmetic on recorded facts",
    "assumed": "if the answer would have been the same",
    "estimated": "a guess at what would have been spent",
}


def add(commands: Any) -> None:
    parser = add_command(commands, "report", "where the money went, and what was saved")
    add_ledger(parser)
    parser.add_argument(
        "--by", action="append", metavar="model|day|tag:NAME", help="group by; repeatable (default: model)"
    )
    add_period(parser)
    add_form(parser)
    parser.set_defaults(run=run)


def run(args: Namespace) -> int:
    by, first, end = _groups(args.by), since(args.since), until(args.until)

    from costopt.report import report

    made = report(folder(args.ledger), by=by, since=first, until=end)
    if args.json:
        show.as_json(with_usd(made.to_dict()))
    elif args.csv:
        show.text(made.csv())
    else:
        _print(made)
    return 0


def _groups(asked: Sequence[str] | None) -> tuple[str, ...]:
    for name in asked or ():
        text("--by", name)
        if name not in ("model", "day") and not (name.startswith("tag:") and len(name) > len("tag:")):
            raise InputError(f"costopt: --by {name!r}: write model, day or tag:NAME")
    return tuple(dict.fromkeys(asked or ("model",)))


def _print(report: Report) -> None:
    if report.empty:
        show.line("no calls are recorded for this period")
        return
    counts = _counts(report.total)
    columns = [*(left(name, words=name != "day") for name in report.by), *_columns(counts)]
    digits = report.total.digits
    rows = [[*map(_name, row.group), *_cells(row, digits, counts)] for row in report.rows]
    blank = [""] * (len(report.by) - 1)
    total = ["total", *blank, *_cells(report.total, digits, counts)]
    show.table(columns, [*rows, total], footer=True)
    _print_savings(report.total, digits)
    if any(row.cost and not row.calls for row in report.rows):
        show.sentence("Cost without a call is that of attempts which were paid and not used.")
    if report.total.unpriced:
        show.sentence(
            f"{report.total.unpriced:,} calls have no known price: they are in no sum of money above."
        )
    if report.total.estimated:
        show.sentence(
            f"{report.total.estimated:,} calls have token counts estimated here; the provider sent none."
        )


def _counts(total: Row) -> list[str]:
    """Those always shown, and the rarer ones that there are."""
    return ["calls", "hits", "errors", *(name for name in ("refused", "unpriced") if getattr(total, name))]


def _columns(counts: list[str]) -> list[Column]:
    tokens = [Column(name, spare=True) for name in ("output", "prompt", "cached")]
    return [*map(Column, counts), *tokens, Column("cost"), Column("saved"), Column("assumed")]


def _cells(row: Row, digits: int, names: list[str]) -> list[str]:
    counts = [getattr(row, name) for name in (*names, "output", "prompt", "cached")]
    cost = dollars(row.cost, digits)
    saved = (dollars(nano, digits, signed=True) for nano in (row.saved, row.saved_assumed))
    return [*(f"{count:,}" for count in counts), cost, *saved]


def _print_savings(total: Row, digits: int) -> None:
    if not total.savings:
        return
    show.line()
    columns = [left("lever"), Column("saved"), left("basis"), left("")]
    order = {basis: at for at, basis in enumerate(BASES)}
    savings = sorted(total.savings, key=lambda each: (order[each.basis], -each.nano))
    rows = [[s.lever, dollars(s.nano, digits, signed=True), s.basis, BASES[s.basis]] for s in savings]
    show.table(columns, rows)


def _name(group: str) -> str:
    return show.clean(group) or "(none)"
