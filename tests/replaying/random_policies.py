"""Any mix of levers."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec.structs import replace

from costopt.policy import Batch, Budget, Cache, Cascade, Limit, Model, Policy, Price, Retry, Route, Trim


def _told(policy: Policy) -> Policy:
    """`policy` without retries where limits or budgets are: what failed attempts took of them no ledger tells."""
    return replace(policy, retry=Retry()) if policy.limits or policy.budgets else policy


LADDER = (Model("openai/gpt-5-nano", "small"), Model("openai/gpt-4o-mini"), Model("openai/gpt-4o", "large"))
policies = st.builds(
    Policy,
    name=st.just("random"),
    models=st.just(LADDER),
    route=st.sampled_from(
        [
            None,
            Route(),
            Route(strategy="cheapest", downgrade=("gpt-4o", "in-house-7b"), cascade=Cascade("json")),
            Route(strategy="strongest", cascade=Cascade("non_empty")),
        ]
    ),
    trim=st.sampled_from([None, Trim(400, 200, 50), Trim(1500, 700), Trim(40, 20, 5)]),
    cache=st.one_of(
        st.none(),
        st.builds(
            Cache,
            ttl=st.sampled_from([1e-9, 1.0, 60.0, 1e6]),
            scope=st.sampled_from(["tenant", "shared"]),
            memory=st.sampled_from([0, 20_000, 1 << 28]),
            disk=st.sampled_from([0, 20_000, 1 << 30]),
            sampled=st.booleans(),
            tool_calls=st.booleans(),
            share=st.booleans(),
        ),
    ),
    limits=st.sampled_from(
        [
            (),
            (Limit("openai", requests=2, tokens=20_000),),
            (Limit("all", tokens=60_000, window=10, models=("*",)), Limit("openai", requests=200)),
        ]
    ),
    budgets=st.sampled_from(
        [
            (),
            (Budget(10**7, "day", per="user", on_unknown_price="allow"),),
            (Budget(10**6, "hour", on_exceed="downgrade"), Budget(10**9, "total")),
            (Budget(0, "month", on_unknown_price="allow"),),
        ]
    ),
    retry=st.sampled_from([Retry(), Retry(3, 0.5, 8.0)]),
    batch=st.sampled_from([Batch(), Batch(3, 0.02), Batch(100, 10.0)]),
    prices=st.sampled_from([{}, {"gpt-4o": Price(10**9, 2 * 10**9)}, {"in-house-7b": Price(1, 1)}]),
).map(_told)
