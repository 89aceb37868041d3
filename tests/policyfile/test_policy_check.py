"""What a policy may not say: with which line, key and mend it is refused."""

from __future__ import annotations

import pytest
from policy_material import problems

from costopt.errors import PolicyError
from costopt.policy import Policy
from costopt.policyfile import explain, parse
from costopt.policyfile.check import matches

WRONG = [
    ("version: 1\ncach: {}", 2, "cach", "is not a key here", "write cache"),
    ("version: 1\ncache:\n\n  tll: 7d", 4, "cache.tll", "is not a key here", "write ttl"),
    ("version: 1\ncache: {memory: 3}", 2, "cache.memory", "3 has no unit", "write 256MB"),
    ("version: 1\ncache: {ttl: 7}", 2, "cache.ttl", "7 has no unit", "write 30s"),
    ("version: 1\ncache: {ttl: 0}", 2, "cache.ttl", "keeps nothing", "cache: off"),
    ("version: 1\ncache: {ttl: [7d]}", 2, "cache.ttl", "a list is not allowed", "write 30s"),
    ("version: 1\ncache: {memory: 0, disk: 0, share: no}", 2, "cache.memory", "no room", "cache: off"),
    ("version: 1\ncache:\n", 2, "cache", "empty is not a mapping", "write keys"),
    ("version: 1\ncache: on", 2, "cache", "'on' is not a mapping", "write keys"),
    ("version: 1\ncache: {sampled: 'true'}", 2, "cache.sampled", "neither true nor false", "without quotes"),
    ("version: 1\ncache: {scope: tenent}", 2, "cache.scope", "'tenent'", "write tenant"),
    (
        "version: 1\ncache: {semantic: {enabled: true}}",
        2,
        "cache.semantic.enabled",
        "not available yet",
        "leave",
    ),
    (
        "version: 1\ncache: {semantic: {enabled: false, error: 2}}",
        2,
        "cache.semantic.error",
        "share",
        "0 to 1",
    ),
    ("version: 1\nroute: {quality_loss: 0.02}", 2, "route.quality_loss", "not available yet", "leave it out"),
    ("version: 1\nbatch: {deadline: 1h}", 2, "batch.deadline", "not available yet", "leave it out"),
    (
        "version: 1\nbatch: {embeddings: {max_size: 1}}",
        2,
        "batch.embeddings.max_size",
        "no merging",
        "at least 2",
    ),
    ("version: 1\nledger: {keep: 1y}", 2, "ledger.keep", "not available yet", "leave it out"),
    (
        "version: 1\nbudgets: [{limit: $5/day, on_exceed: queue}]",
        2,
        "budgets[0].on_exceed",
        "not available yet",
        "",
    ),
    ("version: 1\nbudgets: [{limit: $5}]", 2, "budgets[0].limit", "money per time", "$5/day"),
    ("version: 1\nbudgets: [{limit: 5/day}]", 2, "budgets[0].limit", "money per time", "$5/day"),
    (
        "version: 1\nbudgets: [{per: day, limit: $5/day}]",
        2,
        "budgets[0].per",
        "per names a tag",
        "limit: $5/day",
    ),
    (
        "version: 1\nbudgets: [{per: a b, limit: $5/day}]",
        2,
        "budgets[0].per",
        "not the name of a tag",
        "write user",
    ),
    (
        "version: 1\nbudgets: [{limit: $5/day, on_exceed: downgrade}]",
        2,
        "budgets[0].on_exceed",
        "no models",
        "reject",
    ),
    (
        "version: 1\nbudgets:\n- limit: $5/day\n- limit: $6/day",
        4,
        "budgets[1].limit",
        "same as budgets[0]",
        "keep one",
    ),
    ("version: 1\nbudgets: {limit: $5/day}", 2, "budgets", "a mapping is not a list", "- "),
    ("version: 1\ntrim: {budget: 8k, keep: 9k}", 2, "trim.keep", "smaller than budget", "keep: 4k"),
    ("version: 1\ntrim:\n  budget: 8k", 2, "trim", "keep is missing", "add keep:"),
    ("version: 1\ntrim: {budget: 32KB, keep: 0}", 2, "trim.budget", "not a whole number", "32k"),
    ("version: 1\nlimits: [{group: openai}]", 2, "limits[0]", "limits nothing", "requests: 500/min"),
    ("version: 1\nlimits: [{group: a, requests: 0/min}]", 2, "limits[0]", "stop every call", "at least 1"),
    (
        "version: 1\nlimits: [{group: a, requests: 1/s, tokens: 1/min}]",
        2,
        "limits[0]",
        "different times",
        "two limits",
    ),
    ("version: 1\nroute: {}", 2, "route", "no models to choose from", "add models:"),
    (
        "version: 1\nmodels: [{name: a/b}]\nroute: {cascade: {check: json}}",
        3,
        "route.cascade",
        "no second",
        "add a",
    ),
    (
        "version: 1\nmodels: [{name: a/b, tier: big}]\nroute: {task: {x: bif}}",
        3,
        "route.task.x",
        "no model",
        "write big",
    ),
    ("version: 1\nmodels:\n- name: a/b\n- name: a/b", 4, "models[1].name", "same as models[0]", "keep one"),
    ("version: 1\nmodels: [a/b]", 2, "models[0]", "not a mapping", "such as name:"),
    ("version: 1\nretry: {attempts: 0}", 2, "retry.attempts", "too small", "at least 1"),
    ("version: 1\nretry: {base: 9s}", 2, "retry.cap", "shorter than the first", "larger"),
    ("version: 1\nprices: {a/b: {input: 0.5, output: $1}}", 2, "prices.a/b.input", "not an amount", "$0.50"),
    ("version: 1\nstrict: maybe", 2, "strict", "neither true nor false", "true or false"),
    ("version: 2", 1, "version", "2 is not supported", "upgrade costopt"),
    ("version: '1.0'", 1, "version", "'1.0' is not supported", "write version: 1"),
    ("version: '1'", 1, "version", "'1' is not supported", "write version: 1"),
    ("version: 1\ncache: {ttl: 1000y}", 2, "cache.ttl", "longer than 100y", "write 100y"),
    ("cache: {ttl: 7d}", 1, "", "version is missing", "add version:"),
]


@pytest.mark.parametrize(
    ("text", "line", "key", "message", "hint"), WRONG, ids=[row[2] + "-" + row[3] for row in WRONG]
)
def test_refused_with_line_key_and_mend(text: str, line: int, key: str, message: str, hint: str) -> None:
    found = next(problem for problem in problems(text) if problem.key == key)
    assert (found.file, found.line) == ("p.yaml", line)
    assert message in found.message
    assert hint in found.hint
    assert str(found).startswith(f"p.yaml:{line}: ")


def test_all_problems_are_named_at_once_in_file_order() -> None:
    found = problems("version: 3\nstrict: x\ncache: {ttl: 7, a: 1}\ntrim: {budget: 1, keep: 2}\nroute: {}\n")
    assert [(p.line, p.key) for p in found] == [
        (1, "version"),
        (2, "strict"),
        (3, "cache.ttl"),
        (3, "cache.a"),
        (4, "trim.keep"),
        (5, "route"),
    ]


def test_a_broken_ladder_is_not_called_an_empty_one() -> None:
    assert [p.key for p in problems("version: 1\nmodels: [{nam: a/b}]\nroute: {}")] == [
        "models[0].nam",
        "models[0]",
    ]


MODELS = "version: 1\nmodels:\n  - name: openai/gpt-5-mni\n"


def test_an_unknown_model_is_refused_with_the_nearest_and_the_mend() -> None:
    (found,) = problems(MODELS, known={"gpt-5-mini", "gpt-4o"})
    assert (found.line, found.key) == (3, "models[0].name")
    assert "write openai/gpt-5-mini, or add its price: prices: {openai/gpt-5-mni:" in found.hint
    (found,) = problems(MODELS, known=lambda name: False, names=["openai/gpt-5-mini"])
    assert "write openai/gpt-5-mini," in found.hint
    (found,) = problems(MODELS, known=lambda name: False)
    assert "write a known model, or add its price" in found.hint


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
    text = f"version: 1\nmodels: [{{name: {written}}}]"
    (found,) = problems(text, known=known, names=NAMES)
    assert found.hint.startswith(f"write {near}, or add its price")


def test_a_slip_in_a_model_that_may_be_replaced_is_refused() -> None:
    text = (
        "version: 1\nmodels: [{name: gpt-5-nano}]\nroute:\n  downgrade:\n  - gpt-4o-mini\n  - gtp-4o-mini\n"
    )
    (found,) = problems(text, known=known, names=NAMES)
    assert (found.line, found.key) == (6, "route.downgrade[1]")
    assert "write gpt-4o-mini, or add its price" in found.hint
    own = "prices: {openai/gtp-4o-mini: {input: $1, output: $2}}"
    assert parse(text + own, known=known).route


def test_a_slip_in_a_model_that_is_limited_is_refused() -> None:
    limit = "limits: [{group: mine, requests: 5/min, models: [gpt-4o-mini, openai/gpt-4o-mni]}]"
    (found,) = problems(f"version: 1\n{limit}", known=known, names=NAMES)
    assert (found.line, found.key) == (2, "limits[0].models[1]")
    assert "write openai/gpt-4o-mini," in found.hint
    assert found.hint.endswith("or write openai/gpt-4o-mni* for a model of your own")
    assert parse(f"version: 1\n{limit.replace('mni', 'mni*')}", known=known).limits


OWN = """
version: 1
limits: [{{group: mine, requests: 5/min, models: [{name}]}}]
"""


def strange(policy: Policy) -> list[str]:
    """What is said of names that no price map knows, where it prices no model."""
    said = explain(policy, lambda _: None, matches=lambda name: matches(name, NAMES, known))
    return [line for line in said if "no price map knows" in line]


@pytest.mark.parametrize("name", ["my-deployment", "azure/my-deployment", "gpt-4o-mini-eu"])
def test_a_name_of_ones_own_may_be_limited(name: str) -> None:
    text = OWN.format(name=name)
    (note,) = strange(parse(text, known=known, names=NAMES))
    assert f"no price map knows {name};" in note
    assert not strange(parse(f"{text}prices: {{{name}: {{input: $1, output: $2}}}}", known=known))


def test_a_name_that_is_nearly_a_known_one_may_be_a_slip() -> None:
    found = problems(OWN.format(name="openai/gpt-5-nano-2"), known=known, names=NAMES)
    assert [each.key for each in found] == ["limits[0].models[0]"]


def test_a_model_to_be_replaced_by_a_cheaper_one_has_a_price() -> None:
    text = "version: 1\nmodels: [{name: gpt-5-nano}]\nroute: {downgrade: [my-deployment]}\n"
    (found,) = problems(text, known=known, names=NAMES)
    assert found.key == "route.downgrade[0]"
    assert "add its price: prices: {my-deployment:" in found.hint
    assert parse(f"{text}prices: {{my-deployment: {{input: $1, output: $2}}}}", known=known).route


@pytest.mark.parametrize("name", ["gpt-4o-mini", "openai/gpt-4o-mini"])
def test_a_known_name_is_not_called_strange(name: str) -> None:
    assert not strange(parse(OWN.format(name=name), known=known, names=NAMES))
    priced = explain(parse(OWN.format(name=name)), {name: (1, 2)}.get, matches=lambda _: False)
    assert not any("no price map" in line for line in priced)


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
    policy = parse(f"version: 1\nlimits: [{{group: mine, requests: 5/min, models: ['{pattern}']}}]")
    said = explain(policy, matches=lambda name: matches(name, NAMES, known))
    assert any(f"no known model matches {pattern};" in line for line in said) is not fits


def test_a_pattern_for_a_model_of_ones_own_is_no_slip() -> None:
    limit = "limits: [{group: mine, requests: 5/min, models: ['house/*']}]"
    policy = parse(f"version: 1\n{limit}\nprices: {{house/large: {{input: $1, output: $2}}}}")
    assert not any("no known model" in line for line in explain(policy, matches=lambda _: False))


def test_known_models() -> None:
    assert parse(MODELS).models[0].name == "openai/gpt-5-mni"
    assert parse(MODELS, known={"gpt-5-mni"}).models
    assert parse(MODELS, known=lambda name: name == "openai/gpt-5-mni").models
    own = MODELS + "prices: {openai/gpt-5-mni: {input: $1, output: $2}}"
    assert parse(own, known=()).models


def test_a_limit_for_a_provider_that_does_not_exist_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"limits\[0\].group.*opnai.*openai"):
        parse("version: 1\nlimits: [{group: opnai, requests: 5/min}]\n")
    assert parse('version: 1\nlimits: [{group: mine, requests: 5/min, models: ["openai/*"]}]\n').limits
