"""Just enough HTTP/1.1 for a server on loopback: keep-alive, chunked bodies, one task per connection.

The event loop lives on one thread of its own; `close` ends it and every connection it serves.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Protocol, TypeAlias

from msgspec import Struct

MAX_HEAD = 1 << 20


class Incoming(Struct, frozen=True):
    """One request as it came; header names are lower case, `path` has no query."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Outgoing(Struct, frozen=True):
    """One answer. With `chunks` the body is streamed; ending them with `DropError` cuts the connection."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    chunks: AsyncGenerator[bytes, None] | None = None


class DropError(Exception):
    """Close the connection here and now, without a proper end."""


class Serve(Protocol):
    async def __call__(self, request: Incoming, /) -> Outgoing: ...


Connect: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Loopback:
    """A server on 127.0.0.1 with a port of the system's choice, on a thread of its own."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._port: int = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="costopt-simulator", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def close(self) -> None:
        """Cut all connections and end the thread; closing twice is fine."""
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def __enter__(self) -> Loopback:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._until_stopped())
        finally:
            self._loop.close()

    async def _until_stopped(self) -> None:
        server = await asyncio.start_server(self._accept, sock=self._socket, limit=MAX_HEAD, backlog=4096)
        await self._stopping.wait()
        server.close()
        await self._cut()

    async def _cut(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # why: transports close their sockets in the next turn of the loop

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._converse(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()
        except DropError:
            pass  # why: an orderly close still delivers what was written before
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await read_request(reader)) is not None:
            await write_answer(writer, await self._serve(request))
            if request.headers.get("connection", "").lower() == "close":
                return


async def read_request(reader: asyncio.StreamReader) -> Incoming | None:
    """The next request, or None where the client is done. Raises IncompleteReadError when cut off."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as end:
        if end.partial:
            raise
        return None
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    return Incoming(method, target.partition("?")[0], headers, await _read_body(reader, headers))


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    parts: list[bytes] = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readline()
    return b"".join(parts)


async def write_answer(writer: asyncio.StreamWriter, answer: Outgoing) -> None:
    """Write one answer. Raises DropError where the answer's chunks ask for it."""
    length = ("transfer-encoding", "chunked") if answer.chunks else ("content-length", str(len(answer.body)))
    lines = "".join(f"{name}: {value}\r\n" for name, value in (*answer.headers, length))
    head = f"HTTP/1.1 {answer.status} {_phrase(answer.status)}\r\n{lines}\r\n".encode("latin-1")
    writer.write(head + answer.body)
    await writer.drain()
    if answer.chunks is None:
        return
    async with contextlib.aclosing(answer.chunks) as chunks:
        async for chunk in chunks:
            writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
