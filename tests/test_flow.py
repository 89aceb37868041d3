"""What each layer decides, seen through the whole pipeline with a scripted world."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from scripted import MODEL, World, answer, request, serve

from costopt import effects as ask
from costopt import wire
from costopt.decide import keys
from costopt.errors import (
    BudgetExceeded,
    Interrupted,
    LimitExceeded,
    NoModel,
    PromptTooLong,
    UnknownPrice,
    UpstreamError,
)
from costopt.policy import Batch, Budget, Cache, Cascade, Limit, Model, Policy, Retry, Route, Trim
from costopt.types import Control, Reply, Request
from costopt.world.ledger.words import unpriced

DOLLAR = 10**9
SMALL, LARGE = "openai/gpt-4o-mini", "openai/gpt-4o"
LADDER = (Model(SMALL, "small"), Model(LARGE, "large"))


def policy(**blocks: Any) -> Policy:
    return Policy(name="test", **blocks)


def test_observe_calls_once_and_sends_the_callers_own_bytes() -> None:
    world = World()
    sent = request()
    reply = serve(sent, policy(), world)
    assert world.steps == ["Now", "Call", "Now", "Write"]
    assert world.calls[0].raw is sent.raw
    assert reply.receipt is not None
    assert reply.receipt.cost == 12 * 150 + 3 * 600  # $0.15 and $0.60 a million tokens
    assert reply.receipt.savings == ()


def test_a_repeat_is_answered_from_the_cache_and_saves_what_the_call_had_cost() -> None:
    world = World()
    first = serve(request(), policy(cache=Cache()), world)
    again = serve(request(), policy(cache=Cache()), world)
    assert len(world.calls) == 1
    assert first.receipt is not None
    assert again.receipt is not None
    assert again.receipt.cost == 0
    assert [(s.lever, s.nano, s.basis) for s in again.receipt.savings] == [
        ("cache", first.receipt.cost, "derived")
    ]
    assert again.usage == first.usage
    assert [record.outcome for record in world.records] == ["ok", "hit"]


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
    serve(request(), policy(cache=Cache()), world)
    assert bool(world.entries) is kept


def test_errors_are_never_kept() -> None:
    def refusing(_: Request) -> Reply:
        raise UpstreamError(Reply(status=429))

    world = World(refusing)
    with pytest.raises(UpstreamError):
        serve(request(), policy(cache=Cache()), world)
    assert world.entries == {}


@pytest.mark.parametrize("said", [b"{half a", b'{"error": {"message": "overloaded"}}', b""])
def test_what_is_no_answer_is_an_error_whatever_its_status(said: bytes) -> None:
    world = World(lambda _: wire.read_body("chat", 200, (), said))
    assert serve(request(), policy(cache=Cache()), world).body == said
    assert world.entries == {}
    assert [(record.outcome, bool(record.error)) for record in world.records] == [("error", True)]


def test_a_caller_can_bypass_or_refresh_the_cache() -> None:
    world = World()
    rules = policy(cache=Cache())
    serve(request(), rules, world)
    serve(msgspec.structs.replace(request(), control=Control("off")), rules, world)
    assert len(world.calls) == 2
    world.call = lambda _: answer("Lyon")
    serve(msgspec.structs.replace(request(), control=Control("refresh")), rules, world)
    assert len(world.calls) == 3
    assert b"Lyon" in serve(request(), rules, world).body


def test_a_tenant_never_gets_anothers_answer() -> None:
    world = World()
    for tenant in ("a", "b"):
        serve(msgspec.structs.replace(request(), tenant=tenant), policy(cache=Cache()), world)
    assert len(world.calls) == 2


def test_followers_get_the_leaders_answer_and_pay_nothing() -> None:
    leader, world = World(), World()
    serve(request(), policy(cache=Cache()), leader)
    entry = next(iter(leader.entries.values()))
    world.perform = _joining(world, entry)  # type: ignore[method-assign]
    reply = serve(request(), policy(cache=Cache()), world)
    assert reply.tier == "flight"
    assert reply.receipt is not None
    assert reply.receipt.cost == 0
    assert reply.receipt.savings[0].lever == "share"
    assert world.calls == []


def test_after_two_failed_leaders_a_follower_goes_alone() -> None:
    world = World()
    world.perform = _joining(world, None)  # type: ignore[method-assign]
    serve(request(), policy(cache=Cache()), world)
    assert world.steps.count("Join") == 2
    assert len(world.calls) == 1


def _joining(world: World, entry: Any) -> Any:
    perform = World.perform

    def joining(effect: Any) -> Any:
        answer = perform(world, effect)
        return entry if isinstance(effect, ask.Join) else answer

    return joining


def test_auto_picks_the_small_model_and_counts_the_saving_against_the_strongest() -> None:
    world = World()
    rules = policy(models=LADDER, route=Route())
    reply = serve(request(model="auto"), rules, world)
    assert world.calls[0].model == "gpt-4o-mini"
    assert world.calls[0].body["model"] == "gpt-4o-mini"
    assert reply.receipt is not None
    before = 12 * 2500 + 3 * 10_000
    assert reply.receipt.cost is not None
    assert reply.receipt.savings[0].nano == before - reply.receipt.cost
    assert reply.receipt.savings[0].basis == "estimated"


@pytest.mark.parametrize("listed", ["gpt-4o", "openai/gpt-4o"])
def test_a_model_listed_for_downgrade_goes_to_a_cheaper_one(listed: str) -> None:
    world = World()
    reply = serve(request(model="gpt-4o"), policy(models=LADDER, route=Route(downgrade=(listed,))), world)
    assert [sent.model for sent in world.calls] == ["gpt-4o-mini"]
    assert reply.receipt is not None
    assert [(s.lever, s.nano > 0) for s in reply.receipt.savings] == [("route", True)]


def test_a_failed_check_escalates_and_its_cost_counts_against_the_route() -> None:
    world = World(
        lambda sent: answer("no" if sent.model == "gpt-4o-mini" else '{"city": "Paris"}', model=sent.model)
    )
    rules = policy(models=LADDER, route=Route(cascade=Cascade("json")))
    reply = serve(request(model="auto"), rules, world)
    assert [sent.model for sent in world.calls] == ["gpt-4o-mini", "gpt-4o"]
    assert world.calls[0].hold
    assert not world.calls[1].hold
    assert reply.receipt is not None
    small, large = 12 * 150 + 3 * 600, 12 * 2500 + 3 * 10_000
    assert reply.receipt.cost == small + large
    assert [(s.lever, s.nano) for s in reply.receipt.savings] == [("route", -small)]


@pytest.mark.parametrize(
    "failure", [UpstreamError(Reply(status=500)), UpstreamError(None, OSError(), sent=False)]
)
def test_what_a_failed_check_had_cost_is_recorded_even_if_the_next_model_fails(
    failure: UpstreamError,
) -> None:
    def reply_of(sent: Request) -> Reply:
        if sent.model == "gpt-4o-mini":
            return answer("no", model=sent.model)
        raise failure

    world = World(reply_of)
    with pytest.raises(UpstreamError):
        serve(request(model="auto"), policy(models=LADDER, route=Route(cascade=Cascade("json"))), world)
    (record,) = world.records
    assert record.outcome == "error"
    assert record.receipt is not None
    assert (record.receipt.cost, len(record.receipt.attempts)) == (12 * 150 + 3 * 600, 1)


def test_what_was_sent_and_never_answered_is_unpriced_and_budgets_take_the_worst_case() -> None:
    def silent(sent: Request) -> Reply:
        raise UpstreamError(None, TimeoutError())

    world = World(silent)
    rules = policy(budgets=(Budget(DOLLAR, "day"),), retry=Retry(attempts=3))
    with pytest.raises(UpstreamError):
        serve(request(max_tokens=100), rules, world)
    (record,) = world.records
    assert record.receipt is not None
    assert record.receipt.cost is None
    assert unpriced(record.outcome, record.receipt)
    worst = [effect.nano for effect in world.trace if isinstance(effect, ask.Reserve)]
    assert len(worst) == 3
    assert world.spent == sum(worst) > 0


def test_what_never_left_costs_nothing() -> None:
    def unreachable(sent: Request) -> Reply:
        raise UpstreamError(None, ConnectionRefusedError(), sent=False)

    world = World(unreachable)
    with pytest.raises(UpstreamError):
        serve(request(), policy(budgets=(Budget(DOLLAR, "day"),)), world)
    (record,) = world.records
    assert not unpriced(record.outcome, record.receipt)
    assert world.spent == 0


def test_a_paid_answer_is_given_rather_than_none_where_the_next_model_is_refused() -> None:
    world = World(lambda sent: answer("no", model=sent.model))
    world.room = 20_000_000  # room for gpt-4o-mini's worst case ($0.0098), not for gpt-4o's ($0.16)
    rules = policy(models=LADDER, route=Route(cascade=Cascade("json")), budgets=(Budget(DOLLAR, "day"),))
    reply = serve(request(model="auto"), rules, world)
    assert reply.receipt is not None
    assert (reply.receipt.model, reply.receipt.cost) == ("gpt-4o-mini", 12 * 150 + 3 * 600)


def test_no_model_that_can_is_refused_before_anything_is_paid() -> None:
    world = World()
    with pytest.raises(NoModel):
        serve(request("word " * 300_000, model="auto"), policy(models=LADDER, route=Route()), world)
    assert world.calls == []
    assert world.records[0].outcome == "refused"


def test_a_full_budget_refuses_before_anything_is_paid() -> None:
    world = World()
    world.room = 1
    with pytest.raises(BudgetExceeded):
        serve(request(), policy(budgets=(Budget(DOLLAR, "day"),)), world)
    assert world.calls == []
    assert [record.outcome for record in world.records] == ["refused"]


def test_a_full_budget_downgrades_where_the_policy_says_so() -> None:
    world = World()
    rules = policy(
        models=LADDER,
        route=Route(strategy="strongest"),
        budgets=(Budget(DOLLAR, "day", on_exceed="downgrade"),),
    )
    world.room = 20_000_000  # room for gpt-4o-mini's worst case ($0.0098), not for gpt-4o's ($0.16)
    serve(request(model="auto"), rules, world)
    assert [sent.model for sent in world.calls] == ["gpt-4o-mini"]


def test_an_unknown_price_trips_the_budget() -> None:
    world = World()
    with pytest.raises(UnknownPrice):
        serve(request(model="nobody-knows-me"), policy(budgets=(Budget(DOLLAR, "day"),)), world)
    rules = policy(budgets=(Budget(DOLLAR, "day", on_unknown_price="allow"),))
    world.call = lambda _: answer(model="nobody-knows-me")
    reply = serve(request(model="nobody-knows-me"), rules, world)
    assert reply.receipt is not None
    assert reply.receipt.cost is None


def test_the_truth_is_settled_not_the_worst_case() -> None:
    world = World()
    serve(request(), policy(budgets=(Budget(DOLLAR, "day"),)), world)
    assert world.spent == 12 * 150 + 3 * 600
    reserve = next(effect for effect in world.trace if isinstance(effect, ask.Reserve))
    assert reserve.nano > world.spent


def test_retry_happens_in_one_place_and_never_after_a_part_was_seen() -> None:
    failures = [UpstreamError(Reply(status=500)), UpstreamError(Reply(status=429), retry_after_s=3.0)]

    def flaky(_: Request) -> Reply:
        if failures:
            raise failures.pop(0)
        return answer()

    world = World(flaky)
    serve(request(), policy(retry=Retry(attempts=3)), world)
    assert len(world.calls) == 3
    pauses = [effect.seconds for effect in world.trace if isinstance(effect, ask.Sleep)]
    assert pauses == [0.5 * 1.125, 3.0 * 1.125]

    failures[:] = [UpstreamError(None, ConnectionError(), partial=answer())] * 2
    with pytest.raises(UpstreamError):
        serve(request(), policy(retry=Retry(attempts=3)), world)
    assert len(world.calls) == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_the_callers_own_mistakes_are_not_retried(status: int) -> None:
    def refusing(_: Request) -> Reply:
        raise UpstreamError(Reply(status=status))

    world = World(refusing)
    with pytest.raises(UpstreamError):
        serve(request(), policy(retry=Retry(attempts=3)), world)
    assert len(world.calls) == 1


def test_each_attempt_waits_for_the_limit_and_a_429_closes_the_gate() -> None:
    failures = [UpstreamError(Reply(status=429), retry_after_s=2.0)]

    def flaky(_: Request) -> Reply:
        if failures:
            raise failures.pop()
        return answer()

    world = World(flaky)
    serve(request(), policy(retry=Retry(attempts=2), limits=(Limit("openai", requests=5),)), world)
    assert world.steps.count("Admit") == 2
    assert [effect.seconds for effect in world.trace if isinstance(effect, ask.Cool)] == [2.0]
    assert [effect.tokens for effect in world.trace if isinstance(effect, ask.Correct)] == [0, 15]


@pytest.mark.parametrize(("provider", "kept"), [("openai", True), ("azure", True), ("anthropic", False)])
def test_a_limit_keeps_the_output_bound_where_the_provider_does(provider: str, kept: bool) -> None:
    world = World()
    sent = replace(request(max_tokens=4000), provider=provider)
    serve(sent, policy(limits=(Limit(provider, tokens=5000),)), world)
    (admitted,) = [effect.tokens for effect in world.trace if isinstance(effect, ask.Admit)]
    (corrected,) = [effect.tokens for effect in world.trace if isinstance(effect, ask.Correct)]
    assert (admitted > 4000) is kept
    assert corrected == (admitted if kept else 15)


@pytest.mark.parametrize(("bound", "most"), [(64_000, 600), (200, 250)])
def test_a_limit_expects_no_more_than_usual_where_only_what_is_used_counts(bound: int, most: int) -> None:
    world = World()
    sent = replace(request(max_tokens=bound), provider="anthropic")
    serve(sent, policy(limits=(Limit("anthropic", tokens=40_000),)), world)
    (admitted,) = [effect.tokens for effect in world.trace if isinstance(effect, ask.Admit)]
    assert admitted < most


def test_trim_brings_the_prompt_under_budget_and_says_what_it_assumed() -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Sum up the log."}]
    for turn in range(40):
        messages.append({"role": "assistant", "content": f"step {turn} " * 50})
        messages.append({"role": "user", "content": f"go on with {turn}"})
    world = World()
    sent = request(messages=messages)
    reply = serve(sent, policy(trim=Trim(budget=1000, keep=500)), world)
    trimmed = world.calls[0].body["messages"]
    assert trimmed[:2] == messages[:2]
    assert trimmed[-1] == messages[-1]
    assert len(trimmed) < len(messages)
    assert reply.receipt is not None
    assert [(s.lever, s.basis) for s in reply.receipt.savings] == [("trim", "assumed")]
    assert reply.receipt.trimmed > 0
    assert len(sent.body["messages"]) == len(messages), "the caller's own list is untouched"


def test_a_prompt_that_cannot_fit_is_refused_before_anything_is_paid() -> None:
    world = World()
    with pytest.raises(PromptTooLong):
        serve(request("word " * 5000), policy(trim=Trim(budget=1000, keep=500)), world)
    assert world.calls == []


def test_embeddings_of_several_callers_become_one_call() -> None:
    world = World()
    sent = request(api="embeddings", model="text-embedding-3-small", input=["a"])
    serve(sent, policy(batch=Batch(max_size=8)), world)
    gather = next(effect for effect in world.trace if isinstance(effect, ask.Gather))
    assert (gather.size, gather.max_size) == (1, 8)


class Merging(World):
    """Merges the call with one more like it, and has an exact limiter."""

    def _do(self, effect: ask.Effect[Any]) -> Any:
        if isinstance(effect, ask.Gather):
            return ask.Head(1, (effect.request, effect.request))
        if isinstance(effect, ask.Admit) and effect.tokens > (effect.quotas[0].tokens or 0):
            raise LimitExceeded(f"{effect.tokens} tokens can never fit")
        return super()._do(effect)


def embedded(_: Request) -> Reply:
    rows = [{"object": "embedding", "index": 0, "embedding": [0.5]}]
    answer = {
        "object": "list",
        "model": "text-embedding-3-small",
        "data": rows,
        "usage": {"prompt_tokens": 11},
    }
    return wire.read_body("embeddings", 200, (), msgspec.json.encode(answer))


def merged(rules: Policy, world: World) -> list[int]:
    """The sizes of the calls that the first of two embeddings of ten words makes when they meet."""
    serve(request(api="embeddings", model="text-embedding-3-small", input=["word " * 10]), rules, world)
    scatter = next(effect for effect in world.trace if isinstance(effect, ask.Scatter))
    assert scatter.parts is None, "the other one goes alone too"
    return [len(sent.body["input"]) for sent in world.calls]


def test_a_merged_call_that_is_too_large_for_a_limit_is_made_one_by_one() -> None:
    limits = (Limit("openai", tokens=20),)
    world = Merging(embedded)
    assert merged(policy(batch=Batch(max_size=8), limits=limits), world) == [1]
    notes = [note.what for note in world.records[0].request.notes]
    assert notes[-2:] == ["the merged call was refused (33 tokens can never fit)", "each goes alone"]


def test_a_merged_call_that_a_budget_has_no_room_for_is_made_one_by_one() -> None:
    world = Merging(embedded)
    world.room = 20 * 20  # nano-dollars; a token of input costs 20
    assert merged(policy(batch=Batch(max_size=8), budgets=(Budget(10**9, "day"),)), world) == [1]
    assert world.spent == 11 * 20


def test_the_price_is_that_of_the_model_that_answered() -> None:
    """A deployment, an alias or a fallback may answer with another model than the one asked for."""
    world = World(lambda _: answer(model="gpt-4o-2024-08-06"))
    reply = serve(request(model="dep1"), policy(), world)
    assert reply.receipt is not None
    assert (reply.receipt.model, reply.receipt.cost) == ("gpt-4o-2024-08-06", 12 * 2500 + 3 * 10_000)


def test_decisions_are_noted_in_order() -> None:
    world = World()
    rules = policy(cache=Cache(), models=LADDER, route=Route(), trim=Trim(budget=32_000, keep=16_000))
    serve(request(model="auto"), rules, world)
    layers = [decision.layer for decision in world.records[0].request.notes]
    assert layers == ["cache", "route", "cache"]


def test_no_answer_is_free_because_a_proxy_sends_zeros_for_usage() -> None:
    reply = serve(request(), policy(), World(lambda _: answer(prompt=0, output=0)))
    assert reply.receipt is not None
    assert reply.receipt.usage.estimated
    assert reply.receipt.usage.input > 5
    assert reply.receipt.usage.output > 0
    assert reply.receipt.cost


def test_usage_the_provider_did_not_send_is_counted_and_says_so() -> None:
    bare = msgspec.json.decode(answer("Paris").body)
    del bare["usage"]
    from costopt import wire

    world = World(lambda _: wire.read_body("chat", 200, (), msgspec.json.encode(bare)))
    reply = serve(request(), policy(), world)
    assert reply.receipt is not None
    assert reply.receipt.usage.estimated
    assert reply.receipt.usage.output == 1
    assert reply.receipt.cost is not None
    assert reply.receipt.model == MODEL


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


def test_a_try_that_was_never_answered_stays_with_the_call() -> None:
    asked: list[Request] = []

    def slow_then_well(sent: Request) -> Reply:
        asked.append(sent)
        if len(asked) == 1:
            raise UpstreamError(None, TimeoutError())
        return answer()

    world = World(slow_then_well)
    reply = serve(request(), policy(retry=Retry(attempts=3)), world)
    assert reply.receipt is not None
    assert (reply.receipt.cost, len(reply.receipt.attempts)) == (None, 1)
    assert unpriced(world.records[0].outcome, world.records[0].receipt)


def test_a_budget_that_refuses_a_second_try_leaves_the_first_ones_failure() -> None:
    def silent(sent: Request) -> Reply:
        world.room = 0
        raise UpstreamError(None, TimeoutError())

    world = World(silent)
    with pytest.raises(UpstreamError):
        serve(request(), policy(retry=Retry(attempts=3), budgets=(Budget(DOLLAR, "day"),)), world)
    (record,) = world.records
    assert record.outcome == "error"
    assert record.receipt is not None
    assert (record.receipt.cost, len(record.receipt.attempts)) == (None, 1)


@pytest.mark.parametrize("sent", [True, False])
def test_who_leaves_before_an_answer_begins_may_be_billed_if_it_was_sent(sent: bool) -> None:
    def left(_: Request) -> Reply:
        raise Interrupted(None, sent=sent)

    world = World(left)
    with pytest.raises(Interrupted):
        serve(request(), policy(), world)
    (record,) = world.records
    assert unpriced(record.outcome, record.receipt) is sent


def test_the_model_asked_for_saves_nothing_whatever_name_it_answers_under() -> None:
    world = World(lambda sent: answer(model="gpt-4o-mini-2024-07-18"))
    rules = policy(models=LADDER, budgets=(Budget(DOLLAR, "day", on_exceed="downgrade"),))
    reply = serve(request(model="gpt-4o"), rules, world)
    assert reply.receipt is not None
    assert reply.receipt.savings == ()
