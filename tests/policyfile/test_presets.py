"""The shipped policies: they load, say what they do, match the JSON schema, and no slip in a key goes unseen."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costopt.errors import PolicyError
from costopt.policy import Budget, Cache, Limit, Model, Policy, Price, Retry, Route
from costopt.policyfile import explain, load, parse, presets, schema

NAMES = ("balanced", "careful", "observe", "thrifty")
TEXTS = {name: presets()[name].read_text("utf-8") for name in NAMES}
KEY = re.compile(r"(?:^|[\s{,])([a-z_]+):(?=\s)")


def keys(text: str) -> list[tuple[int, int, str]]:
    """(line, offset, key) of each key, comments left out; names under `task` are the user's own."""
    found: list[tuple[int, int, str]] = []
    offset = 0
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        code = line.partition("#")[0]
        found += [(number, offset + match.start(1), match[1]) for match in KEY.finditer(code)]
        offset += len(line)
    return [key for key in found if key[2] not in ("classify", "extract")]


PLACES = [(name, place) for name in NAMES for place in keys(TEXTS[name])]


@st.composite
def slips(draw: st.DrawFn) -> tuple[str, tuple[int, int, str], str]:
    """A preset, one of its keys, and that key with one letter changed, left out, doubled or added."""
    name, (line, offset, key) = draw(st.sampled_from(PLACES))
    at = draw(st.integers(0, len(key) - 1))
    letter = draw(st.sampled_from(ascii_lowercase))
    wrong = draw(
        st.sampled_from(
            [key[:at] + letter + key[at + 1 :], key[:at] + key[at + 1 :], key[:at] + letter + key[at:]]
        )
    )
    return name, (line, offset, key), wrong


@settings(max_examples=400, deadline=None)
@given(slips())
def test_one_wrong_letter_in_a_key_is_found(slip: tuple[str, tuple[int, int, str], str]) -> None:
    name, (line, offset, key), wrong = slip
    if wrong == key:
        return
    text = TEXTS[name]
    with pytest.raises(PolicyError) as error:
        parse(text[:offset] + wrong + text[offset + len(key) :], "p.yaml")
    found = next(p for p in error.value.problems if p.key.rpartition(".")[2] == wrong)
    assert found.line == line
    assert found.message.startswith("is not a key here")
    assert found.hint == f"write {key}"


def test_these_are_the_presets() -> None:
    assert tuple(presets()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_loads_under_its_name(name: str) -> None:
    policy = load(name)
    assert (policy.name, policy.source) == (name, str(presets()[name]))
    assert TEXTS[name].startswith("# yaml-language-server: $schema=./schema.json\n")


def test_observe_changes_nothing() -> None:
    policy = load("observe")
    assert policy == Policy(name="observe", source=policy.source)


def test_balanced_has_no_lever_that_can_hurt() -> None:
    policy = load("balanced")
    assert policy.cache is not None
    assert policy.cache.disk > 0
    levers = (policy.route, policy.trim, policy.limits, policy.budgets, policy.batch.max_size)
    assert levers == (None, None, (), (), 0)


def test_careful_is_strict_and_never_repeats_a_sample() -> None:
    policy = load("careful")
    assert policy.strict
    assert policy.budgets and policy.limits
    assert policy.cache is not None
    assert not policy.cache.sampled


def price_map() -> dict[str, Any]:
    spec = importlib.util.find_spec("litellm")
    assert spec and spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0])
    found: dict[str, Any] = json.loads(
        (folder / "model_prices_and_context_window_backup.json").read_text("utf-8")
    )
    return found


@pytest.mark.parametrize("limit", load("careful").limits, ids=lambda limit: limit.group)
def test_careful_refuses_no_call_that_its_provider_takes(limit: Limit) -> None:
    """The largest call of each model of the provider: its whole context, and its whole output."""
    rows = [row for row in price_map().values() if row.get("litellm_provider") == limit.group]
    calls = [(row.get("max_input_tokens") or 0) + (row.get("max_output_tokens") or 0) for row in rows]
    assert limit.tokens is not None
    assert 0 < max(calls) <= limit.tokens


def test_models_of_presets_are_in_the_price_map_and_the_ladder_rises() -> None:
    prices = price_map()
    for name in NAMES:
        ladder = load(name, known=prices).models
        costs = [prices[model.name.partition("/")[2]]["input_cost_per_token"] for model in ladder]
        assert costs == sorted(costs)


def test_the_committed_schema_is_current() -> None:
    committed = json.loads((presets()["balanced"].parent / "schema.json").read_text("utf-8"))
    assert committed == schema(), "run: costopt policy schema > policies/schema.json"


def test_the_schema_agrees_with_the_reader() -> None:
    yaml = pytest.importorskip("yaml")
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft7Validator(schema())
    jsonschema.Draft7Validator.check_schema(schema())
    for text in TEXTS.values():
        assert not list(validator.iter_errors(yaml.safe_load(text)))
    assert not list(validator.iter_errors({"version": 1.0})) and load({"version": 1.0})
    for wrong in (
        {},
        {"version": 2},
        {"version": "1"},
        {"version": True},
        {"version": 1, "cach": {}},
        {"version": 1, "cache": {"ttl": 7}},
        {"version": 1, "budgets": [{"limit": "$5"}]},
        {"version": 1, "limits": [{"group": "a", "requests": 500}]},
        {"version": 1, "trim": {"budget": "32k"}},
        {"version": 1, "models": [{"tier": "small"}]},
    ):
        assert list(validator.iter_errors(wrong)), wrong
        with pytest.raises(PolicyError):
            load(wrong)


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_explains_itself_in_sentences(name: str) -> None:
    for line in explain(load(name)):
        assert line[0].isupper() and line.endswith(".")
        assert "None" not in line and "Struct" not in line


def test_explain_names_what_a_policy_does() -> None:
    policy = Policy(
        models=(Model("a/small", "s"), Model("b/large"), Model("c/odd")),
        route=Route(downgrade=("b/large",)),
        cache=Cache(ttl=3600.0, disk=0),
        limits=(Limit("a", tokens=200_000),),
        budgets=(Budget(5 * 10**9, "day", "user"), Budget(10**10, "total", on_exceed="downgrade")),
        retry=Retry(attempts=3),
        prices={"c/odd": Price(10**9, 2 * 10**9)},
        ledger=None,
    )
    said = "\n".join(explain(policy, {"a/small": (150_000_000, 600_000_000)}.get))
    for words in (
        "a/small (s, $0.15 in and $0.60 out per million tokens); b/large (price unknown); c/odd ($1 in and $2 out",
        "for 1h after it was first answered",
        "Record nothing",
        "and calls to b/large,",
        "at most $5 a day for each user; beyond that, refuse the call.",
        "at most $10 in all for everybody together; beyond that, go to a cheaper model",
        "Let calls to a models wait rather than pass 200k/min tokens.",
        "Try a failed call up to 3 times, waiting 500ms at first and 8s at most.",
    ):
        assert words in said


def test_explain_says_when_nothing_changes() -> None:
    assert "It changes no call" in explain(load("observe"))[-1]
    assert not any("changes no call" in line for line in explain(load("balanced")))
