"""What a file holds: one value a line, one document over many lines, and either of them damaged."""

from __future__ import annotations

import codecs
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from import_material import START, body, imported, line, whys

from costopt.importing import Line, Unusable, load
from costopt.importing.reading import documents
from costopt.importing.times import moment

CUT = "broken JSON: the line ends in the middle, as if it was cut off"
GOOD = [line(id=f"call-{n}", request=body(f"question {n}")) for n in range(10)]


def read(text: str) -> list[Any]:
    lines = [Line("log", number, data) for number, data in enumerate(text.encode().split(b"\n"), 1)]
    return [item if isinstance(item, Unusable) else item.value for item in documents(lines)]


@pytest.mark.parametrize("end", ['"x"},', '"x":', '{"a": {', '"messages": [', '"x"', "tru"])
@pytest.mark.parametrize("blank", ["", "\n"])
def test_a_first_line_that_is_cut_off_loses_no_other(end: str, blank: str, tmp_path: Path) -> None:
    done = imported(tmp_path, [f'{{"request": {{"model": "gpt-4o", {end}{blank}', *GOOD])
    assert (done.new, whys(done)) == (10, [(1, CUT)])


@pytest.mark.parametrize("end", [",", ":", "{", "["])
def test_one_good_line_is_enough(end: str, tmp_path: Path) -> None:
    done = imported(tmp_path, [f'{{"request": {end}', GOOD[0]])
    assert (done.new, whys(done)) == (1, [(1, CUT)])


@pytest.mark.parametrize("name", ["litellm", "langfuse", "otlp", "transcripts"])
def test_in_no_format_does_a_cut_first_line_stand_for_all(name: str, tmp_path: Path) -> None:
    done = imported(tmp_path, ['{"request": {"a": 1,', '{"b": 2}', '{"c": 3}'], name)
    assert {lost for lost, _ in whys(done)} == {1, 2, 3}


def test_a_broken_document_is_one_loss_not_one_a_line(tmp_path: Path) -> None:
    text = json.dumps(GOOD, indent=2)[:-40]
    assert whys(imported(tmp_path, [text])) == [(1, CUT)]


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(st.text(max_size=3), JSON, max_size=3), min_size=1, max_size=4))
def test_a_document_is_read_however_it_is_laid_out(values: list[Any]) -> None:
    compact = [json.dumps(value) for value in values]
    assert read("[\n" + ",\n".join(compact) + "\n]") == values
    assert read("[\n" + "\n,\n".join(compact) + "\n]\n") == values
    assert read(json.dumps(values, indent=2)) == values
    assert read("\n".join(compact)) == values
    assert read(json.dumps({"data": values}, indent=1)) == [{"data": values}]


@pytest.mark.parametrize("bom", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_utf_16_is_known_by_its_first_bytes(bom: bytes, packed: Any, tmp_path: Path) -> None:
    coding = "utf-16-le" if bom == codecs.BOM_UTF16_LE else "utf-16-be"
    text = "\r\n".join(
        json.dumps(each, ensure_ascii=False) for each in [*GOOD, line(request=body("é😀" * 9000))]
    )
    log = tmp_path / "log.jsonl"
    log.write_bytes(packed(bom + text.encode(coding)))
    done = load("jsonl", [log], ledger=tmp_path / "ledger")
    assert (done.lines, done.new, done.unusable) == (11, 11, [])


@pytest.mark.parametrize("zone", [" UTC", " +00:00", " +0000", " GMT", " Z", "Z", ""])
def test_zones_as_databases_write_them(zone: str) -> None:
    assert moment(f"2026-11-01 09:30:00{zone}") == moment(START)
    assert moment(f"2026-11-01 09:30:00.250000{zone}") == (moment(START) or 0) + 250_000_000
    assert moment("2026-11-01 11:30:00 +0200") == moment(START)
    assert moment("Sun, 01 Nov 2026 09:30:00 GMT") == moment(START)
    assert moment("Sun, 41 Nov 2026 09:30:00 GMT") is None
