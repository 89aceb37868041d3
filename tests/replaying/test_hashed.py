"""Recorded without texts (`content: hashed`): what needs no text comes to the same, what does leaves calls alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ledgers import written
from msgspec.structs import replace
from replay_material import SECOND, START, Heard, adds_up, chat, recorded
from studio import Ask, Studio

from costopt.policy import Batch, Budget, Cache, Limit, Model, Policy, Retry, Route, Trim
from costopt.types import Record, Usage
from costopt.world.ledger import Reader
from costopt.world.ledger.parts import outline, split

SECRET = "Mrs. Miller lives at 5 Elm Street"
FUNCTION = {"type": "function", "function": {"name": "look", "description": SECRET, "parameters": {}}}
PREFIX = "The rules of this house are these. " * 300


def traffic() -> list[Ask]:
    """Repeats, streams, tools, parameters, failures, bursts; every prompt as long as the provider says."""
    asks = [
        Ask(chat(f"{PREFIX} question {n % 5}", stream=n % 3 == 0), at=n * 2 * SECOND, cached=1024 * (n > 4))
        for n in range(24)
    ]
    asks += [Ask(chat("tools", tools=[FUNCTION]), at=n * SECOND) for n in range(3)]
    asks += [Ask(chat("news", tools=[FUNCTION, {"type": "web_search"}]), at=n * SECOND) for n in range(3)]
    asks += [Ask(chat("search", web_search_options={}), at=n * SECOND) for n in range(3)]
    asks += [Ask(chat("state", store=True, metadata={"who": SECRET}), at=n * SECOND) for n in range(2)]
    asks += [Ask(chat("hot", temperature=1, service_tier="flex"), at=n * SECOND) for n in range(2)]
    asks += [Ask(chat("fails"), at=n * SECOND, statuses=(500,)) for n in range(2)]
    asks += [Ask(chat("left", stream=True), at=n * SECOND, left=True) for n in range(2)]
    for n in range(6):
        body = {"model": "text-embedding-3-small", "input": [f"{SECRET} {n}", "b" * n]}
        body |= {"encoding_format": "float" if n % 2 else "base64", "user": f"somebody {n % 2} " * 9}
        asks.append(Ask(body, at=n * 10**6, fields={"api": "embeddings"}))
    return asks


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same calls, recorded with and without their texts."""
    folders = tmp_path_factory.mktemp("full"), tmp_path_factory.mktemp("hashed")
    for folder, content in zip(folders, ("full", "hashed"), strict=True):
        policy = Policy(cache=None)
        policy = replace(policy, ledger=replace(policy.ledger, content=content))
        Studio(folder, policy).record(traffic())
    return folders


@pytest.mark.parametrize(
    "policy",
    [
        Policy(cache=Cache()),
        Policy(cache=Cache(sampled=False, share=False, ttl=5, memory=20_000)),
        Policy(cache=Cache(scope="shared", tool_calls=True), retry=Retry(3)),
        Policy(limits=(Limit("openai", requests=5, tokens=6000, window=20),)),
        Policy(budgets=(Budget(900_000, "minute", on_unknown_price="allow"),)),
        Policy(batch=Batch(8, 0.02), cache=Cache()),
    ],
    ids=["cache", "small cache", "shared cache", "limits", "budgets", "batch"],
)
def test_what_needs_no_text_comes_to_the_same(both: tuple[Path, Path], policy: Policy) -> None:
    full, hashed = (Heard(folder, policy) for folder in both)
    # what a refusal says differs: how much calls under way hold is an estimate where nobody told their tokens
    for call, change in full.changes.items():
        assert replace(hashed.changes[call], detail="") == replace(change, detail="")
    assert replace(hashed.outcome, top=()) == replace(full.outcome, top=())
    assert any(full.answers) or full.outcome.waited_s or policy.batch.max_size
    adds_up(hashed, full.changes)


def test_no_text_is_kept(both: tuple[Path, Path]) -> None:
    hashed = b"".join(path.read_bytes() for path in both[1].iterdir())
    for text in (SECRET.encode(), b"rules of this house", b"somebody"):
        assert text not in hashed
    assert b"web_search" in hashed


@pytest.mark.parametrize("tool", [{"type": "web_search"}, {"googleSearch": {}}, {"codeExecution": {}}])
def test_a_tool_of_the_providers_stays_uncacheable(tool: Any, tmp_path: Path) -> None:
    tools = [FUNCTION, tool]
    calls = [recorded(n, START + n * 9 * SECOND, body=chat("news", tools=tools)) for n in range(3)]
    for content in ("full", "hashed"):
        told = Heard(written(tmp_path / content, calls, content), Policy(cache=Cache()))
        assert told.answers == ["", "", ""]
        assert told.outcome.saved == 0


@pytest.mark.parametrize("tools", [[FUNCTION], [{"type": "custom", "name": "x"}], [], [{"name": "old"}]])
def test_functions_of_the_callers_stay_cacheable(tools: list[Any], tmp_path: Path) -> None:
    calls = [recorded(n, START + n * 9 * SECOND, body=chat("hi", tools=tools)) for n in range(2)]
    told = Heard(written(tmp_path, calls, "hashed"), Policy(cache=Cache()))
    assert told.answers == ["", "from the cache"]


@pytest.mark.parametrize(("version", "second"), [("3", "from the cache"), (None, "")])
def test_a_prompt_kept_at_the_provider_is_read_where_it_was_recorded(
    version: str | None, second: str, tmp_path: Path
) -> None:
    prompt = {"id": "pmpt_1", "version": version, "variables": {"who": SECRET * 3}}
    body = {"model": "gpt-4o", "input": "hi", "prompt": prompt}
    calls = [recorded(n, START + n * 9 * SECOND, body=body, api="responses") for n in range(2)]
    for content, answer in (("full", second), ("hashed", "")):
        told = Heard(written(tmp_path / content, calls, content), Policy(cache=Cache()))
        assert told.answers == ["", answer]


def test_a_tools_type_says_nothing_else() -> None:
    shape, _ = split(chat("x", tools=[FUNCTION, {"type": SECRET}, {"type": "web_search"}]), private=True)
    assert outline(shape).kinds == ("function", "other", "web_search")
    assert SECRET.encode() not in shape


@pytest.mark.parametrize(
    "policy",
    [
        Policy(trim=Trim(500, 200)),
        Policy(
            models=(Model("openai/gpt-5-nano"),), route=Route(strategy="cheapest", downgrade=("gpt-4o-mini",))
        ),
        Policy(
            models=(Model("openai/gpt-5-nano"),), budgets=(Budget(10**12, "day", "", "downgrade", "allow"),)
        ),
    ],
    ids=["trim", "route", "downgrade"],
)
def test_what_needs_texts_says_so_once_and_leaves_calls_alone(
    policy: Policy, both: tuple[Path, Path]
) -> None:
    told = Heard(both[1], policy)
    (note,) = [note for note in told.outcome.notes if "without their texts" in note]
    assert f"{len(told.changes):,} calls" in note
    assert set(told.answers) == {""}
    assert told.outcome.saved == 0
    assert Heard(both[0], policy).outcome.notes == tuple(n for n in told.outcome.notes if n != note)


def test_a_ledger_may_hold_calls_of_both_kinds(tmp_path: Path) -> None:
    calls: list[Record] = [
        recorded(
            n, START + n * SECOND, body=chat("word " * 2000, seed=n % 2), usage=Usage(input=2010, output=9)
        )
        for n in range(6)
    ]
    written(tmp_path, calls[:3], "hashed")
    written(tmp_path, [replace(c, request=replace(c.request, tags={"texts": "kept"})) for c in calls[3:]])
    with Reader(tmp_path) as reader:
        bodies = [reader.part(key) for fact in reader.facts() for group in fact.parts for key in group]
    assert bodies  # the same texts, recorded once with `full`, are there for all
    told = Heard(tmp_path, Policy(cache=Cache()))
    assert told.answers == ["", "", *["from the cache"] * 4]
