"""The ledger: what goes in comes out, once, unchanged, whoever else writes."""

from __future__ import annotations

import math
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_material import DAY, START, agent_loop, filled, record
from msgspec.structs import replace

from costopt.errors import LedgerError
from costopt.types import Control, Decision, Receipt, Reply, Saving, Usage
from costopt.world.ledger import Ledger, Reader
from costopt.world.ledger.parts import join, pack, split, unpack

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
KEYS = st.sampled_from(["model", "messages", "input", "tools", "system", "stop", "metadata"]) | st.text()
BODY = st.dictionaries(KEYS, JSON, max_size=6)


@given(BODY, st.booleans())
def test_a_body_split_and_joined_is_itself(body: dict[str, Any], private: bool) -> None:
    shape, groups = split(body, private=private)
    again = join(shape, groups)
    assert again == body
    assert list(again) == list(body)


@given(st.lists(st.lists(st.integers(0, 2**60), max_size=8), max_size=5))
def test_packed_part_numbers_come_back(groups: list[list[int]]) -> None:
    assert unpack(pack(groups)) == groups


@settings(max_examples=25, deadline=None)
@given(bodies=st.lists(BODY, min_size=1, max_size=5))
def test_every_body_comes_back_from_the_file(
    tmp_path_factory: pytest.TempPathFactory, bodies: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    filled(folder, *(record(i, body=body) for i, body in enumerate(bodies))).close()
    with Reader(folder) as reader:
        assert [reader.body(fact) for fact in reader.facts()] == bodies


def test_a_fact_comes_back_whole(tmp_path: Path) -> None:
    savings = (Saving("cache", 5, "known", "list price"), Saving("trim", -2, "assumed", "untrimmed"))
    usage = Usage(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, "flex", True)
    attempt = Receipt("small", usage, 12)
    receipt = Receipt("gpt-4o", usage, 99, "rev9", savings, (attempt,))
    notes = [Decision("cache", "miss"), Decision("route", "kept")]
    one = record(1, receipt=receipt, notes=notes, tags={"b": "2", "a": "1"}, error="E", outcome="left")
    filled(tmp_path, one).close()
    with Reader(tmp_path) as reader:
        fact = reader.fact("call-000001")
        assert (fact.usage, fact.cost, fact.revision, fact.savings) == (usage, 99, "rev9", savings)
        assert (fact.decisions, fact.attempts) == (tuple(notes), (attempt,))
        assert (fact.tags, fact.error, fact.outcome, fact.served) == (
            {"a": "1", "b": "2"},
            "E",
            "left",
            "gpt-4o",
        )
        assert (fact.started, fact.first, fact.ended) == (START + 1, START + 6, START + 11)
        assert fact.raw_usage == {"prompt_tokens": 120, "completion_tokens": 7}
        assert len(fact.cache_key) == 64
        assert reader.body(fact) == one.request.body
        assert fact.reply_body and one.reply and reader.part(fact.reply_body) == one.reply.body


@pytest.mark.parametrize("cache", ["on", "off", "refresh"])
def test_what_was_asked_of_the_cache_and_trimmed_comes_back(tmp_path: Path, cache: Any) -> None:
    one = record(1)
    assert one.receipt
    sent = replace(one.request, control=Control(cache=cache))
    filled(tmp_path, replace(one, request=sent, receipt=replace(one.receipt, trimmed=321)), record(2)).close()
    with Reader(tmp_path) as reader:
        assert [(fact.control, fact.trimmed) for fact in reader.facts()] == [(cache, 321), ("on", 0)]
        rows = reader.query("SELECT control, trimmed FROM calls ORDER BY started")
        assert [tuple(row) for row in rows] == [(cache, 321), ("on", 0)]


def test_images_of_an_answer_come_back(tmp_path: Path) -> None:
    usage = Usage(output=1300, image_output=1290)
    raw = {"completion_tokens": 1300, "completion_tokens_details": {"image_tokens": 1290}}
    one = record(1, receipt=Receipt("painter", usage, 99, "rev9"))
    assert one.reply is not None
    filled(tmp_path, replace(one, reply=replace(one.reply, usage=usage, raw_usage=raw))).close()
    with Reader(tmp_path) as reader:
        assert reader.fact("call-000001").usage == usage


def test_an_answer_comes_back_for_replay(tmp_path: Path) -> None:
    one, none = record(1), record(2, reply=None)
    filled(tmp_path, one, none).close()
    with Reader(tmp_path) as reader:
        answer = reader.answer(reader.fact("call-000001"))
        assert one.reply and answer
        kept = (("content-type", "application/json"), ("x-request-id", "req_1"))
        assert answer == replace(one.reply, headers=kept)
        assert reader.answer(reader.fact("call-000002")) is None


def test_stream_events_come_back_byte_for_byte(tmp_path: Path) -> None:
    events = b'data: {"a": 1}\r\n\r\ndata: \xff\n\n' * 50
    filled(tmp_path, record(1, reply=Reply(events=events))).close()
    with Reader(tmp_path) as reader:
        fact = reader.fact("call")
        assert fact.reply_body is None
        assert fact.reply_events and reader.part(fact.reply_events) == events


def test_a_call_without_an_answer_has_unknown_not_zero(tmp_path: Path) -> None:
    filled(tmp_path, record(1, reply=None, receipt=None, outcome="error", error="TimeoutError")).close()
    with Reader(tmp_path) as reader:
        fact = reader.fact("call")
        assert (fact.usage, fact.cost, fact.status, fact.unpriced) == (None, None, None, False)


def test_an_unpriced_call_is_null_and_counted(tmp_path: Path) -> None:
    filled(tmp_path, record(1, cost=None), record(2, cost=0)).close()
    with Reader(tmp_path) as reader:
        assert [tuple(r) for r in reader.query("SELECT cost, unpriced FROM calls ORDER BY id")] == [
            (None, 1),
            (0, 0),
        ]
        assert tuple(reader.query("SELECT calls, unpriced, cost FROM daily")[0]) == (2, 1, 0)


def test_a_growing_conversation_is_stored_once(tmp_path: Path) -> None:
    filled(tmp_path, *agent_loop(50)).close()
    with Reader(tmp_path) as reader:
        (parts,) = reader.query("SELECT count(*) FROM parts")[0]
        sent = sum(len(fact.parts[0]) for fact in reader.facts())
    assert sent == sum(2 * n + 2 for n in range(50))
    assert parts <= 1 + 50 + 50 + 50 + 50 + 1  # system, user, assistant, answer, shape, tools


def test_the_same_call_twice_counts_once(tmp_path: Path) -> None:
    ledger = filled(tmp_path, record(1), record(1), record(2))
    ledger.write([record(1), record(3)])
    ledger.close()
    with Reader(tmp_path) as reader:
        assert len(list(reader.facts())) == 3
        assert tuple(reader.query("SELECT sum(calls), sum(cost) FROM daily")[0]) == (3, 3000)


def test_rollups_equal_the_sum_of_facts(tmp_path: Path) -> None:
    saving = (Saving("cache", 7, "known", "b"),)
    records = [
        record(
            n,
            model=("a", "b")[n % 2],
            tags={"user": str(n % 3)},
            started=START + n * DAY // 7,
            outcome=("ok", "hit", "error", "left")[n % 4],
            cost=n,
            savings=saving,
        )
        for n in range(60)
    ]
    ledger = Ledger(tmp_path)
    for at in range(0, 60, 7):
        ledger.write(records[at : at + 7])
    ledger.close()
    with Reader(tmp_path) as reader:
        live = reader.query(
            "SELECT started / 86400000000000, served, tags, count(*), sum(cost), sum(outcome = 'hit'),"
            " sum(saved) FROM calls GROUP BY 1, 2, 3"
        )
        rolled = reader.query(
            "SELECT strftime('%s', date) / 86400, model, tags, calls, cost, hits, (SELECT sum(nano) FROM"
            " daily_savings s WHERE s.date = d.date AND s.model = d.model AND s.tags = d.tags) FROM daily d"
        )
    assert sorted(map(tuple, live)) == sorted(map(tuple, rolled))


def test_hits_and_refusals_bill_no_tokens(tmp_path: Path) -> None:
    filled(tmp_path, record(1, outcome="hit", cost=0), record(2, outcome="refused"), record(3)).close()
    with Reader(tmp_path) as reader:
        assert tuple(reader.query("SELECT sum(prompt), sum(cached), sum(output) FROM daily")[0]) == (
            120,
            20,
            7,
        )


def test_only_harmless_reply_headers_are_kept(tmp_path: Path) -> None:
    filled(tmp_path, record(1)).close()
    with Reader(tmp_path) as reader:
        assert reader.fact("call").headers == {"content-type": "application/json", "x-request-id": "req_1"}
    assert b"session=1" not in (tmp_path / "ledger.sqlite3").read_bytes()


def test_no_key_in_a_header_or_a_url_is_kept(tmp_path: Path) -> None:
    one = record(1)
    sent = replace(one.request, variant="helicone-auth:Bearer sk-top", endpoint="https://me:pw-top@host/v1/x")
    ledger = filled(tmp_path, replace(one, request=sent))
    everything = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    ledger.close()
    assert b"-top" not in everything
    with Reader(tmp_path) as reader:
        fact = reader.fact("call")
        assert (fact.endpoint, len(fact.variant)) == ("https://host/v1/x", 16)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE facts SET cost = 0",
        "DELETE FROM facts",
        "UPDATE savings SET nano = 0",
        "DELETE FROM decisions",
        "UPDATE parts SET body = x''",
        "DELETE FROM parts",
        "UPDATE origins SET served = 'x'",
    ],
)
def test_facts_cannot_be_changed(tmp_path: Path, sql: str) -> None:
    filled(tmp_path, record(1, savings=(Saving("cache", 1, "known", "b"),))).close()
    db = sqlite3.connect(tmp_path / "ledger.sqlite3")
    with pytest.raises(sqlite3.IntegrityError, match="immutable"):
        db.execute(sql)
    db.close()


def test_a_call_cannot_be_replaced(tmp_path: Path) -> None:
    filled(tmp_path, record(1)).close()
    db = sqlite3.connect(tmp_path / "ledger.sqlite3")
    before = db.execute("SELECT * FROM facts").fetchall()
    db.execute(f"INSERT OR REPLACE INTO facts SELECT n + 9, {', '.join(columns(db)[1:])} FROM facts")
    assert db.execute("SELECT * FROM facts").fetchall() == before
    db.close()


def columns(db: sqlite3.Connection) -> list[str]:
    return [name for _, name, *_ in db.execute("PRAGMA table_info(facts)")]


SECRET = "xyzzy-secret-phrase"


def test_hashed_content_leaves_no_text_in_any_file(tmp_path: Path) -> None:
    body = {
        "model": "gpt-4o",
        "input": SECRET,
        "instructions": SECRET * 5,
        "messages": [{"role": "user", "content": SECRET}],
        "stop": [SECRET],
        "user": SECRET,
        "metadata": {SECRET: SECRET},
        "max_tokens": 9,
    }
    error = f"BadRequestError: cannot read {SECRET}"
    one = record(1, body=body, answer=SECRET, error=error)
    assert one.reply is not None
    raw = Reply(body=one.reply.body, events=SECRET.encode(), raw_usage={"tokens": 3, "note": SECRET})
    ledger = filled(tmp_path, one, record(2, body=body, reply=raw), content="hashed")
    everything = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    ledger.close()
    everything += b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert SECRET.encode() not in everything
    with Reader(tmp_path) as reader:
        fact = reader.fact("call-000001")
        assert (fact.usage, fact.error) == (Usage(input=100, cache_read=20, output=7), "BadRequestError")
        assert reader.fact("call-000002").raw_usage == {"tokens": 3, "note": None}
        assert len(fact.request_hash) == 32
        with pytest.raises(LedgerError, match="not kept"):
            reader.body(fact)


def test_a_ledger_that_is_told_to_withhold_does_so_from_the_next_record_on(tmp_path: Path) -> None:
    ledger = filled(tmp_path, record(1, answer="before"))
    ledger.content = "hashed"
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": SECRET}]}
    ledger.write([record(2, body=body, answer=SECRET)])
    ledger.close()
    assert SECRET.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    with Reader(tmp_path) as reader:
        assert reader.body(reader.fact("call-000001")) == record(1).request.body


def test_text_withheld_once_is_kept_when_full_content_is_asked_for(tmp_path: Path) -> None:
    filled(tmp_path, record(1), content="hashed").close()
    filled(tmp_path, record(2, body=record(1).request.body)).close()
    with Reader(tmp_path) as reader:
        assert reader.body(reader.fact("call-000002")) == record(1).request.body


def test_one_value_no_row_can_hold_does_not_take_the_others_along(tmp_path: Path) -> None:
    from costopt.world.writer import Partial

    broken = record(2, receipt=Receipt("m", Usage(input=2**70), 1))
    ledger = Ledger(tmp_path)
    with pytest.raises(Partial) as caught:
        ledger.write([record(1), broken, record(3)])
    ledger.close()
    assert caught.value.lost == 1
    with Reader(tmp_path) as reader:
        assert [fact.id for fact in reader.facts()] == ["call-000001", "call-000003"]


@pytest.mark.parametrize("value", ["\ud800 alone", 2**80, -(2**80), math.pi, "\0"])
def test_odd_values_in_a_body_survive(tmp_path: Path, value: Any) -> None:
    body = {"model": "m", "messages": [{"content": value}], "top": value, "list": [value] * 40}
    filled(tmp_path, record(1, body=body)).close()
    with Reader(tmp_path) as reader:
        assert reader.body(reader.fact("call")) == body


def test_folder_and_files_are_the_owners_only(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "ledger"
    ledger = filled(folder, record(1))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    ledger.close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert set(modes) == {"ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm"}
    assert set(modes.values()) == {0o600}


def test_a_ledger_moved_away_is_begun_anew(tmp_path: Path) -> None:
    ledger = filled(tmp_path, record(1))
    for path in tmp_path.iterdir():
        path.unlink()
    ledger.write([record(2)])
    ledger.close()
    with Reader(tmp_path) as reader:
        assert [fact.id for fact in reader.facts()] == ["call-000002"]


def test_ids_are_found_by_a_unique_beginning(tmp_path: Path) -> None:
    filled(
        tmp_path, record(1, call="abc1"), record(2, call="abc2"), record(3, call="abc"), record(4, call="d%_")
    ).close()
    with Reader(tmp_path) as reader:
        assert reader.fact("abc1").id == "abc1"
        assert reader.fact("abc").id == "abc"
        assert reader.fact("d%").id == "d%_"
        for bad, why in (
            ("ab", "3 calls begin so"),
            ("zz", "no such call"),
            ("%", "no such call"),
            ("", "which call"),
        ):
            with pytest.raises(LedgerError, match=why):
                reader.fact(bad)


def test_a_reader_sees_one_moment_while_others_write(tmp_path: Path) -> None:
    ledger = filled(tmp_path, record(1))
    with Reader(tmp_path) as reader:
        facts = reader.facts()
        first = next(facts)
        ledger.write([record(2)])
        assert (first.id, list(facts)) == ("call-000001", [])
        assert reader.query("SELECT sum(calls) FROM daily")[0][0] == 1
    with Reader(tmp_path) as reader:
        assert len(list(reader.facts())) == 2
    ledger.close()


def test_facts_can_be_asked_for_by_time(tmp_path: Path) -> None:
    filled(tmp_path, *(record(n) for n in range(10))).close()
    with Reader(tmp_path) as reader:
        assert [f.id for f in reader.facts(START + 3, START + 5)] == ["call-000003", "call-000004"]
