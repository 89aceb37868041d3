"""Reading the ledger: facts, bodies and answers, live and archived. Never writes; safe while others write."""

from __future__ import annotations

import heapq
import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from costopt.errors import LedgerError, NoSuchCall
from costopt.types import Finish, Json, Reply, Tags, Tier
from costopt.world.ledger import migrate, schema
from costopt.world.ledger.live import Live
from costopt.world.ledger.parts import Outline, join, outline
from costopt.world.ledger.segment import Segment
from costopt.world.ledger.segments import Dated, Segments, Volume
from costopt.world.ledger.words import FOREVER, Fact, Selection

#: Bytes of parts kept in memory, as the calls of a conversation share most of theirs.
MEMORY = 32 << 20
_VOLUMES = (
    "SELECT name, calls, first_started, last_started FROM segments ORDER BY archived, first_started, name"
)


class Reader:
    """One consistent view of a ledger, from the moment it was opened. Close it, or use it in a `with`.

    Values that calls share (tags, headers) are shared between facts too: do not change them. Raises LedgerError
    from the constructor where there is no readable ledger, and later where a part of it is damaged or missing.
    """

    def __init__(self, folder: Path, *, memory: int = MEMORY) -> None:
        self.folder = folder
        self._db = schema.connect_to_read(folder)
        self._db.row_factory = sqlite3.Row
        self._db.execute("BEGIN")
        self._live = Live(self._db, folder / schema.NAME)
        # the snapshot begins with this first read
        rows = enumerate(self.query(_VOLUMES))
        volumes = [Volume(name, calls, first, last, rank) for rank, (name, calls, first, last) in rows]
        self._segments = Segments(folder / "segments", volumes)
        self._understand()
        self._memory = _Memory(memory)
        self._outline = lru_cache(4096)(self._find_outline)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._segments.close()
        self._db.close()

    def _understand(self) -> None:
        """An older ledger is read as one of today; only a writer changes the file."""
        try:
            if schema.version_of(self._db) < schema.VERSION:
                migrate.stand_in(self._db, self.folder)
        except sqlite3.Error as error:
            raise schema.unreadable(self.folder / schema.NAME, error) from error

    def query(self, sql: str, *args: Any) -> list[sqlite3.Row]:
        """Rows of a read-only statement on the public tables and views. Raises LedgerError."""
        try:
            return self._db.execute(sql, args).fetchall()
        except sqlite3.Error as error:
            raise schema.unreadable(self.folder / schema.NAME, error) from error

    def facts(
        self,
        since: int = 0,
        until: int = FOREVER,
        *,
        model: str = "",
        tags: Tags = {},  # noqa: B006  never changed
        decisions: bool = True,
    ) -> Iterator[Fact]:
        """Calls started in [since, until) ns, archived and live, in one order: by start, then as written.

        `model` ("" is any) is the model asked for or the one that answered, alone or as `provider/model`; `tags`
        must all be there. Without `decisions` those of live calls are not looked up. However many calls there
        are, memory stays flat; each call of this method begins anew.
        """
        wanted = Selection(since, until, model, tags)
        live = self._live.facts(wanted, decisions=decisions)
        archived = self._segments.streams(wanted)
        if not archived:
            return live
        last = len(self._segments.volumes)
        dated: Iterator[Dated] = ((fact.started, last, fact) for fact in live)
        return (fact for _, _, fact in heapq.merge(*archived, dated))

    def live(self, since: int = 0, until: int = FOREVER) -> Iterator[Fact]:
        """Those of them that are not archived."""
        return self._live.facts(Selection(since, until))

    def count(self, since: int = 0, until: int = FOREVER) -> int:
        """How many calls started in [since, until); without reading most of them."""
        return self._live.count(since, until) + self._segments.count(since, until)

    def span(self) -> tuple[int, int] | None:
        """When the first and the last call started, ns; None where the ledger holds no call."""
        spans = [span for span in (self._live.span(), self._segments.span()) if span]
        return (min(first for first, _ in spans), max(last for _, last in spans)) if spans else None

    def fact(self, call: str) -> Fact:
        """The call with this id, or the only one whose id begins so. Raises NoSuchCall, LedgerError."""
        if not call:
            raise NoSuchCall("which call? give its id or the beginning of it")
        found = self._ids(call)
        if call in found:
            found = {call: found[call]}
        if len(found) > 1:
            some = ", ".join(sorted(found)[:5])
            raise NoSuchCall(
                f"{call}: {len(found)} calls begin so ({some}{', ...' if len(found) > 5 else ''})"
            )
        for name, file in found.items():
            fact = self._segments.segment(file).fact(name) if file else self._live.fact(name)
            if fact:
                return fact
        raise NoSuchCall(f"{call}: no such call in {self.folder}")

    def _ids(self, prefix: str) -> dict[str, str]:
        """Ids that begin with `prefix` and the file each is in; "" is live. Raises NoSuchCall."""
        try:
            prefix.encode()
        except UnicodeEncodeError:  # bytes of a command line that are no UTF-8
            raise NoSuchCall(f"{prefix!r}: no id of a call holds these bytes") from None
        found = {name: segment.path.name for segment in self.segments() for name in segment.ids(prefix)}
        return found | dict.fromkeys(self._live.ids(prefix), "")

    def body(self, fact: Fact) -> Json:
        """The request body as it was sent. Raises LedgerError where content was withheld."""
        parts = [[self.part(key) for key in group] for group in fact.parts]
        return join(self.part(fact.shape), parts)

    def outline(self, fact: Fact) -> Outline:
        """The body without its parts: parameters, and which key each group of `fact.parts` belongs to.

        There also where content was withheld. Shared between facts: do not change it.
        """
        return self._outline(fact.shape)

    def answer(self, fact: Fact) -> Reply | None:
        """The reply as it was recorded, without its receipt; None where the call got none. Raises LedgerError."""
        if fact.status is None:
            return None
        return Reply(
            status=fact.status,
            headers=tuple(fact.headers.items()),
            body=self.part(fact.reply_body) if fact.reply_body else b"",
            events=self.part(fact.reply_events) if fact.reply_events else b"",
            model=fact.served,
            usage=fact.usage,
            raw_usage=fact.raw_usage,
            finish=cast("Finish", fact.finish),
            tier=cast("Tier", fact.tier),
            first_ns=fact.first,
        )

    def part(self, key: bytes) -> bytes:
        """The bytes with this sha256. Raises LedgerError where they were withheld."""
        data = self.kept(key)
        if data is None:
            raise LedgerError(f"{self.folder}: this text was not kept (ledger content: hashed)")
        return data

    def kept(self, key: bytes) -> bytes | None:
        """The same, None where it was withheld. Raises LedgerError where nothing has this hash."""
        if (known := self._memory.get(key)) is not None:
            return known
        here, data = self._live.kept(key)
        if not here:
            data = self._archived(key).kept(key)
        if data is not None:
            self._memory.put(key, data)
        return data

    def sizes(self, keys: Iterable[bytes]) -> list[int]:
        """Bytes of each of these parts, also of those withheld. Raises LedgerError where one is missing.

        Cheap for the parts of a fact that was just read.
        """
        known = self._live.sizes
        return [known[key] if key in known else self._size(key) for key in keys]

    def segments(self) -> Iterator[Segment]:
        """The archive's files, oldest first. Only the last few stay open."""
        return (self._segments.segment(volume.name) for volume in self._segments.volumes)

    def _size(self, key: bytes) -> int:
        size = self._live.size(key)
        if size is None:
            size = self._archived(key).size(key)
        self._live.remember(key, size)
        return size

    def _archived(self, key: bytes) -> Segment:
        if segment := self._segments.find(key):
            return segment
        raise LedgerError(f"{self.folder}: part {key.hex()[:12]} is missing")

    def _find_outline(self, shape: bytes) -> Outline:
        return outline(self.part(shape))


class _Memory:
    """Parts read lately, in at most `room` bytes."""

    #: What an entry takes beside its bytes: key, bytes objects, table.
    ENTRY = 200

    def __init__(self, room: int) -> None:
        self._room = room
        self._used = 0
        self._parts: OrderedDict[bytes, bytes] = OrderedDict()

    def get(self, key: bytes) -> bytes | None:
        if (data := self._parts.get(key)) is not None:
            self._parts.move_to_end(key)
        return data

    def put(self, key: bytes, data: bytes) -> None:
        self._parts[key] = data
        self._used += len(data) + self.ENTRY
        while self._used > self._room:
            _, oldest = self._parts.popitem(last=False)
            self._used -= len(oldest) + self.ENTRY
