"""One recorded call, and what the provider would answer to it now. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from msgspec import Struct
from msgspec.structs import replace

from costopt.decide.prices import PriceBook
from costopt.decide.promptcache import Piece, Split
from costopt.errors import Interrupted, UpstreamError
from costopt.types import Finish, Receipt, Reply, Request, Usage
from costopt.world.ledger.words import Fact


class Past(Struct, frozen=True, kw_only=True):
    """A call as its replay needs it. `request` is what came in, `session` a number for the conversation it belongs
    to; `whole` its prompt in the provider's tokens, before any trim, while `request.tokens` is what a live call would
    have counted. `texts`: its body holds the prompt. `pieces` are the prompt as a provider's prompt cache sees it,
    `then` what was sent of it then, after a trim; `size` the bytes of the answer. `read` gives the recorded answer
    with its texts; None where texts were not kept.
    """

    fact: Fact
    request: Request
    session: int = 0
    whole: int = 0
    texts: bool = False
    pieces: tuple[Piece, ...] = ()
    then: tuple[Piece, ...] = ()
    size: int = 0
    read: Callable[[], Reply | None] | None = None

    def sent(self, request: Request) -> int:
        """The provider's tokens of `request`, this call's after whatever a trim took out."""
        if request.tokens is None or self.request.tokens is None:
            return self.whole
        return max(0, self.whole - (self.request.tokens - request.tokens))

    @property
    def left_waiting(self) -> bool:
        """Whether its caller left before anything was asked of a provider for it alone."""
        return self.fact.outcome == "left" and self.fact.usage is None and not self.fact.unpriced

    @property
    def latency_ns(self) -> int | None:
        """How long the provider took, without what limits had held back; None where it was not asked."""
        fact = self.fact
        return None if fact.outcome in ("hit", "refused") else fact.ended - fact.started - fact.waited


def asked_provider(fact: Fact) -> bool:
    """Whether a provider read the prompt of this call."""
    return fact.outcome in ("ok", "left") or (fact.outcome == "error" and fact.usage is not None)


def asked_then(fact: Fact) -> frozenset[str]:
    """The names of the model that answered then: the one asked for and the one it answered by, or, where a policy
    had chosen another, that one."""
    chosen = _failed_checks(fact) or any(saving.lever == "route" for saving in fact.savings)
    return frozenset((fact.served,) if chosen else (fact.asked, fact.served))


def model_then(fact: Fact, book: PriceBook) -> str:
    """The model whose tokens and prompt cache counted then: the one asked for, unless a policy had chosen another or
    no price map knows it (a deployment's name)."""
    known = fact.asked in asked_then(fact) and book.find(fact.asked, fact.provider)
    return fact.asked if known else fact.served


def failed_check(fact: Fact, request: Request, nth: int) -> Receipt | None:
    """The paid answer that failed the check then, if the `nth` (from 0) question of this call is that one again."""
    answers = _failed_checks(fact)
    names = (request.model, f"{request.provider}/{request.model}")
    return answers[nth] if nth < len(answers) and answers[nth].model in names else None


def _failed_checks(fact: Fact) -> list[Receipt]:
    """The answers among a call's attempts: the others were tries that nobody heard of again. What embeddings bear is
    of merged calls."""
    if fact.api == "embeddings":
        return []
    return [each for each in fact.attempts if each.cost is not None or each.usage.prompt]


def usage_now(then: Usage, prompt: int, before: Split | None, now: Split) -> Usage:
    """`then`, the usage of a recorded answer, for a prompt of `prompt` tokens.

    What the provider reported is the truth; the simulated prompt cache says only what changed: `before` is its split
    of the recorded prompt in the recorded order of calls (None: no provider was asked then), `now` of today's.
    """
    if before is None:
        return _fitted(then, prompt, now.read, now.write, now.write_1h)
    if prompt == then.prompt and before == now:
        return then
    return _fitted(
        then,
        prompt,
        then.cache_read + now.read - before.read,
        then.cache_write + now.write - before.write,
        then.cache_write_1h + now.write_1h - before.write_1h,
    )


def _fitted(then: Usage, prompt: int, read: int, write: int, write_1h: int) -> Usage:
    """`then` with a prompt of `prompt` tokens, of which at most that many are read from and written to a cache."""
    read = min(max(read, 0), prompt)
    write_1h = min(max(write_1h, 0), prompt - read)
    write = min(max(write, 0), prompt - read - write_1h)
    rest = prompt - read - write - write_1h
    return replace(
        then,
        input=rest,
        cache_read=read,
        cache_write=write,
        cache_write_1h=write_1h,
        audio_input=min(then.audio_input, rest),
        image_input=min(then.image_input, rest),
    )


def answered(past: Past, usage: Usage, served: str, finish: Finish | None = None) -> Reply:
    """The recorded answer with this usage. Without its texts unless the replay has a use for them."""
    fact = past.fact
    full = past.read() if past.read else None
    return Reply(
        status=200 if fact.status is None else fact.status,
        body=full.body if full else b"",
        events=full.events if full else b"",
        model=served,
        usage=usage,
        finish=finish or cast("Finish", fact.finish),
        first_ns=fact.first,
    )


def trouble(past: Past, usage: Usage | None, served: str = "") -> Exception | None:
    """What the call came to then, if not to an answer: a caller who left, a provider's error. `served` is the model
    that answers now, where it is another."""
    fact = past.fact
    if fact.outcome not in ("left", "error"):
        return None
    if fact.outcome == "error" and not _answered_well(fact.status):
        failed = Reply(cast("int", fact.status), tuple(fact.headers.items()), finish="error")
        return UpstreamError(failed, retry_after_s=_seconds(fact.headers.get("retry-after")))
    if fact.outcome == "error" and fact.finish == "error":
        return None  # a status of success, and no answer in what came: billed as it was
    heard = usage is not None and (usage.prompt or usage.output or not fact.unpriced)
    partial = answered(past, usage, served or fact.served, "incomplete") if usage and heard else None
    if fact.outcome == "left":
        return Interrupted(partial, sent=fact.unpriced)
    return UpstreamError(None, ConnectionError(), partial=partial, sent=fact.unpriced)


def _answered_well(status: int | None) -> bool:
    """Whether a provider's answer was a success; None is no answer at all."""
    return status is None or 200 <= status < 300


def _seconds(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
