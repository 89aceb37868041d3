"""What one call has cost, as its reply carries it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from costopt.types import Basis, Nano, Receipt, Reply, Saving, Usage


def unheard(model: str) -> Reply:
    """What a call came to that was sent and never answered: it may be billed, and nobody knows how much."""
    return Reply(0, finish="incomplete", receipt=Receipt(model, Usage(), None))


def after(reply: Reply | None, tries: Sequence[Receipt], lever: str = "") -> Reply:
    """What a call came to (None: to nothing) after `tries` that are of no use to it and that may be billed. Where it
    was `lever` that made them, it lost what they cost."""
    reply = reply or Reply(0, finish="incomplete")
    receipt = bearing(reply.receipt, tuple(tries)) if reply.receipt else wasted(tuple(tries))
    if lever and receipt.cost is not None:
        lost = sum(each.cost or 0 for each in tries)
        basis: Basis = "estimated" if any(each.usage.estimated for each in tries) else "derived"
        saving = Saving(lever, -lost, basis, "without calls that were of no use")
        receipt = replace(receipt, savings=(*receipt.savings, saving))
    return replace(reply, receipt=receipt)


def bearing(receipt: Receipt, more: tuple[Receipt, ...]) -> Receipt:
    """`receipt` with the cost of `more` attempts, which were paid and not used; unknown where one of theirs is."""
    if not more:
        return receipt
    costs = [receipt.cost, *(each.cost for each in more)]
    whole = None if any(cost is None for cost in costs) else sum(cost for cost in costs if cost is not None)
    return replace(receipt, cost=whole, attempts=(*receipt.attempts, *more), own=own(receipt))


def own(receipt: Receipt) -> Nano | None:
    """What the used answer cost, without attempts that were not used."""
    return receipt.own if receipt.attempts else receipt.cost


def wasted(attempts: tuple[Receipt, ...]) -> Receipt:
    """What a call has cost that came to nothing after these `attempts`."""
    return bearing(Receipt(attempts[-1].model, Usage(), 0, attempts[-1].revision), attempts)


def kept(receipt: Receipt) -> Receipt:
    """`receipt` as it is stored with its answer: at its own price, as it would cost again with nothing gone wrong on
    the way. That another model than the one asked for was chosen stays, net of the answers that failed the check."""
    if not receipt.attempts:
        return receipt
    alone = own(receipt)
    overhead = 0 if alone is None or receipt.cost is None else receipt.cost - alone
    savings = [
        replace(saving, nano=saving.nano + overhead) if saving.lever == "route" else saving
        for saving in receipt.savings
        if saving.lever != "gather"
    ]
    return replace(receipt, cost=alone, savings=tuple(savings), attempts=(), own=None)
