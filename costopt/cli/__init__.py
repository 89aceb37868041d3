"""The `costopt` command. One file per command; each imports what it needs when it runs, so `--help` is quick.

    demo      see the saving on a simulated provider, no key, no network
    import    bring the logs of other tools into a ledger
    report    where the money went, and what was saved
    explain   the decisions of one recorded call, and what each was worth
    replay    what recorded calls would have cost under another policy
    policy    check a policy, list the presets, print the JSON schema
    archive   pack old calls of the ledger

Exit codes: 0 done, 1 failed (the ledger, a file, the machine), 2 bad input (an option, a policy, a log, a call's id),
130 interrupted, 141 the reader of our output went away.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from costopt import __version__
from costopt.cli import archive, demo, explain, imports, policy, replay, report
from costopt.cli.fault import InputError
from costopt.errors import CannotImport, CostoptError, NoSuchCall, PolicyError

COMMANDS = (demo, imports, report, explain, replay, policy, archive)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. `argv` as in `sys.argv[1:]`, the default."""
    for name in ("stdin", "stdout", "stderr"):
        _make_usable(name)
    return quietly(lambda: run(parser().parse_args(argv)))


def _make_usable(name: str) -> None:
    """A standard stream that is closed becomes the null device, before a file of ours takes its number; one that
    cannot show every character shows escapes for the rest."""
    stream: TextIO | None = getattr(sys, name)
    if stream is None:
        null = Path(os.devnull).open("r" if name == "stdin" else "w", encoding="utf-8")  # noqa: SIM115 - why: kept
        setattr(sys, name, null)
    elif name != "stdin" and isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def quietly(do: Callable[[], int]) -> int:
    """Exit code of `do`; Ctrl-C and a reader who left are no news."""
    try:
        try:
            return do()
        finally:
            sys.stdout.flush()  # now, also where argparse exits: trouble at the interpreter's end is nobody's
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _let_go()
        return 141
    except OSError as error:
        _let_go()
        return _complain(f"costopt: cannot write the output: {error.strerror}", 1)


def _let_go() -> None:
    """The interpreter flushes stdout once more at exit, and would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(args: Namespace) -> int:
    """One parsed command; its errors as lines on stderr."""
    try:
        code: int = args.run(args)
    except (InputError, PolicyError) as error:
        return _complain(str(error), 2)
    except (CannotImport, NoSuchCall) as error:
        return _complain(f"costopt: {error}", 2)
    except BrokenPipeError:
        raise
    except (CostoptError, OSError) as error:
        return _complain(f"costopt: {error}", 1)
    return code


def parser() -> ArgumentParser:
    top = ArgumentParser(
        "costopt",
        description="Lowers the bill of LLM calls and can prove it.",
        epilog="Exit codes: 0 done, 1 failed, 2 bad input.",
    )
    top.add_argument("--version", action="version", version=f"costopt {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return top


def _complain(text: str, code: int) -> int:
    sys.stderr.write(text.rstrip("\n") + "\n")
    return code
