"""Where the calls to replay come from: a ledger's folder, or a log that is imported into a temporary one first."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from costopt.cli import show
from costopt.cli.fault import InputError
from costopt.cli.options import folder
from costopt.cli.progress import progress_bar
from costopt.errors import NoSuchCall
from costopt.importing import Summary, load
from costopt.policy import Policy
from costopt.replaying import Replay
from costopt.replaying import replay as play
from costopt.replaying.run import Hear, Progress
from costopt.replaying.timeline import Watch
from costopt.world.ledger import Fact, Reader
from costopt.world.ledger.rollup import utc_date
from costopt.world.ledger.words import Selection

#: A log in the interchange format: what `costopt import jsonl` reads.
FORMAT = "jsonl"
#: How the names of logs end.
LOGS = (".jsonl", ".json", ".ndjson", ".gz", ".zst")
SQLITE = b"SQLite format 3\x00"
#: Characters of a call's id that are shown, if they tell it from all others.
SHORT = 12


class Opened(Struct, frozen=True):
    """A ledger to replay, known to the user as `name`; `imported` says how it came to be, if from a log."""

    name: str
    ledger: Path
    imported: Summary | None = None

    def replay(
        self,
        policies: Sequence[Policy],
        wanted: Selection,
        *,
        progress: Progress | None = None,
        watch: Watch | None = None,
        hear: Hear | None = None,
    ) -> Replay:
        found = play(
            self.ledger,
            policies[0],
            against=policies[1] if len(policies) > 1 else None,
            since=wanted.since,
            until=wanted.until,
            model=wanted.model,
            tags=wanted.tags,
            progress=progress,
            watch=watch,
            hear=hear,
        )
        return replace(found, source=self.name)

    def said(self) -> str:
        """The import in one line."""
        done = self.imported
        if done is None:
            return ""
        lost = f", {len(done.unusable):,} could not be used ({_where(done)})" if done.unusable else ""
        when = f", {done.timeless:,} of them without a time" if done.timeless else ""
        return show.clean(
            f"{self.name}: {show.many(done.new, 'call')}{when} from {done.lines:,} lines of a log{lost}"
        )

    def told(self) -> dict[str, Any]:
        """The same for machines."""
        return {} if self.imported is None else {"imported": self.imported.to_dict() | {"ledger": None}}

    def check(self, wanted: Selection) -> None:
        """Raises InputError where no call is selected, and names the filter that left none."""
        with Reader(self.ledger) as reader:
            if not _any(reader, wanted):
                raise InputError(f"costopt: {self.name}: {_why_nothing(reader, wanted)}")

    def fact(self, call: str, wanted: Selection) -> Fact:
        """The call with this id, or the only one that begins so. Raises InputError where it is not selected."""
        with Reader(self.ledger) as reader:
            try:
                fact = reader.fact(call)
            except NoSuchCall as error:
                raise InputError(
                    f"costopt: --explain {str(error).replace(str(self.ledger), self.name)}"
                ) from error
        if not wanted.holds(fact):
            raise InputError(f"costopt: --explain {call}: this call is not among those selected")
        return fact

    def short_ids(self, found: Replay) -> dict[str, str]:
        """The beginning of each id in the top lists that no other call's id has."""
        calls = {call.call for outcome in found.outcomes for call in outcome.top}
        with Reader(self.ledger) as reader:
            return {call: _shortest(reader, call) for call in calls}


@contextmanager
def opened(source: str, *, quiet: bool = False) -> Generator[Opened]:
    """`source` as a ledger; that of a log is gone afterwards. Raises InputError and LedgerError."""
    place = _ledger(source)
    if place is not None:
        yield Opened(source if place == folder(source) else str(place), place)
    else:
        with TemporaryDirectory(prefix="costopt-replay-") as made:
            yield Opened(source, Path(made), _imported(source, Path(made), quiet))


def _ledger(source: str) -> Path | None:
    """The folder of the ledger that `source` names; None for a log."""
    if source == "-":
        return None
    path = folder(source)
    try:
        if path.exists():
            return path if path.is_dir() else path.parent if _is_database(path) else None
    except OSError as error:
        raise InputError(f"costopt: {source}: cannot be read: {error.strerror}") from error
    if path.suffix in LOGS:
        raise InputError(f"costopt: {source}: no such file")
    return path


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(SQLITE)) == SQLITE


def _imported(source: str, ledger: Path, quiet: bool) -> Summary:
    with progress_bar("importing", quiet=quiet, bytes_=True) as progress:
        done = load(FORMAT, [source], ledger=ledger, progress=progress)
    if not done.usable:
        why = f"; {_where(done)}" if done.unusable else ": it is empty"
        other = "; `costopt import` reads other formats into a ledger" if done.unusable else ""
        raise InputError(f"costopt: {source}: nothing to replay in this log{why}{other}")
    return done


def _where(done: Summary) -> str:
    first = done.unusable[0]
    more = f", and {len(done.unusable) - 1:,} more" if len(done.unusable) > 1 else ""
    return show.clean(f"line {first.line}: {first.why}{more}")


def _any(reader: Reader, wanted: Selection) -> bool:
    facts = reader.facts(wanted.since, wanted.until, model=wanted.model, tags=wanted.tags, decisions=False)
    return next(facts, None) is not None


def _why_nothing(reader: Reader, wanted: Selection) -> str:
    span = reader.span()
    if span is None:
        return "no call is recorded in this ledger"
    if not _any(reader, Selection(wanted.since, wanted.until)):
        return f"no call in that time; the calls are from {utc_date(span[0])} to {utc_date(span[1])}"
    if wanted.model and not _any(reader, Selection(model=wanted.model)):
        return f"no call asked for or was answered by model {wanted.model!r}{_other_models(reader, wanted.model)}"
    for name, value in wanted.tags.items():
        if not _any(reader, Selection(tags={name: value})):
            return f"no call has the tag {name}={value}"
    return f"no call fits all of {wanted}"


def _other_models(reader: Reader, model: str) -> str:
    names = sorted({name for fact in reader.facts(decisions=False) for name in (fact.asked, fact.served)})
    near = get_close_matches(model, names, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(names[:5])}" if names else ""


def _shortest(reader: Reader, call: str) -> str:
    for length in (SHORT, SHORT + 4, SHORT + 8):
        try:
            reader.fact(call[:length])
        except NoSuchCall:
            continue
        return call[:length]
    return call
