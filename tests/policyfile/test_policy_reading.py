"""What a policy file becomes, and what is refused with which line, key and mend."""

from __future__ import annotations

import logging
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costopt.errors import PolicyError, Problem
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
from costopt.policyfile import Watcher, explain, load, parse, presets

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


def problems(text: str, **known: object) -> tuple[Problem, ...]:
    with pytest.raises(PolicyError) as error:
        parse(dedent(text), "p.yaml", **known)  # type: ignore[arg-type]
    assert "\n".join(map(str, error.value.problems)) == str(error.value)
    return error.value.problems


def test_every_key() -> None:
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
    ("version: '1.0'", 1, "version", "1.0 is not supported", "write version: 1"),
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


def test_known_models() -> None:
    assert parse(MODELS).models[0].name == "openai/gpt-5-mni"
    assert parse(MODELS, known={"gpt-5-mni"}).models
    assert parse(MODELS, known=lambda name: name == "openai/gpt-5-mni").models
    own = MODELS + "prices: {openai/gpt-5-mni: {input: $1, output: $2}}"
    assert parse(own, known=()).models


#: Each line repeats the one above nine times: 9**9 values from 500 bytes.
BOMB = "- &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"- &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(8)
)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "this is empty"),
        ("# only a comment\n", 1, "this is empty"),
        ("- 1", 1, "this is a list"),
        ("hello", 1, "this is 'hello'"),
        ("version: 1\n\tcache: {}", 2, "a tab"),
        ("version: 1\ncache:\n\tttl: 7d", 3, "a tab"),
        ("version: 1\ncache: [", 2, "not YAML"),
        ("version: 1\na: b: c", 2, "not YAML"),
        ("version: 1\n---\nversion: 1", 2, "a second document"),
        ("version: 1\n\nx: \x07", 3, "U+0007"),
        (
            "version: !!python/object/apply:os.system [id]",
            1,
            "the tag !!python/object/apply:os.system is refused",
        ),
        ("version: 1\nstrict: !mine x", 2, "the tag !mine is refused"),
        ("version: 1\n? [a]\n: b", 2, "a key must be a word"),
        ("version: 1\ncache: *nowhere", 2, "refers to nothing"),
        ("version: 1\ncache: &a [*a]", 2, "refers to nothing"),
        ("version: 1\n<<: 5", 2, "can only merge"),
        ("version: 1\ncache: " + "[" * 100_000, 2, "nested more than"),
        ("version: 1\ncache:\n" + "- " * 50_000, 3, "nested more than"),
        (BOMB, 5, "more than 20000 values"),
        ("version: 1\nx: \ud800", 2, "U+D800"),
        ("# 😀😀\u00e9\n\n\x1b", 3, "U+001B"),
    ],
)
def test_what_is_no_policy_at_all(text: str, line: int, message: str) -> None:
    found = problems(text)[-1]
    assert found.line == line
    assert message in found.message
    assert "\n" not in str(found)


def test_doubled_keys() -> None:
    (found,) = problems("version: 1\ncache:\n  ttl: 1d\n  disk: 0\n  ttl: 7d\n")
    assert (found.line, found.key, found.message) == (5, "cache.ttl", "is written twice (first on line 3)")


def test_anchors_and_merges() -> None:
    merged = parse(
        "version: 1\nbudgets:\n- &b {per: user, limit: $5/day}\n- {<<: *b, per: team}\n- {<<: *b, limit: $9/week}\n"
    )
    assert [(b.per, b.limit, b.window) for b in merged.budgets] == [
        ("user", 5 * 10**9, "day"),
        ("team", 5 * 10**9, "day"),
        ("user", 9 * 10**9, "week"),
    ]


def test_yaml_surprises_stay_text_or_are_refused() -> None:
    assert parse("version: 1\nledger: {path: '0755'}").ledger == Ledger("0755")
    assert [
        p.key for p in problems("version: 1\nretry: {attempts: 010}\ntrim: {budget: 1:30, keep: 0x10}")
    ] == [
        "retry.attempts",
        "trim.budget",
        "trim.keep",
    ]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for name, content, message in (
        ("huge.yaml", b"#" * 300_000, "larger than 256 KiB"),
        ("latin.yaml", b"version: 1\n# caf\xe9", "latin.yaml:2: is not UTF-8"),
        ("utf16.yaml", "version: 1".encode("utf-16"), "is not UTF-8"),
        ("nul.yaml", b"version: 1\n\0", r"U\+0000"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(PolicyError, match=message):
            load(path)
    for missing in (tmp_path, tmp_path / "none.yaml", Path("a\0b.yaml")):
        with pytest.raises(PolicyError, match="cannot be read"):
            load(missing)


def test_a_byte_order_mark_and_crlf_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbfversion: 1\r\ntrim: {budget: 2k, keep: 1k}\r\n")
    assert load(str(path)).trim == Trim(2000, 1000)


@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.text()
    | st.text(st.sampled_from("version: 1\n\t-[]{}&*!|>'\"%@`#,?cahe$/0\r\x00\u2028\ud7ffé"), max_size=60)
)
def test_any_text_is_a_policy_or_a_policy_error(text: str) -> None:
    try:
        assert isinstance(parse(text), Policy)
    except PolicyError as error:
        assert error.problems


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


class Reload:
    """A policy file under a watcher, and its own clock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 0
        self.write("version: 1")
        self.watcher = Watcher(path)

    def write(self, text: str) -> None:
        self.path.write_text(text)

    def after(self, seconds: float) -> Policy:
        self.now += int(seconds * 1e9)
        return self.watcher.current(self.now)


@pytest.fixture
def reload(tmp_path: Path) -> Reload:
    return Reload(tmp_path / "live.yaml")


def test_a_changed_file_is_read_again_but_looked_at_once_a_second(reload: Reload) -> None:
    first = reload.after(0)
    reload.write("version: 1\nstrict: true")
    assert reload.after(0.5) is first
    second = reload.after(0.6)
    assert second.strict
    assert reload.after(5) is second


def test_a_wrong_file_keeps_the_old_policy_and_warns_once(
    reload: Reload, caplog: pytest.LogCaptureFixture
) -> None:
    first = reload.after(0)
    reload.write("version: 1\nstrct: true\ncach: {}")
    with caplog.at_level(logging.WARNING, "costopt"):
        assert [reload.after(2) for _ in range(3)] == [first] * 3
    (record,) = caplog.records
    assert "live.yaml:2: strct: is not a key here" in record.message
    reload.write("version: 1\nstrict: true")
    assert reload.after(2).strict


def test_a_file_that_vanishes_and_comes_back(reload: Reload, caplog: pytest.LogCaptureFixture) -> None:
    first = reload.after(0)
    reload.path.unlink()
    assert [reload.after(2) for _ in range(2)] == [first] * 2
    assert len(caplog.records) == 1
    reload.write("version: 1\nstrict: true")
    assert reload.after(2).strict


def test_a_clock_set_back_does_not_stop_the_watch(reload: Reload) -> None:
    reload.after(1000)
    reload.write("version: 1\nstrict: true")
    assert reload.after(-500).strict


def test_a_file_wrong_from_the_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        Watcher(tmp_path / "none.yaml")


def test_a_limit_for_a_provider_that_does_not_exist_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"limits\[0\].group.*opnai.*openai"):
        parse("version: 1\nlimits: [{group: opnai, requests: 5/min}]\n")
    assert parse('version: 1\nlimits: [{group: mine, requests: 5/min, models: ["openai/*"]}]\n').limits


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
