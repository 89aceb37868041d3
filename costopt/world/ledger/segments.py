"""The segment files of one ledger: which to open for what, few at a time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct

from costopt.world.ledger.segment import Segment
from costopt.world.ledger.words import Fact, Selection

#: (start, rank of its file, call): sorts by time, then as the calls were written.
Dated: TypeAlias = tuple[int, int, Fact]

#: Segments open at once, a few MB each. More files than these may overlap in time, but seldom do.
OPEN = 8


class Volume(Struct, frozen=True):
    """A segment as the ledger file lists it: `calls` started in [first, last]; `rank` counts files as
    written."""

    name: str
    calls: int
    first: int
    last: int
    rank: int


class Segments:
    """Opens segments when they are needed and closes those not used for longest.

    Raises LedgerError where one is missing or damaged.
    """

    def __init__(self, folder: Path, volumes: Iterable[Volume]) -> None:
        self._folder = folder
        self.volumes = sorted(volumes, key=lambda volume: (volume.first, volume.rank))
        self._open: OrderedDict[str, Segment] = OrderedDict()

    def close(self) -> None:
        for segment in self._open.values():
            segment.close()
        self._open.clear()

    def segment(self, name: str) -> Segment:
        if name not in self._open:
            self._open[name] = Segment(self._folder / name)
            if len(self._open) > OPEN:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(name)
        return self._open[name]

    def streams(self, wanted: Selection) -> list[Iterator[Dated]]:
        """Streams to merge; each opens a file when it comes to it. As many as files overlap in time."""
        lanes: list[list[Volume]] = []
        for volume in self.volumes:
            if volume.last >= wanted.since and volume.first < wanted.until:
                lane = next((lane for lane in lanes if _follows(lane[-1], volume)), None)
                lane.append(volume) if lane else lanes.append([volume])
        return [self._stream(lane, wanted) for lane in lanes]

    def _stream(self, lane: list[Volume], wanted: Selection) -> Iterator[Dated]:
        for volume in lane:
            for frame in self.segment(volume.name).frames(wanted.since, wanted.until):
                # looked up again, as the file may have been closed meanwhile
                for fact in self.segment(volume.name).page(frame, wanted.holds):
                    yield fact.started, volume.rank, fact

    def count(self, since: int, until: int) -> int:
        """Calls started in [since, until); only files that lie across an end of it are read."""
        return sum(self._count(volume, Selection(since, until)) for volume in self.volumes)

    def _count(self, volume: Volume, wanted: Selection) -> int:
        if volume.last < wanted.since or volume.first >= wanted.until:
            return 0
        if wanted.since <= volume.first and volume.last < wanted.until:
            return volume.calls
        return sum(1 for _ in self._stream([volume], wanted))

    def span(self) -> tuple[int, int] | None:
        if not self.volumes:
            return None
        return self.volumes[0].first, max(volume.last for volume in self.volumes)

    def find(self, key: bytes) -> Segment | None:
        """The file that holds the part with this hash; those in use are asked first."""
        return next((segment for segment in self._by_use() if segment.holds(key)), None)

    def _by_use(self) -> Iterator[Segment]:
        used = list(reversed(self._open))
        rest = (volume.name for volume in self.volumes if volume.name not in used)
        yield from map(self.segment, (*used, *rest))


def _follows(earlier: Volume, later: Volume) -> bool:
    """Whether all of `earlier` comes before all of `later`."""
    return (earlier.last, earlier.rank) < (later.first, later.rank)
