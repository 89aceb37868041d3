"""One imported call as the ledger records calls: priced at its own time, counted where the log has no numbers."""

from __future__ import annotations

from functools import cached_property
from hashlib import blake2b
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from costopt import wire
from costopt.decide import keys
from costopt.decide.prices import PriceBook
from costopt.decide.tokens import TokenCounter
from costopt.edge.intake import provider_of
from costopt.importing import counts
from costopt.importing.counted import Splitter
from costopt.importing.secrets import Scrubber
from costopt.importing.secretwords import bare_url, withheld
from costopt.importing.times import EARLIEST, LATEST
from costopt.importing.words import CostOf, Imported, Options
from costopt.money import exact
from costopt.plan import CONVERSATIONS, Plan
from costopt.policy import Policy
from costopt.types import Entry, Nano, Outcome, Receipt, Record, Reply, Request
from costopt.wire.loose import encode

#: Where the part of an id that does not depend on the time begins.
TIME_DIGITS = 16
#: What makes two requests of an API different; without any of it a body says nothing.
_ASKED = ("messages", "input", "prompt")


class Unfit(ValueError):
    """A call that no ledger can hold, and why."""


class Recorded(Struct, frozen=True):
    """A call and its record; `listed` is what it costs at the prices we have, whatever the log says was paid."""

    call: Imported
    record: Record
    listed: Nano | None

    @property
    def answered(self) -> bool:
        """Whether the log has an answer, or its count, where there was one to have."""
        return self.record.outcome != "ok" or not _lacks_answer(self.call)


class Recorder:
    """Makes records of the calls of one import; hand them over in the order of time, as far as that is known."""

    def __init__(self, options: Options, book: PriceBook, counter: TokenCounter) -> None:
        self._options = options
        self._book = book
        self._plan = Plan(Policy(), book, counter)
        self._scrubber = Scrubber()
        self._splitter = Splitter(book)

    def record(self, call: Imported, name: str) -> Recorded:
        """The record of `call` under the id `name`. Raises Unfit."""
        started = _checked(call)
        request = self._request(call, name)
        outcome, reply = self._reply(call)
        reply = _believed(call, request, reply)
        if outcome == "ok" or (call.usage is not None and reply.usage is not None):
            reply = self._priced(call, request, reply)
        listed = reply.receipt.cost if reply.receipt else None
        reply = self._as_logged(call, request, reply)
        if call.hit and outcome == "ok":
            outcome, reply = "hit", self._plan.hit(request, Entry(reply, started, started), "memory")
        record = Record(
            request=request,
            reply=reply,
            outcome=outcome,
            started=started,
            ended=call.ended if started <= call.ended <= LATEST else started,
            asked_model=request.model,
            receipt=reply.receipt,
            error=_error(call, outcome),
        )
        return Recorded(call, record, listed)

    # the request

    def _request(self, call: Imported, name: str) -> Request:
        provider, model = self._named(call)
        body = self._scrubber.body(call.body)
        tags = self._scrubber.tags({**call.tags, **self._options.tags})
        request = Request(
            id=name,
            api=call.api,
            model=model,
            body={**body, "model": model} if body.get("model") != model else body,
            endpoint=bare_url(call.endpoint),
            provider=provider,
            stream=call.stream or call.body.get("stream") is True,
            tenant=f"tag:{tags['tenant']}" if "tenant" in tags else "",
            tags=tags,
            at=call.at,
            notes=[],
        )
        return request if call.partial else replace(request, key=_key(request))

    def _named(self, call: Imported) -> tuple[str, str]:
        """Provider and model as the price map knows them, where it does."""
        model, provider = call.model, call.provider
        if self._options.model and not self._has_price(model, provider):
            model = self._options.model
            provider = provider if self._has_price(model, provider) else ""
        if not model:
            raise Unfit("the call names no model: give one with --model")
        prefix, _, rest = model.partition("/")
        if rest and prefix == provider:
            return prefix, rest
        return (provider, model) if provider else self._provider(call, model, prefix, rest)

    def _has_price(self, model: str, provider: str) -> bool:
        return bool(model) and self._book.find(model, provider) is not None

    def _provider(self, call: Imported, model: str, prefix: str, rest: str) -> tuple[str, str]:
        host = _host(call.endpoint)
        if host:
            return provider_of(host, call.api), model
        row = self._book.find(model)
        if rest and prefix in ({row.provider} if row else self._prefixes):
            return prefix, rest
        return row.provider if row else provider_of("", call.api), model

    @cached_property
    def _prefixes(self) -> frozenset[str]:
        """What stands before the slash in the price map's names: mostly providers."""
        return frozenset(name.partition("/")[0] for name in self._book.names if "/" in name)

    # the answer

    def _reply(self, call: Imported) -> tuple[Outcome, Reply]:
        failed = bool(call.error) or call.status >= 400
        answer = None if call.answer is None else self._scrubber.answer(call.answer, failed=failed)
        if answer is None:
            reply = Reply(status=call.status, finish="error" if failed else "unknown")
        else:
            reply = wire.read_body(call.api, call.status, (), encode(answer))
        failed = failed or (reply.finish == "error" and call.finish is None)
        finish = "error" if failed else call.finish or reply.finish
        usage = call.usage or reply.usage
        raw = reply.raw_usage if call.raw_usage is None else self._scrubber.notes(call.raw_usage)
        return "error" if failed else "ok", replace(reply, finish=finish, usage=usage, raw_usage=raw)

    def _priced(self, call: Imported, request: Request, reply: Reply) -> Reply:
        if _lacks_answer(call):
            request.note("import", "the log has no answer: its output is in no count")
        priced = self._plan.priced(request, reply)
        caches = self._options.prompt_cache and request.api in CONVERSATIONS and not call.hit
        if reply.usage is None and priced.receipt:
            request.note("import", "the log has no token counts: counted here")
            usage = priced.receipt.usage
            usage = self._splitter.split(request, usage) if caches else usage
            priced = replace(self._plan.priced(request, replace(priced, usage=usage)), usage=None)
        elif reply.usage and caches:
            self._splitter.saw(request, reply.usage)
        return priced

    def _as_logged(self, call: Imported, request: Request, reply: Reply) -> Reply:
        if reply.receipt is None or call.cost is None:
            return reply
        return replace(reply, receipt=_paid(request, reply.receipt, call.cost, self._options.cost))


def record_id(source: str, call: Imported) -> str:
    """32 hex digits that sort by time; the last 16 depend on format and id alone."""
    digest = blake2b(f"{source}\0{call.id}".encode(errors="replace"), digest_size=8)
    return f"{call.at:0{TIME_DIGITS}x}{digest.hexdigest()}"


def _checked(call: Imported) -> int:
    """When it began. Raises Unfit."""
    if not EARLIEST <= call.at <= LATEST:
        raise Unfit("the call's time is no time a log can have")
    return call.at


def _lacks_answer(call: Imported) -> bool:
    return call.answer is None and call.usage is None and call.api != "embeddings"


def _believed(call: Imported, request: Request, reply: Reply) -> Reply:
    """Without counts that cannot be; the tokens are counted here then. Raises Unfit where the log has no prompt."""
    if reply.usage is None or counts.believable(reply.usage):
        return reply
    if call.partial:
        raise Unfit(f"more than {counts.MOST_TOKENS:,} tokens, which is no count, and no prompt to count")
    request.note("import", f"the log counts more than {counts.MOST_TOKENS:,} tokens: not believed")
    return replace(reply, usage=None)


def _paid(request: Request, receipt: Receipt, paid: Nano, wanted: CostOf) -> Receipt:
    """`receipt` with the logged cost where it is wanted, or nothing else is known; a replay keeps what has the revision
    `log`."""
    if receipt.cost is None or wanted == "log":
        known = "the price map has no price" if receipt.cost is None else f"list price {exact(receipt.cost)}"
        request.note("import", f"priced as the log says: {known}")
        return replace(receipt, cost=paid, revision="log")
    if receipt.cost != paid:
        request.note("import", f"the log says {exact(paid)}")
    return receipt


def _key(request: Request) -> str:
    """The cache key; empty where the log does not have what was asked, or has what is no JSON (halves of surrogate
    pairs, which have no canonical form)."""
    if not any(request.body.get(name) for name in _ASKED):
        return ""
    try:
        return keys.key(request)
    except (ValueError, OverflowError):
        return ""


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _error(call: Imported, outcome: Outcome) -> str:
    if outcome != "error":
        return ""
    return withheld(call.error) or (
        f"HTTP {call.status}" if call.status >= 400 else "no answer in what came back"
    )
