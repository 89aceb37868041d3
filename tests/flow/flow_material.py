"""What the tests of the flow's layers have in common: models, amounts and providers that fail."""

from __future__ import annotations

from collections.abc import Callable

from scripted import World, answer

from costopt.policy import Budget, Model
from costopt.types import Receipt, Record, Reply, Request

DOLLAR = 10**9
SMALL, LARGE = "openai/gpt-4o-mini", "openai/gpt-4o"
LADDER = (Model(SMALL, "small"), Model(LARGE, "large"))
DAILY = (Budget(DOLLAR, "day"),)
DOWN = (Budget(DOLLAR, "day", on_exceed="downgrade"),)
#: Room for the worst case of gpt-4o-mini ($0.0098), not for that of gpt-4o ($0.16).
ROOM = 20_000_000
#: What the scripted answer costs, 12 tokens for 3: $0.15 and $0.60 a million, and $2.50 and $10.
SMALL_COST = 12 * 150 + 3 * 600
LARGE_COST = 12 * 2500 + 3 * 10_000


def bill(of: Reply | Record) -> Receipt:
    assert of.receipt is not None
    return of.receipt


def saved(reply: Reply) -> list[tuple[str, int]]:
    return [(saving.lever, saving.nano) for saving in bill(reply).savings]


def with_room(nano: int) -> World:
    """A world whose budget has room for so much."""
    world = World()
    world.room = nano
    return world


def failing(*failures: Exception) -> Callable[[Request], Reply]:
    """A provider that fails so, one call after another, and then answers."""
    left = iter(failures)

    def call(sent: Request) -> Reply:
        if failure := next(left, None):
            raise failure
        return answer(model=sent.model)

    return call


def always(failure: Callable[[], Exception]) -> Callable[[Request], Reply]:
    """A provider that fails so whenever it is asked, with an error of its own each time: the flow writes into it."""

    def call(_: Request) -> Reply:
        raise failure()

    return call
