"""The JSON schema that editors check a policy with says what the loader says, key by key and value by value."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from costopt.errors import PolicyError
from costopt.policyfile import parse, schema

MODELS = "models: [{name: a/b, tier: small}, {name: a/c, tier: large}]\n"
#: Where each value is put; whatever else must be there goes together with all of them.
KEYS = [
    "strict: %s",
    "models: [{name: %s}]",
    "models: [{name: a/b, tier: %s}]",
    MODELS + "route: %s",
    *(
        MODELS + f"route: {{{key}: %s}}"
        for key in ("alias", "strategy", "long_prompt", "quality_loss", "confidence")
    ),
    MODELS + "route: {downgrade: [%s]}",
    MODELS + "route: {cascade: {check: %s}}",
    "trim: %s",
    "trim: {budget: %s, keep: 1}",
    "trim: {budget: 999999999999999M, keep: %s}",
    "trim: {budget: 32k, keep: 1, tool_output: %s}",
    "cache: %s",
    *(
        f"cache: {{{key}: %s}}"
        for key in ("ttl", "scope", "memory", "disk", "sampled", "tool_calls", "share")
    ),
    "cache: {semantic: %s}",
    *(f"cache: {{semantic: {{{key}: %s}}}}" for key in ("enabled", "error", "of")),
    "limits: [{group: %s, requests: 5/min, models: ['a/*']}]",
    *(f"limits: [{{group: openai, {key}: %s}}]" for key in ("requests", "tokens")),
    "limits: [{group: openai, requests: 5/min, models: [%s]}]",
    "budgets: [{limit: %s}]",
    *(
        MODELS + f"budgets: [{{limit: $5/day, {key}: %s}}]"
        for key in ("per", "on_exceed", "on_unknown_price")
    ),
    "retry: {attempts: %s}",
    "retry: {base: %s, cap: 100y}",
    "retry: {base: 0, cap: %s}",
    "batch: %s",
    "batch: {embeddings: %s}",
    "batch: {deadline: %s}",
    "batch: {embeddings: {max_size: %s}}",
    "batch: {embeddings: {max_size: 2, max_wait: %s}}",
    "ledger: %s",
    *(f"ledger: {{{key}: %s}}" for key in ("path", "content", "archive_after", "keep")),
    *(f"prices: {{m: {{output: $1, {key}: %s}}}}" for key in ("input", "input: $1, cache_read")),
]
VALUES = """
0 1 2 -1 1.0 1.5 0.5 .5 1_000 1__0 32_000k 999999999999999 1000000000000000 99999999999999999999 .inf
"0" "1" "1.0" "1.5" "0.0" '32k' 32k 32K 1.5k 1.2345k 1.5000k 1.234567M 1.2345678M 0k 0.0k 0.0001k 0.001k
999999999999999M
true false True yes no on off Off OFF Yes "off" 'no' "ON" "true" "false" null ~ "" " " [] {} [a] {a: 1} [{}] [null]
a a_b a/b auto small openai none json rules reject queue downgrade tenant shared full hashed requests hits user
minute day days x.y _x '*' 'a/*' "a b" ~/x /tmp é
0s 0.0s 0ms 0y 30s "30s" 0.5s 7d 7D 30sec "30 s" " 30s" 5m 5min 1h30m 0.0001ms
100y 100.0y 100.5y 101y 99.9y 36500d 36501d 5214w 5215w 876000h 876001h 3153600000s 3153600001s 3153600000000ms
256MB 0B 0MB 1.5B 1.0B 1.5KB 1.2345KB 1.5KiB 256mb 1kB 10TB 1000000TB 1000001TB 999999999TB 909494TiB 909495TiB
500/min 0/min 0.0k/min 0.5/min 1.5k/min 1.0/s 5/sec 5/m 5/hour 5/day 5/week 200k/min
$5/day $0/day $5/total $5 $0 $0.5 $.5 $5. $1.123456789 $1.1234567890 $1.1234567891 $0.0000000001 $5/month
$0.0000000001/day $999999999999999/day $1000000000000000/day $5/year 5$ "$5"
"""
#: How these are spelt the schema cannot see; the loader takes none that YAML 1.1 reads as another number.
SPELLINGS = ("+1", "-0", "00", "010", "0o17", "0x1F", "1e3", "1.", ".nan")
#: What two keys say together the schema does not see.
TOGETHER = {("trim: {budget: %s, keep: 1}", value) for value in ("1", "1.0", '"1"', '"1.0"', "0.001k")} | {
    ("trim: {budget: 999999999999999M, keep: %s}", "999999999999999M"),
}


class Editor(yaml.SafeLoader):
    """YAML 1.2 as editors read it: no yes, no, on, off; no numbers with `_`."""

    yaml_implicit_resolvers = {}


for tag, pattern in (
    ("bool", r"true|True|TRUE|false|False|FALSE"),
    ("null", r"~|null|Null|NULL|"),
    ("int", r"[-+]?[0-9]+"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan"),
):
    Editor.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"^(?:{pattern})$"), None)
Editor.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))


def values() -> list[str]:
    """Those above, a quoted one or a collection as one."""
    return re.findall(r"\"[^\"]*\"|'[^']*'|\[\S*\]|\{[^}]*\}|\S+", VALUES)


def loads(text: str) -> str:
    """What the loader finds wrong; empty where it takes it."""
    try:
        parse(text)
    except PolicyError as error:
        return str(error)
    return ""


@pytest.fixture(scope="module")
def validator() -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    return jsonschema.Draft7Validator(json.loads(json.dumps(schema())))


@pytest.mark.parametrize("key", KEYS)
def test_editors_and_the_loader_take_the_same(key: str, validator: Any) -> None:
    differ = []
    for value in values():
        text = "version: 1\n" + key % value
        wrong = loads(text)
        if validator.is_valid(yaml.load(text, Editor)) == bool(wrong) and (key, value) not in TOGETHER:
            differ.append((value, wrong))
    assert differ == []


@pytest.mark.parametrize("key", KEYS)
def test_an_editor_takes_what_the_loader_takes_however_it_is_spelt(key: str, validator: Any) -> None:
    for value in SPELLINGS:
        text = "version: 1\n" + key % value
        assert loads(text) or validator.is_valid(yaml.load(text, Editor)), value


def test_what_is_off_may_be_said_in_every_way() -> None:
    for word in ("off", '"off"', "no", "'No'", "false"):
        assert parse(f"version: 1\ncache: {word}").cache is None
        assert parse(f"version: 1\ncache: {{share: {word}}}").cache.share is False  # type: ignore[union-attr]
