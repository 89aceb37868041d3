"""Reading the ledger as a replay does: every call, in one order, with what lies around it."""

from __future__ import annotations

import random
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_material import DAY, START, agent_loop, record
from ledgers import written

from costopt.errors import LedgerError
from costopt.types import Decision, Record, Saving
from costopt.world import archive
from costopt.world.ledger import Fact, Ledger, Reader
from costopt.world.ledger import segments as files
from costopt.world.ledger.live import CHUNK
from costopt.world.ledger.parts import outline, split

NOW = START + 400 * DAY
MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-5")


def read(folder: Path, *args: Any, **how: Any) -> list[Fact]:
    with Reader(folder) as reader:
        return list(reader.facts(*args, **how))


def mixed(numbers: range, seed: int) -> list[Record]:
    """Calls in the order they were written, which is not that of their start; many start together."""
    chance = random.Random(seed)
    return [
        record(
            n,
            started=START + chance.randrange(40),
            model=chance.choice(MODELS),
            tags={"user": str(n % 3), "team": str(n % 2)},
            savings=tuple(Saving("trim", n + i, "assumed", "b") for i in range(n % 3)),
            notes=[Decision("cache", f"miss {n}"), Decision("route", "kept")][: n % 3],
        )
        for n in numbers
    ]


def scattered(folder: Path, rounds: int) -> list[str]:
    """A ledger whose files overlap in time, the last calls live; the ids in the order they must come."""
    known: list[Record] = []
    for n in range(rounds):
        some = mixed(range(n * 30, n * 30 + 30), seed=n)
        written(folder, some)
        known += some
        if n < rounds - 1:
            archive.run(folder, 0, NOW + n, segment_calls=11)
    known.sort(key=lambda one: one.started)
    return [one.request.id for one in known]


def test_archived_and_live_calls_come_in_one_order(tmp_path: Path) -> None:
    expected = scattered(tmp_path, 4)
    assert [fact.id for fact in read(tmp_path)] == expected


def test_more_overlapping_files_than_may_be_open(tmp_path: Path) -> None:
    expected = scattered(tmp_path, files.OPEN + 3)
    with Reader(tmp_path) as reader:
        facts = list(reader.facts())
        assert [fact.id for fact in facts] == expected
        assert [reader.body(fact)["model"] for fact in facts] == [fact.asked for fact in facts]


def test_each_reading_begins_anew_and_they_do_not_disturb_each_other(tmp_path: Path) -> None:
    scattered(tmp_path, 3)
    with Reader(tmp_path) as reader:
        whole = list(reader.facts())
        one, other = reader.facts(), reader.facts()
        head = list(islice(one, 20))
        assert list(other) == whole
        assert head + list(one) == whole


def test_a_call_read_among_many_is_the_call_read_alone(tmp_path: Path) -> None:
    written(tmp_path, mixed(range(2 * CHUNK + 30), seed=7))
    with Reader(tmp_path) as reader:
        for fact in reader.facts():
            assert reader.fact(fact.id) == fact
            assert [s.nano for s in fact.savings] == [int(fact.id[5:]) + i for i in range(len(fact.savings))]


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same calls live and archived."""
    folders = [tmp_path_factory.mktemp(name) for name in ("live", "archived")]
    for folder in folders:
        written(folder, mixed(range(150), seed=3))
    archive.run(folders[1], 0, NOW, segment_calls=70)
    return folders


@settings(max_examples=40, deadline=None)
@given(
    since=st.integers(START - 2, START + 42),
    length=st.integers(0, 45),
    model=st.sampled_from(["", *MODELS, "openai/gpt-4o", "azure/gpt-4o", "gpt"]),
    tags=st.dictionaries(st.sampled_from(["user", "team", "x"]), st.sampled_from(["0", "1", "2"])),
)
def test_a_selection_is_the_same_live_and_archived(
    twice: list[Path], since: int, length: int, model: str, tags: dict[str, str]
) -> None:
    expected = [
        fact.id
        for fact in read(twice[0])
        if since <= fact.started < since + length
        and (not model or model in (fact.asked, f"openai/{fact.asked}"))
        and all(fact.tags.get(name) == value for name, value in tags.items())
    ]
    for folder in twice:
        with Reader(folder) as reader:
            found = [fact.id for fact in reader.facts(since, since + length, model=model, tags=tags)]
            assert found == expected
            if not model and not tags:
                assert reader.count(since, since + length) == len(expected)


def test_a_long_file_is_read_from_where_the_selection_begins(tmp_path: Path) -> None:
    written(tmp_path, [record(n) for n in range(300)])
    archive.run(tmp_path, 0, NOW)
    for since, until in ((0, 1), (63, 65), (64, 128), (130, 300), (299, 400), (300, 301)):
        ids = [f"call-{n:06d}" for n in range(since, min(until, 300))]
        assert [fact.id for fact in read(tmp_path, START + since, START + until)] == ids


def test_decisions_can_be_left_out(tmp_path: Path) -> None:
    written(tmp_path, [record(1)])
    assert [fact.decisions for fact in read(tmp_path, decisions=False)] == [()]


def test_how_many_calls_and_from_when_to_when(tmp_path: Path) -> None:
    Ledger(tmp_path).open()
    with Reader(tmp_path) as reader:
        assert (reader.count(), reader.span(), list(reader.facts())) == (0, None, [])
    ids = scattered(tmp_path, 3)
    with Reader(tmp_path) as reader:
        starts = [fact.started for fact in reader.facts()]
        assert (reader.count(), reader.span()) == (len(ids), (starts[0], starts[-1]))
        assert reader.count(START + 1000) == 0


@pytest.mark.parametrize("content", ["full", "hashed"])
@pytest.mark.parametrize("archived", [False, True])
def test_the_size_of_every_part_is_known(tmp_path: Path, content: str, archived: bool) -> None:
    loop = agent_loop(30)
    written(tmp_path, loop, content=content)
    if archived:
        archive.run(tmp_path, 0, NOW)
    with Reader(tmp_path) as reader:
        facts = list(reader.facts())
        for fact, one in zip(facts, loop, strict=True):
            _, groups = split(one.request.body, private=content == "hashed")
            assert reader.sizes(chain(*fact.parts)) == [len(part) for group in groups for part in group]
            assert one.reply and fact.reply_body
            assert reader.sizes([fact.reply_body]) == [len(one.reply.body)]
        sizes = reader.sizes(facts[-1].parts[0])
    with Reader(tmp_path) as reader:  # and without having read the calls first
        assert reader.sizes(facts[-1].parts[0]) == sizes
        with pytest.raises(LedgerError, match="missing"):
            reader.sizes([bytes(32)])


def test_parameters_are_there_without_the_texts(tmp_path: Path) -> None:
    body = {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "secret"}, {"role": "assistant", "content": "yes"}],
        "temperature": 0.5,
        "tools": [{"type": "function", "function": {"name": "look", "description": "x" * 80}}],
        "stop": ["END"],
        "stream": True,
    }
    for content, shown in (("full", {"stop": ["END"]}), ("hashed", {})):
        folder = tmp_path / content
        written(folder, [record(1, body=body)], content=content)
        with Reader(folder) as reader:
            fact = next(reader.facts())
            seen = reader.outline(fact)
            assert seen.values == {"model": "gpt-4o", "temperature": 0.5, "stream": True} | shown
            assert seen.lists == {"messages"}
            named = dict(seen.named(fact.parts))
            assert list(named) == ["messages", "tools", *({"stop"} - shown.keys())]
            assert [len(parts) for parts in named.values()] == [2, *[1] * (len(named) - 1)]


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.text())), st.booleans())
def test_an_outline_names_every_key_once(body: dict[str, Any], private: bool) -> None:
    shape, groups = split(body, private=private)
    seen = outline(shape)
    assert sorted([*seen.values, *seen.keys]) == sorted(body)
    assert len(seen.named(groups)) == len(groups)
    assert seen.values == {key: body[key] for key in seen.values}


@pytest.mark.parametrize("memory", [0, 2000, 10**6])
def test_parts_are_right_however_little_is_remembered(tmp_path: Path, memory: int) -> None:
    loop = agent_loop(20)
    written(tmp_path, loop)
    with Reader(tmp_path, memory=memory) as reader:
        for _ in range(2):
            assert [reader.body(fact) for fact in reader.facts()] == [one.request.body for one in loop]


def test_writing_and_archiving_do_not_change_what_a_reader_sees(tmp_path: Path) -> None:
    written(tmp_path, mixed(range(CHUNK + 50), seed=1))
    before = read(tmp_path)
    with Reader(tmp_path) as reader:
        facts = reader.facts()
        head = list(islice(facts, 10))
        written(tmp_path, mixed(range(1000, 1040), seed=2))
        archive.run(tmp_path, 0, NOW)
        assert head + list(facts) == before
        assert list(reader.facts()) == before
        assert reader.count() == len(before)
        assert all(reader.body(fact) for fact in before)
    assert len(read(tmp_path)) == len(before) + 40
