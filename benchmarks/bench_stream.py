"""Time to the first chunk and between later chunks of a streamed call, over the same client without costopt."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import openai

from benchmarks.figure import Report
from benchmarks.material import LIBRARY, MODEL, optimizer, prompt

CHUNKS = 400
ROUNDS = 60


class Body(LIBRARY.SyncByteStream):  # type: ignore[misc,name-defined]
    def __iter__(self) -> Iterator[bytes]:
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
        delta = {"index": 0, "delta": {"content": "word "}, "finish_reason": None}
        chunk = b"data: " + msgspec.json.encode({**head, "choices": [delta]}) + b"\n\n"
        for _ in range(CHUNKS):
            yield chunk
        last = {"index": 0, "delta": {}, "finish_reason": "stop"}
        yield b"data: " + msgspec.json.encode({**head, "choices": [last]}) + b"\n\n"
        usage = {"prompt_tokens": 2000, "completion_tokens": CHUNKS, "total_tokens": 2000 + CHUNKS}
        yield (
            b"data: " + msgspec.json.encode({**head, "choices": [], "usage": usage}) + b"\n\ndata: [DONE]\n\n"
        )


def _client() -> openai.OpenAI:
    def answer(_: Any) -> Any:
        return LIBRARY.Response(200, headers={"content-type": "text/event-stream"}, stream=Body())

    return openai.OpenAI(
        api_key="sk-test", http_client=LIBRARY.Client(transport=LIBRARY.MockTransport(answer))
    )


def _one(client: openai.OpenAI) -> tuple[float, float, float]:
    """Microseconds to the first chunk, for each later chunk, and from the last chunk to the end."""
    started = time.perf_counter()
    options: Any = {"include_usage": True}
    events = client.chat.completions.create(
        model=MODEL,
        messages=prompt(unique=True),
        stream=True,
        stream_options=options,  # type: ignore[arg-type]
    )
    arrived: list[float] = []
    for _ in events:
        arrived.append(time.perf_counter())  # noqa: PERF401 - why: the time of each is the point
    done = time.perf_counter()
    return (
        (arrived[0] - started) * 1e6,
        (arrived[-1] - arrived[0]) / (len(arrived) - 1) * 1e6,
        (done - arrived[-1]) * 1e6,
    )


def run(data: Path | None = None) -> Report:
    report = Report("stream", f"{ROUNDS} streams of {CHUNKS} chunks; microseconds more than the bare client")
    with optimizer() as made:
        wrapped, bare = made.wrap(_client()), _client()
        pairs = [(_one(bare), _one(wrapped)) for _ in range(ROUNDS)][5:]
    floors, ours = zip(*pairs, strict=True)
    first, each, last = (
        (statistics.median(f[at] for f in floors), statistics.median(o[at] for o in ours)) for at in range(3)
    )
    report.add("first chunk, bare (floor)", first[0], "us")
    report.add("first chunk, more", first[1] - first[0], "us", 300, stretch=150)
    report.add("each chunk, bare (floor)", each[0], "us")
    report.add("each chunk, more", each[1] - each[0], "us", 30, stretch=10)
    report.add("after the last chunk, more", last[1] - last[0], "us")
    return report
