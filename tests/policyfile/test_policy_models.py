"""Names of models in a policy: which are refused as slips of a known one, and which may be one's own."""

from __future__ import annotations

import pytest
from policy_material import problems

from costopt.errors import Problem
from costopt.policy import Policy
from costopt.policyfile import explain, parse
from costopt.policyfile.check import matches

NAMES = (
    "gpt-5-nano",
    "gpt-4o-mini",
    "oci/openai.gpt-5-nano",
    "gmi/openai/gpt-4o-mini",
    "azure/gpt-5-nano",
    "azure/eu/gpt-4o-mini",
    "text-bison",
)


def known(name: str) -> bool:
    return name in (*NAMES, "openai/gpt-5-nano", "openai/gpt-4o-mini")


def slip(text: str) -> Problem:
    """The one thing wrong with a policy, for who knows `NAMES` and OpenAI's under its name too."""
    (found,) = problems(text, known=known, names=NAMES)
    return found


def limited(*names: str) -> str:
    return f"version: 1\nlimits: [{{group: mine, requests: 5/min, models: {list(names)}}}]\n"


def priced(name: str) -> str:
    return f"prices: {{{name}: {{input: $1, output: $2}}}}"


MODELS = "version: 1\nmodels:\n  - name: openai/gpt-5-mni\n"


def test_an_unknown_model_is_refused_with_the_nearest_and_the_mend() -> None:
    (found,) = problems(MODELS, known={"gpt-5-mini", "gpt-4o"})
    assert (found.line, found.key) == (3, "models[0].name")
    assert "write openai/gpt-5-mini, or add its price: prices: {openai/gpt-5-mni:" in found.hint
    (found,) = problems(MODELS, known=lambda name: False, names=["openai/gpt-5-mini"])
    assert "write openai/gpt-5-mini," in found.hint
    (found,) = problems(MODELS, known=lambda name: False)
    assert "write a known model, or add its price" in found.hint


@pytest.mark.parametrize(
    ("written", "near"),
    [
        ("openai/gpt-5-nan", "openai/gpt-5-nano"),
        ("openai/gpt-4o-mni", "openai/gpt-4o-mini"),
        ("gpt-5-nan", "gpt-5-nano"),
        ("opnai/gpt-5-nano", "openai/gpt-5-nano"),
        ("azure/gpt-5-nan", "azure/gpt-5-nano"),
        ("azure/gpt-4o-mni", "azure/eu/gpt-4o-mini"),
        ("oci/openai.gpt-5-nan", "oci/openai.gpt-5-nano"),
        ("openai/text-bisonn", "a known model"),
        ("openai/house-large", "a known model"),
    ],
)
def test_the_nearest_is_the_providers_own(written: str, near: str) -> None:
    found = slip(f"version: 1\nmodels: [{{name: {written}}}]")
    assert found.hint.startswith(f"write {near}, or add its price")


def test_a_slip_in_a_model_that_may_be_replaced_is_refused() -> None:
    text = "version: 1\nmodels: [{name: gpt-5-nano}]\nroute:\n downgrade:\n - gpt-4o-mini\n - gtp-4o-mini\n"
    found = slip(text)
    assert (found.line, found.key) == (6, "route.downgrade[1]")
    assert "write gpt-4o-mini, or add its price" in found.hint
    assert parse(text + priced("openai/gtp-4o-mini"), known=known).route


def test_a_slip_in_a_model_that_is_limited_is_refused() -> None:
    two = limited("gpt-4o-mini", "openai/gpt-4o-mni")
    found = slip(two)
    assert (found.line, found.key) == (2, "limits[0].models[1]")
    assert "write openai/gpt-4o-mini," in found.hint
    assert found.hint.endswith("or write openai/gpt-4o-mni* for a model of your own")
    assert parse(two.replace("mni", "mni*"), known=known).limits


def strange(policy: Policy) -> list[str]:
    """What is said of names that no price map knows, where it prices no model."""
    said = explain(policy, lambda _: None, matches=lambda name: matches(name, NAMES, known))
    return [line for line in said if "no price map knows" in line]


@pytest.mark.parametrize("name", ["my-deployment", "azure/my-deployment", "gpt-4o-mini-eu"])
def test_a_name_of_ones_own_may_be_limited(name: str) -> None:
    (note,) = strange(parse(limited(name), known=known, names=NAMES))
    assert f"no price map knows {name};" in note
    assert not strange(parse(limited(name) + priced(name), known=known))


def test_a_name_that_is_nearly_a_known_one_may_be_a_slip() -> None:
    assert slip(limited("openai/gpt-5-nano-2")).key == "limits[0].models[0]"


def test_a_model_to_be_replaced_by_a_cheaper_one_has_a_price() -> None:
    text = "version: 1\nmodels: [{name: gpt-5-nano}]\nroute: {downgrade: [my-deployment]}\n"
    found = slip(text)
    assert found.key == "route.downgrade[0]"
    assert "add its price: prices: {my-deployment:" in found.hint
    assert parse(text + priced("my-deployment"), known=known).route


@pytest.mark.parametrize("name", ["gpt-4o-mini", "openai/gpt-4o-mini"])
def test_a_known_name_is_not_called_strange(name: str) -> None:
    assert not strange(parse(limited(name), known=known, names=NAMES))
    said = explain(parse(limited(name)), {name: (1, 2)}.get, matches=lambda _: False)
    assert not any("no price map" in line for line in said)


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("openai/*", True),
        ("openai/gpt-4*", True),
        ("gpt-4*", True),
        ("azure/*", True),
        ("*", True),
        ("*/gpt-5-n?no", True),
        ("openia/*", False),
        ("openai/gtp*", False),
        ("gpt-4-*", False),
        ("openai/text-*", False),
    ],
)
def test_whether_a_pattern_stands_for_any_model(pattern: str, fits: bool) -> None:
    assert matches(pattern, NAMES, known) is fits
    said = explain(parse(limited(pattern)), matches=lambda name: matches(name, NAMES, known))
    assert any(f"no known model matches {pattern};" in line for line in said) is not fits


def test_a_pattern_for_a_model_of_ones_own_is_no_slip() -> None:
    policy = parse(limited("house/*") + priced("house/large"))
    assert not any("no known model" in line for line in explain(policy, matches=lambda _: False))


def test_a_model_is_known_with_its_provider_or_without_or_by_a_price_of_ones_own() -> None:
    assert parse(MODELS).models[0].name == "openai/gpt-5-mni"
    assert parse(MODELS, known={"gpt-5-mni"}).models
    assert parse(MODELS, known=lambda name: name == "openai/gpt-5-mni").models
    assert parse(MODELS + priced("openai/gpt-5-mni"), known=()).models
