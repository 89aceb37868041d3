"""What providers' prompt caches made of the recorded calls, and what they make of those a replay sends instead.

Two simulated caches side by side: one sees every prompt a provider read then, in recorded order; the other those the
replay sends. Where they agree nothing changed, and what the provider reported stays the truth.
"""

from __future__ import annotations

from msgspec import Struct

from costopt.decide.prices import PriceBook
from costopt.decide.promptcache import Piece, PromptCache, Rules, Split, pieces_of, rules
from costopt.types import Request, Usage
from costopt.world.recent import Recent
from costopt.world.recorded.past import Past, asked_provider, asked_then, model_then

#: Changed calls remembered, to say whose change cost a later call its cached prefix.
REMEMBERED = 100_000


class Seen(Struct, frozen=True):
    """A prompt's split, and the number of the call that had kept alive what it read (None: it read nothing)."""

    split: Split
    owner: int | None


class Accuracy(Struct):
    """How well the simulated cache foretells what providers reported, over calls they reported on (tokens)."""

    calls: int = 0
    prompt: int = 0
    reported: int = 0
    simulated: int = 0
    missed: int = 0

    def add(self, usage: Usage, split: Split) -> None:
        self.calls += 1
        self.prompt += usage.prompt
        self.reported += usage.cache_read
        self.simulated += split.read
        self.missed += abs(usage.cache_read - split.read)


class PromptCaches:
    """Both worlds' prompt caches. Calls are numbered in the order they come in."""

    def __init__(self, book: PriceBook) -> None:
        self.accuracy = Accuracy()
        self._book = book
        self._then, self._now = PromptCache(), PromptCache()
        self._number = 0
        self._open: dict[str, tuple[int, Seen | None]] = {}
        self._changed: Recent[int, str] = Recent(REMEMBERED)

    def begin(self, past: Past) -> None:
        """`past` comes in: what its provider's cache made of it then."""
        self._number += 1
        seen = None
        if asked_provider(past.fact) and past.fact.usage is not None:
            seen = self._seen(past, past.fact.usage)
        self._open[past.request.id] = self._number, seen

    def _seen(self, past: Past, usage: Usage) -> Seen:
        if not past.then:  # too short a prompt to simulate
            return Seen(Split(0, 0, 0, usage.prompt), None)
        fact = past.fact
        model = model_then(fact, self._book)
        at, ready = fact.started + fact.waited, fact.first or fact.ended
        split = self._send(self._then, past.request, model, past.then, usage.prompt, at, ready)
        if not usage.estimated:
            self.accuracy.add(usage, split)
        return Seen(split, self._then.last_owner)

    def then(self, past: Past) -> Seen | None:
        """What `begin` found; None where no provider was asked."""
        return self._open[past.request.id][1]

    def now(self, past: Past, request: Request, tokens: int, at: int) -> Split:
        """`request`, a prompt of `tokens`, is sent at `at` (ns)."""
        same = not past.pieces or request.body is past.request.body
        pieces = past.pieces if same else pieces_of(request.api, request.body)
        fact = past.fact
        ready = at + max(0, (fact.first or fact.ended) - fact.started - fact.waited)
        same = request.model in asked_then(fact)
        model = model_then(fact, self._book) if same else request.model
        return self._send(self._now, request, model, pieces, tokens, at, ready, self._open[request.id][0])

    def end(self, call: str, lever: str) -> None:
        """The call is over; `lever` changed what was sent of it ("" nothing did)."""
        number, _ = self._open.pop(call)
        if lever:
            self._changed[number] = lever

    def blamed(self, past: Past) -> str:
        """The lever that changed the call whose prefix this one had read then; "" where none did."""
        seen = self.then(past)
        return self._changed.get(seen.owner, "") if seen and seen.owner is not None else ""

    def _send(
        self,
        cache: PromptCache,
        request: Request,
        model: str,
        pieces: tuple[Piece, ...] | list[Piece],
        tokens: int,
        at: int,
        ready: int,
        owner: int | None = None,
    ) -> Split:
        scope = f"{request.provider} {model} {request.tenant}"
        number = self._number if owner is None else owner
        return cache.send(self._rules(request, model), scope, pieces, tokens, at, number, ready)

    def _rules(self, request: Request, model: str) -> Rules | None:
        return rules(self._book.find(model, request.provider), request.provider, model, request.body)
