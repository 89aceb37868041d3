"""Waves of 10,000 concurrent async calls against a loopback server in its own process: no error, flat memory.

The calls queue up before an HTTP pool of 64 connections, not in it: httpcore looks at every waiting call and every
connection whenever one is freed, and the bare client alone takes minutes for such a wave.
"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import openai

from benchmarks.figure import Report
from benchmarks.material import LIBRARY, MODEL, optimizer
from costopt.world.ledger import Reader

CALLS, WAVES = 10_000, 3
SERVER = r"""
import asyncio, sys
BODY = sys.argv[1].encode()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            size = next(int(l[15:]) for l in head.lower().split(b"\r\n") if l.startswith(b"content-length:"))
            await reader.readexactly(size)
            writer.write(HEAD + BODY)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


class Gate(LIBRARY.AsyncHTTPTransport):  # type: ignore[misc,name-defined]
    """Lets 64 requests at a time into the pool."""

    def __init__(self) -> None:
        super().__init__(limits=LIBRARY.Limits(max_connections=64, max_keepalive_connections=64))
        self._room = asyncio.Semaphore(64)

    async def handle_async_request(self, request: Any) -> Any:
        async with self._room:
            response = await super().handle_async_request(request)
            await response.aread()
        return response


def _resident_mb() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


async def _wave(client: openai.AsyncOpenAI, wave: int) -> int:
    async def one(number: int) -> bool:
        text = f"wave {wave} call {number}: where is my parcel?"
        answer = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": text}]
        )
        return answer.choices[0].finish_reason == "stop"

    done = await asyncio.gather(*(one(number) for number in range(CALLS)), return_exceptions=True)
    return sum(each is not True for each in done)


async def _measure(port: int, report: Report) -> None:
    from costopt.policy import Cache, Policy

    with optimizer(Policy(name="bench", cache=Cache(memory=8 * 1024**2))) as made:
        http = LIBRARY.AsyncClient(transport=Gate(), timeout=600)
        bare = openai.AsyncOpenAI(api_key="sk-test", base_url=f"http://127.0.0.1:{port}/v1", http_client=http)
        started = time.perf_counter()
        await _wave(bare, -1)
        report.add("calls a second, bare client", CALLS / (time.perf_counter() - started), "/s")
        client = made.wrap(bare)
        errors, sizes, took = 0, [], []
        for wave in range(WAVES):
            started = time.perf_counter()
            errors += await _wave(client, wave)
            took.append(time.perf_counter() - started)
            made.flush()
            sizes.append(_resident_mb())
        await client.close()
        with Reader(made.world.folder) as reader:
            recorded = reader.query("SELECT count(*) FROM calls")[0][0]
    report.add("errors", errors, "", 0)
    report.add("calls a second, last wave", CALLS / took[-1], "/s")
    for wave, size in enumerate(sizes):
        report.add(f"resident after wave {wave + 1}", size, "MB")
    report.add("growth after warm-up, per 10,000 calls", (sizes[-1] - sizes[1]) / (WAVES - 2), "MB", 5)
    report.add("calls missing from the ledger", CALLS * WAVES - recorded, "", 0)


def run(data: Path | None = None) -> Report:
    report = Report(
        "concurrency", f"{WAVES} waves of {CALLS:,} concurrent calls before a pool of 64 connections"
    )
    import msgspec

    from benchmarks.material import ANSWER

    body = msgspec.json.encode(ANSWER).decode()
    with subprocess.Popen([sys.executable, "-c", SERVER, body], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        asyncio.run(_measure(int(server.stdout.readline()), report))
        server.kill()
    return report
