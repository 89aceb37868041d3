"""One import as a whole: each call once, secrets left out, money and tokens as a live call would have them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard
from import_material import START_NS, answer, body, facts, imported, line, whys, written

from costopt.errors import CannotImport, LedgerError
from costopt.importing import load
from costopt.importing.formats import FORMATS, format_named
from costopt.importing.store import Store
from costopt.types import Receipt, Record, Request, Usage
from costopt.world import archive


def test_importing_twice_adds_nothing(tmp_path: Path) -> None:
    lines = [line(request=body(f"question {n}")) for n in range(5)]
    first = imported(tmp_path, lines)
    before = facts(tmp_path)
    again = imported(tmp_path, lines)
    assert (first.new, again.calls, again.new, again.known, again.cost) == (5, 5, 0, 5, 0)
    assert facts(tmp_path) == before


def test_what_was_archived_is_not_added_again(tmp_path: Path) -> None:
    lines = [line(id="one"), line(id="two")]
    imported(tmp_path, lines)
    assert archive.run(tmp_path / "ledger", 0, START_NS * 2).calls == 2
    assert imported(tmp_path, lines).known == 2
    assert len(facts(tmp_path)) == 2


def test_an_import_that_broke_off_goes_on_where_it_was(tmp_path: Path) -> None:
    imported(tmp_path, [line(id="one")])
    done = imported(tmp_path, [line(id="one"), line(id="two")])
    assert (done.new, done.known) == (1, 1)


def test_formats_do_not_share_ids(tmp_path: Path) -> None:
    talk = {
        "id": "one",
        "model": "gpt-4o",
        "messages": [*body()["messages"], {"role": "assistant", "content": "4"}],
    }
    assert imported(tmp_path, [line(id="one")]).new == 1
    assert imported(tmp_path, [talk], "transcripts").new == 1


def test_calls_are_in_the_order_of_their_times(tmp_path: Path) -> None:
    days = [3, 1, 2]
    imported(tmp_path, [line(timestamp=f"2026-11-0{day}T00:00:00Z") for day in days])
    started = [fact.started for fact in facts(tmp_path)]
    assert started == sorted(started)
    assert [fact.id for fact in facts(tmp_path)] == sorted(fact.id for fact in facts(tmp_path))


def test_hashed_content_keeps_counts_and_no_text(tmp_path: Path) -> None:
    log = written(
        tmp_path / "log.jsonl", [line(request=body("planted question"), response=answer("planted answer"))]
    )
    load("jsonl", [log], ledger=tmp_path / "ledger", content="hashed")
    (fact,) = facts(tmp_path)
    assert (fact.cost, bool(fact.cache_key)) == (350_000, True)
    stored = [file.read_bytes() for file in (tmp_path / "ledger").rglob("*") if file.is_file()]
    assert not any(b"planted" in data for data in stored)


def talk(turns: int, model: str = "gpt-4o") -> Any:
    messages: list[Any] = [{"role": "system", "content": "Rules of the house. " * 600}]
    for turn in range(turns):
        messages += [
            {"role": "user", "content": f"question {turn}"},
            {"role": "assistant", "content": f"answer {turn}"},
        ]
    return {"trace_id": "t", "model": model, "messages": messages}


def test_counted_prompts_are_read_from_the_providers_cache(tmp_path: Path) -> None:
    imported(tmp_path, [talk(4)], "transcripts")
    usages = [fact.usage for fact in facts(tmp_path) if fact.usage]
    assert all(usage.estimated and usage.prompt > 2000 for usage in usages)
    assert [usage.cache_read > 1024 for usage in usages] == [False, True, True, True]
    assert all(usage.cache_read % 128 == 0 for usage in usages)


def test_without_the_prompt_cache_all_of_it_is_input(tmp_path: Path) -> None:
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    imported(tmp_path / "with", [talk(4)], "transcripts")
    imported(tmp_path / "without", [talk(4)], "transcripts", prompt_cache=False)
    split, whole = facts(tmp_path / "with"), facts(tmp_path / "without")
    assert [fact.usage.prompt for fact in split if fact.usage] == [
        fact.usage.input for fact in whole if fact.usage
    ]
    assert sum(fact.cost or 0 for fact in split) < sum(fact.cost or 0 for fact in whole)


def test_the_prompt_cache_forgets_between_calls_far_apart(tmp_path: Path) -> None:
    imported(tmp_path, [talk(3)], "transcripts", every=3600 * 10**9)
    assert [fact.usage.cache_read for fact in facts(tmp_path) if fact.usage] == [0, 0, 0]


def test_the_logs_own_counts_are_left_alone(tmp_path: Path) -> None:
    imported(tmp_path, [line(request=body("long " * 4000)), line(id="b", request=body("long " * 4000))])
    assert [(fact.usage.input, fact.usage.estimated) for fact in facts(tmp_path) if fact.usage] == [
        (100, False)
    ] * 2


def test_calls_with_counts_warm_the_cache_for_those_without(tmp_path: Path) -> None:
    rules: Any = {"role": "system", "content": "Rules of the house. " * 600}
    asked = [{"model": "gpt-4o", "messages": [rules, {"role": "user", "content": f"{n}"}]} for n in range(3)]
    counted = answer(usage={"prompt_tokens": 2410, "completion_tokens": 3})
    bare = answer(usage=None)
    times = ["2026-11-01T09:00:00Z", "2026-11-01T12:00:00Z", "2026-11-01T12:01:00Z"]
    responses = [bare, counted, bare]
    told = zip(asked, responses, times, strict=True)
    imported(tmp_path, [line(request=body_, response=said, timestamp=at) for body_, said, at in told])
    usages = [fact.usage for fact in facts(tmp_path) if fact.usage]
    assert [(usage.estimated, usage.cache_read > 0) for usage in usages] == [
        (True, False),
        (False, False),
        (True, True),
    ]


def test_an_unknown_price_is_none_and_counted_as_such(tmp_path: Path) -> None:
    own = {"request": {**body(), "model": "house-model"}, "response": answer(model="house-model")}
    done = imported(tmp_path, [line(**own), line(id="b")])
    assert (done.unpriced, done.cost) == (1, 350_000)
    assert {(fact.cost, fact.unpriced) for fact in facts(tmp_path)} == {(None, True), (350_000, False)}


@pytest.mark.parametrize(
    ("model", "provider", "named"),
    [
        ("openai/gpt-4o", "", ("openai", "gpt-4o")),
        ("gpt-4o", "OpenAI", ("openai", "gpt-4o")),
        ("anthropic/claude-sonnet-4-5", "", ("anthropic", "claude-sonnet-4-5")),
        ("azure/gpt-4o", "", ("azure", "gpt-4o")),
        ("azure/house-model", "", ("azure", "house-model")),
        ("house/model", "", ("openai", "house/model")),
        ("claude-sonnet-4-5", "", ("anthropic", "claude-sonnet-4-5")),
        ("my-model", "", ("openai", "my-model")),
    ],
)
def test_provider_and_model_as_a_policy_names_them(
    model: str, provider: str, named: Any, tmp_path: Path
) -> None:
    imported(tmp_path, [line(request={**body(), "model": model}, provider=provider)])
    assert [(fact.provider, fact.asked) for fact in facts(tmp_path)] == [named]


def test_tags_of_the_user_and_a_tenant(tmp_path: Path) -> None:
    imported(tmp_path, [line(tags={"tenant": "acme"})], tags={"from": "old log"})
    (fact,) = facts(tmp_path)
    assert (fact.tags, fact.tenant) == ({"tenant": "acme", "from": "old log"}, "tag:acme")


def test_packed_files_and_folders(tmp_path: Path) -> None:
    logs = tmp_path / "logs" / "deep"
    logs.mkdir(parents=True)
    packed = [json.dumps(line(id=f"call {name}")).encode() + b"\r\n" for name in "abc"]
    (logs / "a.jsonl.gz").write_bytes(gzip.compress(packed[0]) + gzip.compress(packed[1]))
    (logs / "b.jsonl.zst").write_bytes(zstandard.compress(packed[1]) + zstandard.compress(packed[2]))
    (logs / "notes.txt").write_text("not a log")
    done = load("jsonl", [tmp_path / "logs"], ledger=tmp_path / "ledger")
    assert (done.files, done.lines, done.new, done.known, done.unusable) == (2, 4, 3, 1, [])


@pytest.mark.parametrize(("ending", "pack"), [("gz", gzip.compress), ("zst", zstandard.compress)])
def test_a_packed_file_that_ends_in_the_middle_is_named(ending: str, pack: Any, tmp_path: Path) -> None:
    whole = "".join(
        json.dumps(line(id=f"call {n}", request=body(str(hash(n * 7919)) * 50))) + "\n" for n in range(400)
    )
    half = tmp_path / f"half.jsonl.{ending}"
    half.write_bytes(pack(whole.encode())[:-100])
    done = load(
        "jsonl", [half, written(tmp_path / "good.jsonl", [line(id="good")])], ledger=tmp_path / "ledger"
    )
    assert "damaged or ends in the middle" in done.unusable[-1].why
    assert (done.unusable[-1].path, done.unusable[-1].line) == (str(half), done.lines)
    assert done.new == done.calls > 1


def test_a_line_of_many_megabytes(tmp_path: Path) -> None:
    assert imported(tmp_path, [line(request=body("word " * 1_000_000)), line(id="small")]).new == 2


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    log = written(tmp_path / "log.jsonl", [line(id=f"n{n}") for n in range(2500)])
    seen: list[tuple[int, int]] = []
    load("jsonl", [log], ledger=tmp_path / "ledger", progress=lambda done, total: seen.append((done, total)))
    size = log.stat().st_size
    assert len(seen) == 3
    assert seen[-1] == (size, size)
    assert seen == sorted(seen)


def test_what_cannot_be_imported_is_said_before_anything_is_written(tmp_path: Path) -> None:
    log = written(tmp_path / "log.jsonl", [line()])
    with pytest.raises(CannotImport, match=r"'jsnl'; did you mean jsonl"):
        load("jsnl", [log], ledger=tmp_path / "ledger")
    with pytest.raises(CannotImport, match=r"gone\.jsonl: cannot be read: No such file"):
        load("jsonl", [log, tmp_path / "gone.jsonl"], ledger=tmp_path / "ledger")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CannotImport, match=r"empty: no \*\.jsonl"):
        load("jsonl", [tmp_path / "empty"], ledger=tmp_path / "ledger")
    assert not (tmp_path / "ledger").exists()


def test_nothing_usable_leaves_no_ledger_behind(tmp_path: Path) -> None:
    done = imported(tmp_path, ["{}", "nonsense"])
    assert not done.usable
    assert len(whys(done)) == 2
    assert not (tmp_path / "ledger").exists()


def test_a_file_in_the_ledgers_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text("a file")
    with pytest.raises(LedgerError):
        imported(tmp_path, [line()])


def test_a_value_no_ledger_can_hold_costs_only_its_own_call(tmp_path: Path) -> None:
    done = imported(
        tmp_path,
        [
            line(),
            line(id="huge", response=answer(usage={"prompt_tokens": 10**30})),
            line(id="c", timestamp=10**30),
        ],
    )
    assert (done.new, done.calls) == (2, 2)
    assert [line for line, _ in whys(done)] == [3]


def test_the_store_gives_back_what_it_cannot_hold(tmp_path: Path) -> None:
    def made(name: str, tokens: int) -> Record:
        call = Request(name, "chat", "gpt-4o", body(), "", notes=[])
        return Record(call, None, "ok", 1, 1, "gpt-4o", Receipt("gpt-4o", Usage(input=tokens), None))

    store = Store(tmp_path / "ledger")
    good, huge = made("a" * 32, 5), made("b" * 32, 2**80)
    assert store.write([good, huge]) == [huge]
    store.close()
    assert [fact.id for fact in facts(tmp_path)] == ["a" * 32]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_names_what_it_cannot_use(name: str, tmp_path: Path) -> None:
    assert callable(format_named(name).read)
    done = imported(tmp_path, ['{"broken', "[1, 2]"], name)
    assert (done.calls, len(done.unusable)) == (0, 3)
