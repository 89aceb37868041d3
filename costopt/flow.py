"""READ FIRST. One call from top to bottom: the layers, outermost first, and `PIPELINE`.

A layer is `layer(plan, request, inner) -> Flow[Reply]`: it may change the request on the way down, the reply on the
way up, and asks the world for things by yielding effects. It does no I/O, reads no clock and does not know whether
the caller is sync, async, streaming, a batch or a replay. What it decides comes from `plan`, which is pure.

    record   writes the fact of the call, however it ended
    cache    answers what was answered before
    share    lets one call answer all identical ones in flight
    route    picks models, cheapest that can first, and escalates when a check fails
    trim     brings the prompt under its token budget
    gather   merges embeddings of several callers into one call
    retry    tries again, in this one place
    budget   sets the worst case aside, then books the truth
    limit    waits for requests and tokens per window
    call     asks the provider and prices the answer
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Protocol, TypeAlias

from costopt.decide import batch, receipts
from costopt.decide import budget as budgets
from costopt.decide import retry as retries
from costopt.effects import (
    Admit,
    Call,
    Claim,
    Cool,
    Correct,
    Flow,
    Gather,
    Head,
    Hold,
    Join,
    Land,
    Lead,
    Lookup,
    Now,
    Quota,
    Random,
    Reserve,
    Scatter,
    Settle,
    Sleep,
    Store,
    Write,
)
from costopt.errors import BudgetExceeded, Interrupted, Refused, Unanswered, UnknownPrice, UpstreamError
from costopt.plan import Ladder, Plan
from costopt.policy import Policy
from costopt.types import Entry, Outcome, Receipt, Record, Reply, Request

Handler: TypeAlias = Callable[[Request], Flow[Reply]]


class Layer(Protocol):
    def __call__(self, plan: Plan, request: Request, inner: Handler) -> Flow[Reply]: ...


def record(plan: Plan, request: Request, inner: Handler) -> Flow[Reply]:
    request = plan.keyed(request, request.at or (yield from Now()))
    try:
        reply = yield from inner(request)
    except Interrupted as left:
        yield from _write(plan, request, left.shown, "left")
        raise
    except UpstreamError as failure:
        yield from _write(plan, request, failure.shown, "error", str(failure))
        raise
    except Refused as refusal:
        yield from _write(plan, request, refusal.paid, "refused", f"{type(refusal).__name__}: {refusal}")
        raise
    if reply.finish == "error" and not reply.tier:  # status 200, and yet an error or not readable at all
        yield from _write(plan, request, reply, "error", "no answer in what came back")
    else:
        yield from _write(plan, request, reply, "hit" if reply.tier else "ok")
    return reply


def _write(
    plan: Plan, request: Request, reply: Reply | None, outcome: Outcome, error: str = ""
) -> Flow[None]:
    if plan.policy.ledger is None:
        return
    ended = yield from Now()
    receipt = reply.receipt if reply else None
    yield from Write(Record(request, reply, outcome, request.at, ended, request.model, receipt, error))


def cache(plan: Plan, request: Request, inner: Handler) -> Flow[Reply]:
    if not request.key:
        return (yield from inner(request))
    if request.control.cache == "on" and (entry := (yield from Lookup(request.key))):
        return plan.hit(request, entry)
    request.note("cache", "miss" if request.control.cache == "on" else "refreshed on request")
    reply = yield from inner(request)
    if not plan.shares(request):
        yield from _keep(plan, request, reply)
    return reply


def share(plan: Plan, request: Request, inner: Handler) -> Flow[Reply]:
    """Waits for an identical call in flight. A failed leader is followed once by another; after that all go alone."""
    if not plan.shares(request):
        return (yield from inner(request))
    now = request.at
    for _ in range(2):
        place = yield from Join(request.key, plan.patience(request, now))
        if isinstance(place, Lead):
            return (yield from _lead(plan, request, inner, place))
        if place is not None:
            return plan.hit(request, place, tier="flight")
        now = yield from Now()
    return (yield from inner(request))


def _lead(plan: Plan, request: Request, inner: Handler, lead: Lead) -> Flow[Reply]:
    entry: Entry | None = None
    try:
        reply = yield from inner(request)
        entry = yield from _keep(plan, request, reply)
        return reply
    finally:
        yield from Land(lead, entry)


def _keep(plan: Plan, request: Request, reply: Reply) -> Flow[Entry | None]:
    if not plan.admits(request, reply):
        return None
    entry = plan.entry(request, reply)
    yield from Store(request.key, entry)
    return entry


def route(plan: Plan, request: Request, inner: Handler) -> Flow[Reply]:
    ladder = plan.ladder(request)
    if not ladder.up:
        return (yield from inner(request))
    failed: list[Reply] = []
    try:
        return (yield from _climb(plan, request, inner, ladder, failed))
    except Refused as refusal:
        if not failed:
            raise
        request.note("route", f"no further model ({refusal}), the best answer so far stands")
        return plan.routed(request, failed.pop(), failed)
    except Unanswered as failure:
        plan.bear(request, failure, failed)
        raise


def _climb(plan: Plan, request: Request, inner: Handler, ladder: Ladder, failed: list[Reply]) -> Flow[Reply]:
    """One model after the other, up while the check fails; `failed` takes the paid answers that did not pass it.
    Where a budget has no room for the first, the answer of a cheaper one stands as it is."""
    *lower, top = ladder.up
    try:
        for model in lower:
            reply = yield from inner(plan.attempt(request, model, hold=plan.checks))
            if plan.accepts(request, reply):
                return plan.routed(request, reply, failed, model)
            request.note("route", f"{model} failed the check, escalating")
            failed.append(reply)
        return plan.routed(request, (yield from inner(plan.attempt(request, top))), failed, top)
    except BudgetExceeded as full:
        if failed or not ladder.down or not plan.downgrades(request, full):
            raise
        request.note("budget", f"no room for {ladder.up[0]}")
    return (yield from _descend(plan, request, inner, ladder.down))


def _descend(plan: Plan, request: Request, inner: Handler, models: Sequence[str]) -> Flow[Reply]:
    """One model after the other, down until the budgets have room for one."""
    *dearer, last = models
    for model in dearer:
        try:
            return plan.routed(request, (yield from inner(plan.attempt(request, model))), [])
        except BudgetExceeded as full:
            if not plan.downgrades(request, full):
                raise
            request.note("budget", f"no room for {model}")
    return plan.routed(request, (yield from inner(plan.attempt(request, last))), [])


def trim(plan: Plan, request: Request, inner: Handler) -> Flow[Reply]:
    trimmed, removed = plan.trim(request)
    reply = yield from inner(trimmed)
    return plan.credited(trimmed, reply, removed) if removed else reply


def gather(plan: Plan, request: Request, inner: Handler) -> Flow[Reply]:
    rules = plan.policy.batch
    bucket = plan.bucket(request)
    if not bucket:
        return (yield from inner(request))
    place = yield from Gather(bucket, request, batch.size(request), rules.max_size, rules.max_wait)
    if isinstance(place, Reply):
        return place
    if isinstance(place, Head) and len(place.requests) > 1:
        return (yield from _call_for_all(plan, request, inner, place))
    return (yield from inner(request))


def _call_for_all(plan: Plan, request: Request, inner: Handler, head: Head) -> Flow[Reply]:
    """One call for every member. If it fails, each member goes alone so that one bad item fails alone; and if it is
    refused, so that whoever fits a budget or a limit alone is let through. What the merged call came to and nobody
    has use for, the caller who made it bears: the parts of members who left, or all of it."""
    merged: Reply | None = None
    parts: tuple[Reply, ...] | None = None
    try:
        request.note("gather", f"merged {len(head.requests)} calls")
        merged = yield from inner(batch.merge(head.requests))
        parts = batch.split(merged, head.requests)
    except UpstreamError as failure:
        merged = failure.shown
        request.note("gather", f"the merged call failed ({failure})")
    except Refused as refusal:
        request.note("gather", f"the merged call was refused ({refusal})")
    finally:
        left = yield from Scatter(head, parts)
    if parts:
        return receipts.after(parts[0], [part.receipt for part in left if part.receipt]) if left else parts[0]
    request.note("gather", "each goes alone")
    paid = [merged.receipt] if merged and merged.receipt else []
    return (yield from _bearing(inner(request), paid, "gather"))


def _bearing(trying: Flow[Reply], paid: list[Receipt], lever: str = "") -> Flow[Reply]:
    """`trying`, however it ends, with the cost of what is in `paid` by then: it may be billed and is of no use. Where
    it was `lever` that made these calls, it lost what they cost."""
    try:
        reply = yield from trying
    except Unanswered as failure:
        if paid:
            failure.shown = receipts.after(failure.shown, paid, lever)
        raise
    except Refused as refusal:
        if paid:
            refusal.paid = receipts.after(refusal.paid, paid, lever)
        raise
    return receipts.after(reply, paid, lever) if paid else reply


def budget(plan: Plan, request: Request, inner: Handler) -> Flow[Reply]:
    claims = budgets.claims(plan.policy.budgets, request.tags, request.at)
    hold = yield from _reserve(plan, request, claims)
    spent = 0
    try:
        reply = yield from inner(request)
        spent = plan.booked(request, reply, hold)
        return reply
    except Unanswered as failure:
        spent = plan.forfeited(failure, hold)
        raise
    finally:
        yield from Settle(hold, spent)


def _reserve(plan: Plan, request: Request, claims: Sequence[Claim]) -> Flow[Hold]:
    worst = plan.worst_case(request)
    if worst.nano is None and any(rule.on_unknown_price == "reject" for rule in plan.policy.budgets):
        raise UnknownPrice(
            f"a budget applies, and {worst.missing}, or set the budget's `on_unknown_price: allow`"
        )
    return (yield from Reserve(request.id, tuple(claims), worst.nano or 0))


def retry(plan: Plan, request: Request, inner: Handler) -> Flow[Reply]:
    """Again, while it is worth it. Tries that were sent and never answered may be billed: the call bears them."""
    unheard: list[Receipt] = []
    return _bearing(_tried(plan, request, inner, unheard), unheard)


def _tried(plan: Plan, request: Request, inner: Handler, unheard: list[Receipt]) -> Flow[Reply]:
    failed: UpstreamError | None = None
    attempt = 0
    while True:
        attempt += 1
        try:
            return (yield from inner(request))
        except Refused as refusal:
            if failed is None:
                raise
            request.note("retry", f"no further attempt ({refusal})")
            raise failed from None
        except UpstreamError as failure:
            if attempt >= plan.policy.retry.attempts or not retries.worth_it(failure):
                raise
            failed = failure
        if failed.partial is not None and failed.partial.receipt is not None:
            unheard.append(failed.partial.receipt)
            failed.partial = None
        pause = retries.pause(plan.policy.retry, attempt, failed.retry_after_s, (yield from Random()))
        request.note("retry", f"attempt {attempt} failed ({failed}), waiting {pause:.2f}s")
        yield from Sleep(pause)


def limit(plan: Plan, request: Request, inner: Handler) -> Flow[Reply]:
    quotas = plan.quotas(request)
    if not quotas:
        return (yield from inner(request))
    ticket = yield from Admit(quotas, plan.expected_tokens(request))
    used = ticket.tokens
    try:
        reply = yield from inner(request)
        used = plan.tokens(request, reply, ticket.tokens)
        return plan.delayed(request, reply, ticket)
    except UpstreamError as failure:
        used = plan.tokens(request, failure.partial, ticket.tokens) if failure.partial else 0
        plan.held(request, failure, ticket)
        yield from _cool(failure, quotas)
        raise
    except Interrupted as left:
        plan.held(request, left, ticket)
        raise
    finally:
        yield from Correct(ticket, used)


def _cool(failure: UpstreamError, quotas: Sequence[Quota]) -> Flow[None]:
    if failure.reply is not None and failure.reply.status == 429:
        yield from Cool(tuple(quota.group for quota in quotas), failure.retry_after_s or 1.0)


def call(plan: Plan, request: Request) -> Flow[Reply]:
    """The only place that spends. What a caller who left had received is priced too; a provider who may have got the
    request and said nothing may bill it, nobody knows how much."""
    try:
        reply = yield from Call(request)
    except Interrupted as left:
        if left.partial is not None:
            left.partial = plan.priced(request, left.partial)
        elif left.sent:
            left.partial = receipts.unheard(request.model)
        raise
    except UpstreamError as failure:
        if failure.partial is not None:
            failure.partial = plan.priced(request, failure.partial)
        elif failure.reply is None and failure.sent:
            failure.partial = receipts.unheard(request.model)
        raise
    return plan.priced(request, reply)


#: Outermost first, each with what in a policy it is for. The order is code; a policy turns layers on and tunes them.
PIPELINE: tuple[tuple[Layer, Callable[[Policy], object]], ...] = (
    (record, lambda policy: True),
    (cache, lambda policy: policy.cache),
    (share, lambda policy: policy.cache and policy.cache.share),
    (route, lambda policy: policy.route or policy.budgets),
    (trim, lambda policy: policy.trim),
    (gather, lambda policy: policy.batch.max_size > 1),
    (retry, lambda policy: policy.retry.attempts > 1),
    (budget, lambda policy: policy.budgets),
    (limit, lambda policy: policy.limits),
)


def compose(plan: Plan) -> Handler:
    """The whole pipeline as one handler for `plan`; layers its policy has no use for are left out."""

    def around(inner: Handler, layer: Layer) -> Handler:
        return partial(layer, plan, inner=inner)

    wanted = [layer for layer, use in PIPELINE if use(plan.policy)]
    core: Handler = partial(call, plan)
    return reduce(around, reversed(wanted), core)
