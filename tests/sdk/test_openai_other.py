"""Responses and Embeddings through the real OpenAI SDK against the simulator, plain and wrapped."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import costopt
from costopt.demo.simulator import Simulator
from costopt.policy import Cache, Policy

openai = pytest.importorskip("openai")
LIBRARY: Any = importlib.import_module("httpx2" if int(openai.VERSION.split(".")[0]) >= 3 else "httpx")
ASK: dict[str, Any] = {"model": "gpt-4o-mini", "input": "Where is my parcel?", "instructions": "Be brief."}


@pytest.fixture
def provider() -> Iterator[Simulator]:
    with Simulator() as made:
        yield made


@pytest.fixture
def optimizer(tmp_path: Path) -> Iterator[costopt.Optimizer]:
    with costopt.Optimizer(Policy(cache=Cache()), ledger=tmp_path) as made:
        yield made


def sdk(provider: Simulator) -> Any:
    return openai.OpenAI(api_key="sk-test", base_url=provider.base_url)


def test_responses_plain_and_streamed_share_one_answer(
    provider: Simulator, optimizer: costopt.Optimizer
) -> None:
    with sdk(provider) as bare, optimizer.wrap(sdk(provider)) as client:
        expected = bare.responses.create(**ASK)
        assert client.responses.create(**ASK).model_dump() == expected.model_dump()
        assert client.responses.create(**ASK).output_text == expected.output_text
        calls = provider.calls
        with client.responses.stream(**ASK) as events:
            kinds = [event.type for event in events]
            assert events.get_final_response().output_text == expected.output_text
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert provider.calls == calls


def test_responses_streams_are_replayed_event_by_event(
    provider: Simulator, optimizer: costopt.Optimizer
) -> None:
    with sdk(provider) as bare, optimizer.wrap(sdk(provider)) as client:
        runs = [
            [event.model_dump() for event in each.responses.create(**ASK, stream=True)]
            for each in (bare, client, client)
        ]
        assert runs[0] == runs[1] == runs[2]
        assert provider.calls == 2
        assert client.responses.create(**ASK).output_text
    assert provider.calls == 2


def test_responses_parse(provider: Simulator, optimizer: costopt.Optimizer) -> None:
    with optimizer.wrap(sdk(provider)) as client:
        raw = client.responses.with_raw_response.create(**ASK)
        assert raw.headers["x-costopt-cache"] == "miss"
        assert float(raw.headers["x-costopt-cost"]) > 0


def test_embeddings_in_every_encoding(provider: Simulator, optimizer: costopt.Optimizer) -> None:
    asked: dict[str, Any] = {"model": "text-embedding-3-small", "input": ["a", "b", "a"]}
    with sdk(provider) as bare, optimizer.wrap(sdk(provider)) as client:
        for options in ({}, {"encoding_format": "float"}, {"dimensions": 8}):
            expected = bare.embeddings.create(**asked, **options)
            for _ in range(2):
                assert client.embeddings.create(**asked, **options) == expected
    assert provider.calls == 6


def test_tools_images_and_unknown_fields_arrive_as_sent(
    provider: Simulator, optimizer: costopt.Optimizer
) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    tool = {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
    }
    asked: dict[str, Any] = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]}],
        "tools": [tool],
        "extra_body": {"from_the_future": {"kept": True}},
    }
    with sdk(provider) as bare, optimizer.wrap(sdk(provider)) as client:
        assert client.chat.completions.create(**asked) == bare.chat.completions.create(**asked)
    assert provider.requests[0] == provider.requests[1]
