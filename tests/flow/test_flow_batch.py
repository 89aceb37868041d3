"""Embeddings of several callers in one call, and where that does not go each one alone."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from flow_material import DAILY, bill
from scripted import World, request, serve

from costopt import effects as ask
from costopt import wire
from costopt.errors import BudgetExceeded, LimitExceeded
from costopt.policy import Batch, Limit, Policy
from costopt.types import Reply, Request

BATCH = Batch(max_size=8)


def embedding(text: str) -> Request:
    return request(api="embeddings", model="text-embedding-3-small", input=[text])


def embedded(sent: Request) -> Reply:
    rows = [{"object": "embedding", "index": 0, "embedding": [0.5]}]
    answer = {"object": "list", "model": sent.model, "data": rows, "usage": {"prompt_tokens": 11}}
    return wire.read_body("embeddings", 200, (), msgspec.json.encode(answer))


class Merging(World):
    """Merges the call with one more like it, and has an exact limiter."""

    def _do(self, effect: ask.Effect[Any]) -> Any:
        if isinstance(effect, ask.Gather):
            return ask.Head(1, (effect.request, effect.request))
        if isinstance(effect, ask.Admit) and effect.tokens > (effect.quotas[0].tokens or 0):
            raise LimitExceeded(f"{effect.tokens} tokens can never fit")
        return super()._do(effect)


def merged(rules: Policy, world: World) -> list[int]:
    """The sizes of the calls that the first of two embeddings of ten words makes when they meet."""
    serve(embedding("word " * 10), rules, world)
    assert world.did(ask.Scatter)[0].parts is None, "the other one goes alone too"
    return [len(sent.body["input"]) for sent in world.calls]


def test_embeddings_of_several_callers_become_one_call() -> None:
    world = World()
    serve(embedding("a"), Policy(batch=BATCH), world)
    gathered = world.did(ask.Gather)[0]
    assert (gathered.size, gathered.max_size) == (1, 8)


def test_a_merged_call_that_is_too_large_for_a_limit_is_made_one_by_one() -> None:
    world = Merging(embedded)
    assert merged(Policy(batch=BATCH, limits=(Limit("openai", tokens=20),)), world) == [1]
    notes = [note.what for note in world.records[0].request.notes]
    assert notes[-2:] == ["the merged call was refused (33 tokens can never fit)", "each goes alone"]


def test_a_merged_call_that_a_budget_has_no_room_for_is_made_one_by_one() -> None:
    world = Merging(embedded)
    world.room = 20 * 20  # nano-dollars; a token of input costs 20
    assert merged(Policy(batch=BATCH, budgets=DAILY), world) == [1]
    assert world.spent == 11 * 20


class Short(World):
    """Merges the call with one more like it; the merged answer has a row too few, and then the budget is full."""

    def _do(self, effect: ask.Effect[Any]) -> Any:
        if isinstance(effect, ask.Gather):
            return ask.Head(1, (effect.request, effect.request))
        if isinstance(effect, ask.Scatter):
            self.room = 0
        return super()._do(effect)


def test_a_refusal_after_a_merged_call_that_was_of_no_use_tells_what_that_cost() -> None:
    world = Short(embedded)
    with pytest.raises(BudgetExceeded):
        serve(embedding("a"), Policy(batch=BATCH, budgets=DAILY), world)
    (record,) = world.records
    assert (record.outcome, bill(record).cost) == ("refused", 11 * 20)
    assert [(saving.lever, saving.nano) for saving in bill(record).savings] == [("gather", -11 * 20)]
