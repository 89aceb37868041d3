"""What one call has cost, as its reply carries it. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from costopt.types import Receipt, Reply, Usage


def unheard(model: str) -> Reply:
    """What a call came to that was sent and never answered: it may be billed, and nobody knows how much."""
    return Reply(0, finish="incomplete", receipt=Receipt(model, Usage(), None))


def after(reply: Reply | None, tries: list[Receipt]) -> Reply:
    """What a call came to (None: to nothing) after `tries` that nobody heard of again and that may be billed."""
    reply = reply or Reply(0, finish="incomplete")
    unused = tuple(tries)
    return replace(reply, receipt=bearing(reply.receipt, unused) if reply.receipt else wasted(unused))


def bearing(receipt: Receipt, more: tuple[Receipt, ...]) -> Receipt:
    """`receipt` with the cost of `more` attempts, which were paid and not used; unknown where one of theirs is."""
    costs = [receipt.cost, *(each.cost for each in more)]
    whole = None if any(cost is None for cost in costs) else sum(cost for cost in costs if cost is not None)
    return replace(receipt, cost=whole, attempts=(*receipt.attempts, *more))


def wasted(attempts: tuple[Receipt, ...]) -> Receipt:
    """What a call has cost that came to nothing after these `attempts`."""
    return bearing(Receipt(attempts[-1].model, Usage(), 0, attempts[-1].revision), attempts)


def charged(reply: Reply, paid: Reply | None) -> Reply:
    """`reply` bearing the cost of `paid` too, an answer that could not be used."""
    if paid is None or paid.receipt is None or reply.receipt is None:
        return reply
    return replace(reply, receipt=bearing(reply.receipt, (paid.receipt,)))


def kept(receipt: Receipt) -> Receipt:
    """`receipt` as it is stored with its answer. That another model than the one asked for was chosen saves a hit
    nothing; without it nobody could tell that from a model that answers under another name."""
    if not receipt.savings and not receipt.attempts:
        return receipt
    chosen = tuple(replace(saving, nano=0) for saving in receipt.savings if saving.lever == "route")
    return replace(receipt, savings=chosen, attempts=())
