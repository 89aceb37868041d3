"""What a policy file becomes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costopt.errors import PolicyError
from costopt.policy import (
    Batch,
    Budget,
    Cache,
    Cascade,
    Ledger,
    Limit,
    Model,
    Policy,
    Price,
    Retry,
    Route,
    Trim,
)
from costopt.policyfile import explain, load, parse, presets

EVERYTHING = """
version: 1
models:
  - {name: openai/gpt-5-mini, tier: small}
  - {name: house/large}
route:
  alias: pick
  strategy: cheapest
  downgrade: [gpt-5.4, openai/gpt-5.4]
  long_prompt: 8k
  task: {classify: small, think: house/large}
  cascade: {check: json}
  quality_loss: off
trim: {budget: 32k, keep: 16000, tool_output: 1_000}
cache:
  {ttl: 12h, scope: shared, memory: 64MiB, disk: 4GB, sampled: no, tool_calls: yes, share: false,
   semantic: {enabled: false, error: 0.02, of: requests}}
limits:
  - {group: openai, requests: 500/min, tokens: 200k/min}
  - {group: house, tokens: 1M/day, models: [house/*]}
budgets:
  - {per: user, limit: $5/day, on_exceed: downgrade}
  - {limit: $200.000000001/month, on_exceed: reject, on_unknown_price: allow}
retry: {attempts: 3, base: 250ms, cap: 4s}
batch: {deadline: off, embeddings: {max_size: 512, max_wait: 20ms}}
ledger: {path: /tmp/x, content: hashed, archive_after: off, keep: off}
prices: {house/large: {input: $0.50, output: $1.50, cache_read: $0.05, cache_write: $0.6, cache_write_1h: $1}}
strict: true
"""


def test_every_key_of_a_file_arrives_in_the_policy() -> None:
    assert parse(EVERYTHING, "dir/mine.yaml") == Policy(
        name="mine",
        source="dir/mine.yaml",
        models=(Model("openai/gpt-5-mini", "small"), Model("house/large")),
        route=Route(
            alias="pick",
            strategy="cheapest",
            downgrade=("gpt-5.4", "openai/gpt-5.4"),
            long_prompt=8000,
            task={"classify": "small", "think": "house/large"},
            cascade=Cascade("json"),
        ),
        trim=Trim(32000, 16000, 1000),
        cache=Cache(43200.0, "shared", 64 * 2**20, 4 * 10**9, sampled=False, tool_calls=True, share=False),
        limits=(
            Limit("openai", 500, 200_000, 60.0),
            Limit("house", None, 1_000_000, 86400.0, ("house/*",)),
        ),
        budgets=(
            Budget(5 * 10**9, "day", "user", "downgrade"),
            Budget(200_000_000_001, "month", on_unknown_price="allow"),
        ),
        retry=Retry(3, 0.25, 4.0),
        batch=Batch(512, 0.02),
        ledger=Ledger("/tmp/x", "hashed", None, None),
        prices={"house/large": Price(500_000_000, 1_500_000_000, 50_000_000, 600_000_000, 10**9)},
        strict=True,
    )


def test_an_absent_block_is_off_and_an_off_block_too() -> None:
    absent = parse("version: 1")
    assert absent == Policy(name="<string>", source="<string>")
    off = parse("version: 1\nroute: off\ntrim: off\ncache: false\nbatch: off\nledger: off")
    assert off == Policy(name="<string>", source="<string>", ledger=None)


def test_a_mapping_reads_as_the_file_does() -> None:
    written = {
        "version": 1,
        "cache": {"ttl": "7d", "memory": 0, "sampled": False},
        "trim": {"budget": 9, "keep": 4},
    }
    assert load(written) == Policy(
        name="custom", cache=Cache(604800.0, memory=0, sampled=False), trim=Trim(9, 4)
    )
    with pytest.raises(PolicyError, match=r"^<mapping>: cache\.tll: is not a key here — write ttl$"):
        load({"version": 1, "cache": {"tll": "7d"}})


def test_a_policy_is_itself() -> None:
    policy = Policy()
    assert load(policy) is policy


def test_none_is_balanced_and_a_bare_name_a_preset() -> None:
    assert load() == load("balanced") == load(presets()["balanced"])
    with pytest.raises(PolicyError, match="write balanced; a file needs its suffix or a slash"):
        load("balancd")
    with pytest.raises(PolicyError, match=r"thrifty.yaml: cannot be read: .* write thrifty for the preset"):
        load("nowhere/thrifty.yaml")


KEYS = st.sampled_from(
    ["version", "cache", "ttl", "models", "name", "route", "limits", "budgets", "limit", "prices"]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["7d", "$5/day"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
)


@settings(deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_mapping_is_a_policy_or_a_policy_error(mapping: dict[str, object]) -> None:
    try:
        assert isinstance(load({"version": 1, **mapping}), Policy)
    except PolicyError as error:
        assert error.problems


def test_a_ladder_in_the_wrong_order_is_pointed_out() -> None:
    ladder = "models: [{name: openai/gpt-4o}, {name: openai/gpt-4o-mini}]"
    lines = explain(parse(f"version: 1\nroute: {{}}\n{ladder}\n"), {"openai/gpt-4o": (25, 100)}.get)
    assert not any("costs more" in line for line in lines), "one price is unknown"
    prices = {"openai/gpt-4o": (25, 100), "openai/gpt-4o-mini": (1, 6)}
    lines = explain(parse(f"version: 1\nroute: {{}}\n{ladder}\n"), prices.get)
    assert any("gpt-4o costs more than openai/gpt-4o-mini" in line for line in lines)


def test_what_is_no_policy_at_all_is_refused() -> None:
    with pytest.raises(PolicyError, match="not int"):
        load(5)  # type: ignore[arg-type]


def test_no_answer_is_kept_on_disk_where_no_text_may_be_kept() -> None:
    text = "version: 1\ncache: {ttl: 1d, disk: 1GB}\nledger: {content: CONTENT}"
    assert parse(text.replace("CONTENT", "full")).disk == 10**9
    hashed = parse(text.replace("CONTENT", "hashed"))
    assert hashed.disk == 0
    assert any("no answers on disk" in line for line in explain(hashed))
