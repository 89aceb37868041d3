"""The workload: the same work each time, and what its texts claim of it."""

from __future__ import annotations

from collections import Counter

import pytest
from openai import OpenAI

from costopt.demo import desk, workload
from costopt.demo.simulator import Simulator
from costopt.demo.speaker import WORDS
from costopt.types import Json
from costopt.world import pricemap

Made = tuple[list[tuple[str, Json]], Counter[str]]


@pytest.fixture(scope="module")
def made() -> Made:
    return one_run()


def one_run() -> Made:
    kinds: Counter[str] = Counter()
    with Simulator() as provider, OpenAI(base_url=provider.base_url, api_key="none") as client:
        workload.run(client, lambda call: kinds.update([call.kind]))
        return provider.requests, kinds


def test_two_runs_make_the_same_calls_in_the_same_order(made: Made) -> None:
    first, kinds = made
    assert one_run() == made
    assert len(first) == workload.CALLS == kinds.total()
    assert kinds == {"ticket": 132, "question": 32, "classify": 22, "audit": 10, "embed": 6}


def test_a_quarter_of_it_repeats_and_some_of_it_streams(made: Made) -> None:
    bodies = [body for _, body in made[0]]
    assert workload.share_repeated(bodies) == pytest.approx(0.24, abs=0.005)
    assert sum(bool(body.get("stream")) for body in bodies) == 3


def test_repeats_are_counted_across_streams() -> None:
    assert workload.share_repeated([{"a": 1}, {"a": 1, "stream": True}, {"a": 2}]) == pytest.approx(1 / 3)
    assert workload.share_repeated([]) == 0


@pytest.mark.parametrize("ticket", workload.TICKETS)
def test_tools_lead_from_one_to_the_next(ticket: int) -> None:
    path = desk.path_of(ticket)
    assert [desk.output_of(tool, ticket)["next_step"] for tool in path] == [*path[1:], None]
    assert path[0] == next(iter(desk.TOOLS)) and len(path) < workload.MAX_STEPS


@pytest.mark.parametrize("model", [workload.LARGE, workload.SMALL, workload.EMBEDDING])
def test_its_models_are_real_and_priced(model: str) -> None:
    row = pricemap.load().find(model)
    assert row is not None and row.provider == "openai"


def test_words_are_one_token_each() -> None:
    from costopt.demo.run import tokenizer

    encode = tokenizer()
    assert {word: len(encode(f" {word}")) for word in WORDS} == dict.fromkeys(WORDS, 1)
