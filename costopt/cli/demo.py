"""`costopt demo`: one agent workload on a simulated provider, plain and wrapped, side by side."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from costopt.cli import show
from costopt.cli.fault import InputError
from costopt.cli.options import add_command, add_json, add_ledger, folder
from costopt.cli.show import Column, left
from costopt.money import change, dollars, with_usd

if TYPE_CHECKING:
    from costopt.demo.outcome import DemoResult, Side
    from costopt.demo.run import Run

#: The demo's sums are small and exact: all nine places of a nano-dollar are shown.
DIGITS = 9
#: The policy of `costopt.demo.run.POLICY`.
OWN_POLICY = "desk"


def add(commands: Any) -> None:
    parser = add_command(commands, "demo", "see the saving on a simulated provider, no key, no network")
    parser.add_argument(
        "--policy", metavar="FILE|PRESET", help="the policy to see at work (default: one made for it)"
    )
    parser.add_argument(
        "--real-model", action="store_true", help="a small local model answers (extra `local`)"
    )
    add_json(parser)
    add_ledger(parser, None, "new folder for the wrapped run's ledger (default: a temporary one, kept)")
    parser.set_defaults(run=run)


def run(args: Namespace) -> int:
    place = _new_folder(args.ledger) if args.ledger else None

    from costopt.demo.run import compare

    with _progress(quiet=args.json) as on_progress:
        result = compare(args.policy, real_model=args.real_model, ledger=place, on_progress=on_progress)
    if args.json:
        show.as_json(with_usd(document(result)))
    else:
        print_result(result)
    return 0


def _new_folder(given: str) -> Path:
    """Old calls and cached answers in it would be counted as this run's."""
    place = folder(given)
    if place.exists() and not (place.is_dir() and not any(place.iterdir())):
        raise InputError(f"costopt: --ledger {given}: the demo needs a new or empty folder")
    return place


def document(result: DemoResult) -> dict[str, Any]:
    import msgspec

    levers = [{"lever": lever, "nano": nano} for lever, nano in result.saved_by_lever.items()]
    fields = msgspec.structs.asdict(result) | {
        "plain": msgspec.structs.asdict(result.plain),
        "wrapped": msgspec.structs.asdict(result.wrapped),
        "saved_by_lever": levers,
        "interplay": result.interplay,
        "saved": result.saved,
        "ledger": str(result.ledger),
        "price_revision": _revision(result),
    }
    return {"unit": "nano-USD", **fields}


def _revision(result: DemoResult) -> str:
    """The price revision that the ledger's calls name."""
    from costopt.world.ledger import Reader

    with Reader(result.ledger) as reader:
        rows = reader.query("SELECT DISTINCT revision FROM origins WHERE revision <> ''")
    return ", ".join(row[0] for row in rows)


def print_result(result: DemoResult) -> None:
    work = "A few questions to" if result.real_model else "A support desk's day on"
    show.heading(f"{work} {', '.join(result.models)}, plain and wrapped (policy: {result.policy})")
    show.line()
    titles = (left(""), Column("plain"), Column("wrapped"), Column("change"))
    show.table(titles, _sides(result.plain, result.wrapped))
    show.line()
    show.table(
        (left("saved by"), Column("USD"), left("")),
        _levers(result),
        footer=True,
    )
    show.line()
    for sentence in _held(result):
        show.sentence(sentence)
    for sentence in _real_model() if result.real_model else _simulated(result):
        show.sentence(sentence)
    show.line()
    show.line(f"ledger  {result.ledger}")
    show.line(f"next    costopt report --ledger {shlex.quote(str(result.ledger))}")


def _sides(plain: Side, wrapped: Side) -> list[list[str]]:
    rows = [
        _row("calls made", plain.calls, wrapped.calls),
        _row("calls to the provider", plain.provider_calls, wrapped.provider_calls),
        _row("prompt tokens paid", plain.prompt_tokens, wrapped.prompt_tokens),
        _row("  of them at cache price", plain.cached_tokens, wrapped.cached_tokens),
        _row("output tokens paid", plain.output_tokens, wrapped.output_tokens),
    ]
    if wrapped.refused:
        rows.insert(1, _row("  of them refused", plain.refused, wrapped.refused))
    costs = [dollars(plain.cost, DIGITS), dollars(wrapped.cost, DIGITS)]
    return [*rows, ["cost", *costs, change(plain.cost, wrapped.cost)]]


def _row(name: str, plain: int, wrapped: int) -> list[str]:
    return [name, f"{plain:,}", f"{wrapped:,}", change(plain, wrapped)]


def _levers(result: DemoResult) -> list[list[str]]:
    rows = [[lever, dollars(nano, DIGITS, signed=True), ""] for lever, nano in result.saved_by_lever.items()]
    if result.interplay:
        undone = "work left undone for refused calls, and " if result.wrapped.refused else ""
        why = f"{undone}what the levers do to each other and to the provider's prompt cache"
        rows.append(["interplay", dollars(result.interplay, DIGITS, signed=True), why])
    return [*rows, ["total", dollars(result.saved, DIGITS, signed=True), "plain minus wrapped"]]


def _held(result: DemoResult) -> list[str]:
    """What the policy did not let go, or not at once."""
    lines: list[str] = []
    if refused := result.wrapped.refused:
        were = "call was" if refused == 1 else "calls were"
        lines.append(f"{refused:,} {were} refused, the first one so: {result.refusal}.")
        lines.append("What they were for was left undone: not all of plain minus wrapped is a saving.")
    if result.waited:
        held = str(timedelta(seconds=round(result.waited / 1e9)))
        lines.append(f"Limits held calls back for {held} in all (h:mm:ss); the demo's clock went on without.")
    return lines


def _simulated(result: DemoResult) -> list[str]:
    lines = [
        "Simulated: the provider, its answers, and its prompt cache. Nothing left this machine.",
        "Real: the openai SDK, the pipeline, the ledger, and the token counts of what was sent and said.",
        f"Prices: list prices of litellm's price map, revision {_revision(result)}.",
    ]
    if result.billed is not None and result.wrapped.cost is not None:
        same = "the same" if result.billed == result.wrapped.cost else "NOT the same"
        lines.append(
            f"The provider's own bill for the wrapped run is {dollars(result.billed, DIGITS)}: {same}."
        )
    if result.repeated is not None:
        answered = 1 - (result.wrapped.provider_calls + result.wrapped.refused) / result.wrapped.calls
        lines.append(
            f"{result.repeated:.0%} of these calls repeat an earlier one, {answered:.0%} cost nothing."
        )
        lines.append("Your own calls will differ: wrap a client and see `costopt report`.")
    if result.policy == OWN_POLICY:
        lines.append(
            f"Policy {OWN_POLICY} is written for this work; `--policy balanced` is what you get unasked."
        )
    return lines


def _real_model() -> list[str]:
    return [
        "Real: the answers, by a small model on this machine, and its token counts.",
        "Assumed: the prices, as if it were gpt-4o-mini; a local model has none.",
    ]


@contextmanager
def _progress(*, quiet: bool) -> Generator[Callable[[Run, int, int], None]]:
    """A bar on a terminal, a line for each quarter elsewhere; on stderr, stdout holds the result only."""
    if not sys.stderr.isatty():
        yield _silent if quiet else _quarters
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        tasks = {"plain": bar.add_task("plain  ", total=None), "wrapped": bar.add_task("wrapped", total=None)}
        yield lambda run, done, total: bar.update(tasks[run], completed=done, total=total)


def _silent(run: Run, done: int, total: int) -> None:
    pass


def _quarters(run: Run, done: int, total: int) -> None:
    if done * 4 // total > (done - 1) * 4 // total:
        sys.stderr.write(f"{run}: {done} of {total} calls\n")
