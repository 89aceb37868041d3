"""What an imported call is known by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from import_material import START_NS, answer, body, imported, line


def test_ids_are_what_calls_are_known_by(tmp_path: Path) -> None:
    twice = [line(id="one"), line(id="one"), line(id="two")]
    done = imported(tmp_path, twice)
    assert (done.calls, done.new, done.known) == (3, 2, 1)


def test_an_id_names_a_call_only_together_with_what_it_is(tmp_path: Path) -> None:
    days = [
        [line(id=f"req-{n}", request=body(f"day {day}, {n}"), timestamp=f"2026-11-0{day}") for n in range(10)]
        for day in (1, 2)
    ]
    done = imported(tmp_path, [*days[0], *days[1]])
    assert (done.calls, done.new, done.known, done.shared) == (20, 20, 0, 10)
    assert imported(tmp_path, [*days[1], *days[0]]).known == 20


@pytest.mark.parametrize(
    "other",
    [
        {"request": body("another question")},
        {"response": answer("another answer")},
        {"response": None},
        {"timestamp": "2026-11-01T09:30:01Z"},
    ],
)
def test_another_request_answer_or_time_is_another_call(other: Any, tmp_path: Path) -> None:
    done = imported(tmp_path, [line(id="one"), line(id="one", **other)])
    assert (done.new, done.known, done.shared) == (2, 0, 1)


def test_a_call_is_itself_however_its_line_is_written(tmp_path: Path) -> None:
    assert imported(tmp_path, [line(id="one")]).new == 1
    backwards = {name: dict(reversed(line()[name].items())) for name in ("request", "response")}
    times = [START_NS, START_NS // 10**9, START_NS / 10**9 + 0.25, "2026-11-01T10:30:00.000+01:00"]
    again = [line(id="one", timestamp=time) for time in times]
    done = imported(tmp_path, [*again, line(id="one", **backwards), line(id="one", tags={"a": "b"})])
    assert (done.new, done.known, done.shared) == (0, 6, 0)


def test_an_answers_id_alone_is_not_enough(tmp_path: Path) -> None:
    same = answer(id="chatcmpl-local")
    lines = [line(request=body(f"question {n}"), response=same) for n in range(3)]
    assert imported(tmp_path, [*lines, lines[0]]).new == 3


def test_numbers_of_rows_are_no_ids(tmp_path: Path) -> None:
    done = imported(
        tmp_path,
        [
            line(id=1),
            line(id=1, request=body("another file's first row")),
            line(id="1", timestamp="2026-11-02"),
        ],
    )
    assert done.new == 3


def test_lines_of_one_file_that_say_the_same_are_different_calls(tmp_path: Path) -> None:
    assert imported(tmp_path, [line(), line(), line()]).new == 3
    assert imported(tmp_path, [line(), line()]).new == 0
    assert imported(tmp_path, [line(), line(), line(), line()]).new == 1
