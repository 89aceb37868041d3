"""What the cache keeps and for whom, who shares a call under way, and what makes two requests the same."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from flow_material import LADDER, LARGE_COST, always, bill, failing
from msgspec.structs import replace
from scripted import MODEL, World, answer, request, serve

from costopt import effects as ask
from costopt import wire
from costopt.decide import keys
from costopt.errors import UpstreamError
from costopt.policy import Cache, Cascade, Policy, Retry, Route
from costopt.types import Control, Entry, Reply, Request

CACHING = Policy(cache=Cache())


def test_a_repeat_is_answered_from_the_cache_and_saves_what_the_call_had_cost() -> None:
    world = World()
    first, again = (serve(request(), CACHING, world) for _ in range(2))
    assert len(world.calls) == 1
    assert bill(again).cost == 0
    (saving,) = bill(again).savings
    assert (saving.lever, saving.nano, saving.basis) == ("cache", bill(first).cost, "derived")
    assert again.usage == first.usage
    assert [record.outcome for record in world.records] == ["ok", "hit"]


#: What the provider says, of each model or try, and how the policy takes it.
WAYS: dict[str, tuple[Policy, Request, Callable[[Request], Reply]]] = {
    "chosen": (Policy(cache=Cache(), models=LADDER, route=Route()), request(model="auto"), World().call),
    "failed check": (
        Policy(cache=Cache(), models=LADDER, route=Route(cascade=Cascade("json"))),
        request(model="auto"),
        lambda sent: answer("no" if sent.model == MODEL else "{}", model=sent.model),
    ),
    "retried": (
        Policy(cache=Cache(), retry=Retry(attempts=3)),
        request(model="gpt-4o"),
        failing(UpstreamError(None, TimeoutError())),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_hit_saves_what_its_call_would_have_cost_whatever_went_wrong_before(way: str) -> None:
    policy, sent, provider = WAYS[way]
    world = World(provider)
    first, again = (bill(serve(replace(sent, notes=[]), policy, world)) for _ in range(2))
    assert (again.cost, sum(saving.nano for saving in again.savings)) == (0, LARGE_COST)
    if first.cost is not None:
        assert first.cost + sum(saving.nano for saving in first.savings) == LARGE_COST


@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        (answer(), True),
        (answer(finish="length"), False),
        (answer(finish="content_filter"), False),
        (answer(finish="tool_calls"), False),
        (answer(""), False),
        (answer("  \n"), False),
    ],
)
def test_only_complete_answers_are_kept(reply: Reply, kept: bool) -> None:
    world = World(lambda _: reply)
    serve(request(), CACHING, world)
    assert bool(world.entries) is kept


def test_errors_are_never_kept() -> None:
    world = World(always(lambda: UpstreamError(Reply(status=429))))
    with pytest.raises(UpstreamError):
        serve(request(), CACHING, world)
    assert world.entries == {}


@pytest.mark.parametrize("said", [b"{half a", b'{"error": {"message": "overloaded"}}', b""])
def test_what_is_no_answer_is_an_error_whatever_its_status(said: bytes) -> None:
    world = World(lambda _: wire.read_body("chat", 200, (), said))
    assert serve(request(), CACHING, world).body == said
    assert world.entries == {}
    assert [(record.outcome, bool(record.error)) for record in world.records] == [("error", True)]


def test_a_caller_can_bypass_or_refresh_the_cache() -> None:
    world = World()
    serve(request(), CACHING, world)
    serve(replace(request(), control=Control("off")), CACHING, world)
    assert len(world.calls) == 2
    world.call = lambda _: answer("Lyon")
    serve(replace(request(), control=Control("refresh")), CACHING, world)
    assert len(world.calls) == 3
    assert b"Lyon" in serve(request(), CACHING, world).body


def test_a_tenant_never_gets_anothers_answer() -> None:
    world = World()
    for tenant in ("a", "b"):
        serve(replace(request(), tenant=tenant), CACHING, world)
    assert len(world.calls) == 2


class Following(World):
    """Whoever asks here finds a leader under way, who ends with `entry`."""

    def __init__(self, entry: Entry | None) -> None:
        super().__init__()
        self.entry = entry

    def _do(self, effect: ask.Effect[Any]) -> Any:
        return self.entry if isinstance(effect, ask.Join) else super()._do(effect)


def test_followers_get_the_leaders_answer_and_pay_nothing() -> None:
    leader = World()
    serve(request(), CACHING, leader)
    (entry,) = leader.entries.values()
    world = Following(entry)
    reply = serve(request(), CACHING, world)
    assert reply.tier == "flight"
    assert bill(reply).cost == 0
    assert bill(reply).savings[0].lever == "share"
    assert world.calls == []


def test_after_two_failed_leaders_a_follower_goes_alone() -> None:
    world = Following(None)
    serve(request(), CACHING, world)
    assert len(world.did(ask.Join)) == 2
    assert len(world.calls) == 1


@pytest.mark.parametrize("size", [0, 1, 2000, 2047, 2048, 5000, 131_072, 131_073, 300_000])
def test_a_key_is_the_sha256_of_canonical_msgpack_at_any_size(size: int) -> None:
    sent = request("x" * size)
    parts = (keys.VERSION, sent.tenant, sent.api, sent.endpoint, sent.variant, sent.model, sent.body)
    canonical = msgspec.msgpack.encode(parts, order="sorted")
    assert keys.key(sent) == sha256(canonical).hexdigest()


def test_integers_of_any_size_have_keys() -> None:
    huge = [replace(request(), body={"seed": 2**70 + more}) for more in (0, 0, 1)]
    first, same, other = map(keys.key, huge)
    assert first == same != other
