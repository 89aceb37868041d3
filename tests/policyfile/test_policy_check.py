"""What a policy may not say: with which line, key and mend it is refused."""

from __future__ import annotations

import pytest
from policy_material import problems

from costopt.errors import PolicyError
from costopt.policyfile import parse

#: What stands on the second line, after `version: 1`; the key that is named; words of the message and of the mend.
ON_LINE_2 = [
    ("cach: {}", "cach", "is not a key here", "write cache"),
    ("cache: {memory: 3}", "cache.memory", "3 has no unit", "write 256MB"),
    ("cache: {ttl: 7}", "cache.ttl", "7 has no unit", "write 30s"),
    ("cache: {ttl: 0}", "cache.ttl", "keeps nothing", "cache: off"),
    ("cache: {ttl: [7d]}", "cache.ttl", "a list is not allowed", "write 30s"),
    ("cache: {memory: 0, disk: 0, share: no}", "cache.memory", "no room", "cache: off"),
    ("cache:\n", "cache", "empty is not a mapping", "write keys"),
    ("cache: on", "cache", "'on' is not a mapping", "write keys"),
    ("cache: {sampled: 'true'}", "cache.sampled", "neither true nor false", "without quotes"),
    ("cache: {scope: tenent}", "cache.scope", "'tenent'", "write tenant"),
    ("cache: {semantic: {enabled: true}}", "cache.semantic.enabled", "not available yet", "leave"),
    ("cache: {semantic: {enabled: false, error: 2}}", "cache.semantic.error", "share", "0 to 1"),
    ("route: {quality_loss: 0.02}", "route.quality_loss", "not available yet", "leave it out"),
    ("batch: {deadline: 1h}", "batch.deadline", "not available yet", "leave it out"),
    ("batch: {embeddings: {max_size: 1}}", "batch.embeddings.max_size", "no merging", "at least 2"),
    ("ledger: {keep: 1y}", "ledger.keep", "not available yet", "leave it out"),
    ("budgets: [{limit: $5/day, on_exceed: queue}]", "budgets[0].on_exceed", "not available yet", ""),
    ("budgets: [{limit: $5}]", "budgets[0].limit", "money per time", "$5/day"),
    ("budgets: [{limit: 5/day}]", "budgets[0].limit", "money per time", "$5/day"),
    ("budgets: [{per: day, limit: $5/day}]", "budgets[0].per", "per names a tag", "limit: $5/day"),
    ("budgets: [{per: a b, limit: $5/day}]", "budgets[0].per", "not the name of a tag", "write user"),
    ("budgets: [{limit: $5/day, on_exceed: downgrade}]", "budgets[0].on_exceed", "no models", "reject"),
    ("budgets: {limit: $5/day}", "budgets", "a mapping is not a list", "- "),
    ("trim: {budget: 8k, keep: 9k}", "trim.keep", "smaller than budget", "keep: 4k"),
    ("trim:\n  budget: 8k", "trim", "keep is missing", "add keep:"),
    ("trim: {budget: 32KB, keep: 0}", "trim.budget", "not a whole number", "32k"),
    ("limits: [{group: openai}]", "limits[0]", "limits nothing", "requests: 500/min"),
    ("limits: [{group: a, requests: 0/min}]", "limits[0]", "stop every call", "at least 1"),
    ("limits: [{group: a, requests: 1/s, tokens: 1/min}]", "limits[0]", "different times", "two limits"),
    ("route: {}", "route", "no models to choose from", "add models:"),
    ("models: [a/b]", "models[0]", "not a mapping", "such as name:"),
    ("retry: {attempts: 0}", "retry.attempts", "too small", "at least 1"),
    ("retry: {base: 9s}", "retry.cap", "shorter than the first", "larger"),
    ("prices: {a/b: {input: 0.5, output: $1}}", "prices.a/b.input", "not an amount", "$0.50"),
    ("strict: maybe", "strict", "neither true nor false", "true or false"),
    ("cache: {ttl: 1000y}", "cache.ttl", "longer than 100y", "write 100y"),
]
#: The same for whole files, with the line.
ELSEWHERE = [
    ("version: 1\ncache:\n\n  tll: 7d", 4, "cache.tll", "is not a key here", "write ttl"),
    (
        "version: 1\nbudgets:\n- limit: $5/day\n- limit: $6/day",
        4,
        "budgets[1].limit",
        "same as budgets[0]",
        "keep one",
    ),
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
    ("version: 2", 1, "version", "2 is not supported", "upgrade costopt"),
    ("version: '1.0'", 1, "version", "'1.0' is not supported", "write version: 1"),
    ("version: '1'", 1, "version", "'1' is not supported", "write version: 1"),
    ("cache: {ttl: 7d}", 1, "", "version is missing", "add version:"),
]
WRONG = [(f"version: 1\n{text}", 2, *rest) for text, *rest in ON_LINE_2] + ELSEWHERE


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


def test_a_limit_for_a_provider_that_does_not_exist_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"limits\[0\].group.*opnai.*openai"):
        parse("version: 1\nlimits: [{group: opnai, requests: 5/min}]\n")
    assert parse('version: 1\nlimits: [{group: mine, requests: 5/min, models: ["openai/*"]}]\n').limits
