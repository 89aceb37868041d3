"""`costopt import`: bring the logs of other tools into a ledger."""

from __future__ import annotations

import json
import re
from argparse import SUPPRESS, Action, ArgumentParser, Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from costopt.cli import show
from costopt.cli.fault import InputError
from costopt.cli.options import add_command, add_json, add_ledger, folder, tags, text
from costopt.cli.progress import progress_bar
from costopt.money import change, dollars

if TYPE_CHECKING:
    from costopt.importing import Options, Summary
    from costopt.importing.run import Bill
    from costopt.policy import Price

#: Unusable lines that are printed; --json has all.
SHOWN = 20
#: How far two bills may be apart and count as one.
NEAR = 0.005
_REMEDY = (
    "  add your own prices under `prices:` in a policy and name it with --prices FILE,",
    "  or take what the log says with --cost log",
)
_SPAN = re.compile(r"(\d{1,9})\s*(ms|s|m|h|d)")
_NANOS = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9}


def add(commands: Any) -> None:
    parser = add_command(commands, "import", "bring the logs of other tools into a ledger")
    parser.add_argument("format", metavar="FORMAT", help="what the log is: see --list")
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="file (.gz, .zst too), folder or - for stdin"
    )
    add_ledger(parser)
    parser.add_argument("--list", action=_List, help="list the formats")
    parser.add_argument("--model", default="", help="for calls that name no model, or one without a price")
    parser.add_argument("--tools", metavar="FILE", help="tool schemas sent with every call, as a JSON list")
    parser.add_argument(
        "--start", metavar="DAY", help="calls whose log has no times get some, from this day on"
    )
    parser.add_argument(
        "--every", default="2s", metavar="SPAN", help="from one of them to the next (2s, 500ms)"
    )
    parser.add_argument(
        "--no-prompt-cache",
        action="store_true",
        help="take prompts counted here for uncached, as if the provider had no prompt cache",
    )
    parser.add_argument("--tag", action="append", metavar="NAME=VALUE", help="for every call; repeatable")
    parser.add_argument(
        "--content",
        choices=("full", "hashed"),
        default="full",
        help="hashed: keep no text of prompts and answers (default: full)",
    )
    parser.add_argument(
        "--cost",
        choices=("list", "log"),
        default="list",
        help="log: what the log says was paid, where it says so (default: list, its price by the token)",
    )
    parser.add_argument("--prices", metavar="FILE", help="a policy with `prices:` of your own")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: Namespace) -> int:
    from costopt.importing import load

    options = _options(args)
    with progress_bar("importing", quiet=args.json, bytes_=True) as progress:
        done = load(
            args.format,
            args.paths,
            ledger=folder(args.ledger),
            options=options,
            content=args.content,
            progress=progress,
        )
    if args.json:
        show.as_json(done.to_dict())
    elif done.usable:
        _print(args, done)
    if not done.usable:
        raise InputError(_nothing(done))
    return 0


class _List(Action):
    """Like --version: what is asked for is printed, whatever else is missing."""

    def __init__(self, option_strings: Sequence[str], dest: str, **more: Any) -> None:
        super().__init__(option_strings, SUPPRESS, nargs=0, default=SUPPRESS, help=more.get("help"))

    def __call__(self, parser: ArgumentParser, *_: object) -> None:
        from costopt.importing.formats import FORMATS

        rows = [[name, listed.what] for name, listed in FORMATS.items()]
        show.table([show.left("format"), show.left("reads")], rows)
        parser.exit()


def _options(args: Namespace) -> Options:
    from costopt.importing import Options

    return Options(
        model=text("--model", args.model),
        tools=_tools(args.tools) if args.tools else None,
        start=_start(args.start) if args.start else None,
        every=_every(args.every),
        tags=tags("--tag", args.tag),
        prompt_cache=not args.no_prompt_cache,
        prices=_prices(args.prices) if args.prices else {},
        cost=args.cost,
    )


def _prices(given: str) -> dict[str, Price]:
    from costopt.policyfile import load as load_policy

    prices = load_policy(given).prices
    if not prices:
        raise InputError(f"costopt: --prices {given}: there is no `prices:` in this policy")
    return prices


def _tools(given: str) -> list[Any]:
    try:
        tools: Any = json.loads(folder(given).read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"costopt: --tools {given}: {_why(error)}") from error
    if not isinstance(tools, list) or not all(isinstance(each, dict) for each in tools):  # pyright: ignore[reportUnknownVariableType] - why: any JSON
        raise InputError(f"costopt: --tools {given}: write a JSON list of tool schemas")
    return tools  # pyright: ignore[reportUnknownVariableType]


def _why(error: Exception) -> str:
    return f"cannot be read: {error.strerror}" if isinstance(error, OSError) else "no JSON"


def _start(text: str) -> int:
    from costopt.importing.times import moment

    at = moment(text)
    if at is None:
        raise InputError(
            f"costopt: --start {text!r}: write a day or a time such as 2026-11-01 or 2026-11-01T09:00"
        )
    return at


def _every(text: str) -> int:
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise InputError(f"costopt: --every {text!r}: write a span such as 2s, 500ms or 1m (ms, s, m, h, d)")
    return int(match[1]) * _NANOS[match[2]]


def _nothing(done: Summary) -> str:
    if not done.lines and not done.unusable:
        return "costopt: nothing to import: there is not one line in it"
    first = f"; {_line(done, 0)}" if done.unusable else ""
    return f"costopt: nothing in {show.many(done.lines, 'line')} could be imported as {done.format}{first}"


def _print(args: Namespace, done: Summary) -> None:
    priced = f", {dollars(done.cost)}" if done.new > done.unpriced else ""
    where = f"from {show.many(done.lines, 'line')} in {show.clean(done.ledger)}"
    show.line(f"{show.many(done.new, 'new call')}{priced}{_days(done)} {where}")
    for told in _bill(args, done.bill) if done.bill.calls else ():
        show.line(f"  {told}")
    for number, what in _remarks(done):
        if number:
            show.line(f"  {number:,} {what}")
    for at in range(min(SHOWN, len(done.unusable))):
        show.line(f"    {_line(done, at)}")
    if len(done.unusable) > SHOWN:
        show.line(f"    ... and {len(done.unusable) - SHOWN:,} more; --json has all")


def _days(done: Summary) -> str:
    """The UTC days of the new calls."""
    from costopt.world.ledger.rollup import utc_date

    days = [utc_date(at) for at in (done.first, done.last) if at]
    return f", {' to '.join(dict.fromkeys(days))}," if days else ""


def _bill(args: Namespace, bill: Bill) -> list[str]:
    """What was paid against what our prices say; how to bring them together where they are far apart."""
    prices = "your own and list prices" if args.prices else "list prices"
    listed = f"at {prices} {dollars(bill.listed)}"
    told = f"the log says {dollars(bill.logged)} for {show.many(bill.calls, 'call')}; {listed}"
    if abs(bill.listed - bill.logged) <= NEAR * bill.logged:
        return [told]
    told = f"{told} ({change(bill.logged, bill.listed)})" if bill.logged else told
    return [told] if args.cost == "log" else [told, *_REMEDY]


def _remarks(done: Summary) -> list[tuple[int, str]]:
    return [
        (done.known, "were there already, or twice in the log, and are counted once"),
        (
            done.shared,
            "have the id of another call in the log, with another request, answer or time: counted",
        ),
        (done.timeless, "have no time in the log: made up, in the log's order (tag time=synthetic)"),
        (done.counted, "have no token counts in the log: counted here, estimates"),
        (done.unanswered, "have no answer in the log: their output is missing in the sum of money"),
        (done.unpriced, "have no known price: they are in no sum of money"),
        (len(done.unusable), "could not be used:"),
    ]


def _line(done: Summary, at: int) -> str:
    lost = done.unusable[at]
    place = f"{lost.path}:{lost.line}" if lost.line else lost.path
    return show.clean(f"{place}: {lost.why}")
