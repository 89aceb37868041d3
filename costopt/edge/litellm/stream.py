"""litellm's streams: chunks to the caller, their bytes to the flow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec

from costopt.drive import Live
from costopt.edge.litellm.reply import tier_of
from costopt.types import Json, Reply
from costopt.wire import sse

DONE = b"data: [DONE]\n\n"
#: Stands for a chunk that has no JSON form; a stream with an error in it is never kept.
_UNREADABLE = sse.event({"error": {"message": "a chunk that cannot be recorded"}})


class Tap:
    """A stream of litellm's: its bytes go to the flow, and `chunk` is what the caller gets for the last of
    them (None: nothing)."""

    def __init__(self, source: Any) -> None:
        self.source = source
        self.chunk: Any = None
        self.live: Live | None = None
        self._known: Json = {}
        self._tier: Json = {}

    def encoded(self) -> Iterator[bytes]:
        for chunk in self.source:
            yield self._seen(chunk)
        yield self._tail()

    async def aencoded(self) -> AsyncIterator[bytes]:
        async for chunk in self.source:
            yield self._seen(chunk)
        yield self._tail()

    def objects(self, passed: Any) -> Iterator[Any]:
        """The chunks themselves, drawn through `passed`, which draws the bytes."""
        try:
            for _ in passed:
                if self.chunk is not None:
                    yield self.chunk
        finally:
            passed.close()

    async def aobjects(self, passed: Any) -> AsyncIterator[Any]:
        try:
            async for _ in passed:
                if self.chunk is not None:
                    yield self.chunk
        finally:
            await passed.aclose()

    def leave(self) -> None:
        """The caller reads no further."""
        if self.live is not None:
            self.live.leave()

    @property
    def reply(self) -> Reply | None:
        """What the stream came to, once it has ended well."""
        ride = self.live.ride if self.live else None
        return getattr(ride, "result", None) if ride and ride.done else None

    def _seen(self, chunk: Any) -> bytes:
        self.chunk = chunk
        try:
            return self._bytes(chunk)
        except Exception:  # noqa: BLE001 - why: whatever litellm's models raise, the caller gets his chunk
            return _UNREADABLE

    def _bytes(self, chunk: Any) -> bytes:
        content: str = chunk.model_dump_json(warnings=False)
        if not self._tier and (tier := tier_of(getattr(chunk, "_hidden_params", {}))):
            self._tier = {"service_tier": tier}
        if getattr(chunk, "usage", None) is not None:
            return sse.event(_usage_chunk(msgspec.json.decode(content)) | self._tier)
        return b"data: %b\n\n%b" % (content.encode(), self._usage(chunk))

    def _tail(self) -> bytes:
        last, self.chunk = self.chunk, None
        return (self._usage(last) if last is not None else b"") + DONE

    def _usage(self, chunk: Any) -> bytes:
        """The usage that litellm shows only in the hidden params of its last chunk, once, as OpenAI sends it.
        All zeros where the provider sent none."""
        hidden: Any = getattr(chunk, "_hidden_params", {}).get("usage")
        usage: Json = hidden.model_dump(mode="json", exclude_none=True) if hidden else {}
        if not usage.get("total_tokens") or usage == self._known:
            return b""
        self._known = usage
        head = {"id": chunk.id, "created": chunk.created, "model": chunk.model, "object": chunk.object}
        return sse.event({**head, **self._tier, "choices": [], "usage": usage})


def _usage_chunk(chunk: Json) -> Json:
    """litellm's usage chunk in OpenAI's form, without its empty choice."""
    spoken = [
        choice for choice in chunk["choices"] if choice.get("finish_reason") or any(choice["delta"].values())
    ]
    return {**chunk, "choices": spoken}


class Chunks:
    """What both kinds of stream share. It passes for litellm's own `CustomStreamWrapper`: code written for
    litellm asks `isinstance` which of two answers it got.

    `known` gives the hidden params, `tap` is None where chunks are played back, `like` has all attributes
    this has not: the real stream, or one of the same kind around what is played back.
    """

    def __init__(
        self, chunks: Any, kind: type[Any], known: Callable[[], dict[str, Any]], tap: Tap | None, like: Any
    ) -> None:
        self._chunks = chunks
        self._kind = kind
        self._known = known
        self._tap = tap
        self._like = like
        if tap is not None and tap.live is not None:
            tap.live.follow(self)

    @property
    def __class__(self) -> type[Any]:
        return self._kind

    @__class__.setter
    def __class__(self, _: type[Any]) -> None: ...

    @property
    def _hidden_params(self) -> dict[str, Any]:
        return self._known()

    @_hidden_params.setter
    def _hidden_params(self, told: dict[str, Any]) -> None:
        known, told = self._known(), dict(told)
        known.clear()
        known.update(told)

    hidden_params = _hidden_params

    def __getattr__(self, name: str) -> Any:
        if name == "_like":  # only while a copy is being made, before it has any attribute
            raise AttributeError(name)
        return getattr(self._like, name)


class SyncChunks(Chunks):
    def __iter__(self) -> SyncChunks:
        return self

    def __next__(self) -> Any:
        return next(self._chunks)

    def close(self) -> None:
        """Stop here: what came so far is settled and recorded, the connection released."""
        self._chunks.close()
        if self._tap is not None:
            self._tap.leave()
            _release(self._tap.source)


class AsyncChunks(Chunks):
    def __aiter__(self) -> AsyncChunks:
        return self

    async def __anext__(self) -> Any:
        return await anext(self._chunks)

    async def aclose(self) -> None:
        """Stop here: what came so far is settled and recorded, the connection released."""
        await self._chunks.aclose()
        if self._tap is not None:
            self._tap.leave()
            await self._tap.source.aclose()


def _release(source: Any) -> None:
    """litellm's stream has no `close` for synchronous code; the one beneath it has."""
    close = getattr(getattr(source, "completion_stream", None), "close", None)
    if callable(close):
        close()
