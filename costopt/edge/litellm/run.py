"""One call of a litellm function, driven through the flow: sync and async."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from costopt import wire
from costopt.drive import Live, Opened, arun, astream, run, stream
from costopt.edge.front import Front
from costopt.edge.litellm.intake import Asked, Setting, asked, outgoing
from costopt.edge.litellm.names import owned
from costopt.edge.litellm.played import afterwards, followed, wrapper
from costopt.edge.litellm.reply import HEADERS, answer_of, chunks_of, hidden, reply_of, told
from costopt.edge.litellm.stream import AsyncChunks, Chunks, SyncChunks, Tap
from costopt.types import Api, Reply, Request
from costopt.world.upstream import failure_of

if TYPE_CHECKING:
    from costopt.engine import Engine


class Edge:
    """One wrapped function: everything about it that outlives a call."""

    def __init__(
        self, engine: Engine, litellm: Any, function: Any, api: Api, signature: inspect.Signature
    ) -> None:
        self.engine = engine
        self.litellm = litellm
        self.function = function
        self.api: Api = api
        self.signature = signature
        self.owned = owned(litellm)

    def asked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Asked | None:
        """The call, or None where it is litellm's to say what is wrong with it, or litellm calling itself, or where a
        wrapped client that litellm is given runs the flow."""
        self.engine.check_open()
        arguments = self._named(args, kwargs)
        if arguments is None or arguments.get("acompletion") or arguments.get("aembedding"):
            return None
        if self._runs_here(arguments.get("client")):
            return None
        route = self.engine.policy.route
        setting = Setting(self.litellm, self.owned, self.engine.shares_tenants, route.alias if route else "")
        return asked(setting, self.api, arguments, self.engine.new_id(self.engine.world.clock.now()))

    def _runs_here(self, client: Any) -> bool:
        http = getattr(client, "_client", None)  # there is no public way to it
        return isinstance(http, Front) and http.edge.engine is self.engine

    def _named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
        """All arguments by name, or None where they do not fit the function. (Binding takes 50 µs: only where
        there is something to bind.)"""
        if not args:
            return kwargs
        try:
            bound = self.signature.bind(*args, **kwargs).arguments
        except TypeError:
            return None
        others = bound.pop("kwargs", {})
        return {**bound, **others}

    def opened(self, request: Request, chunks: Any) -> Opened:
        read = partial(wire.read_events, request.api, 200, HEADERS)
        return Opened(200, HEADERS, chunks, read, self.engine.world.clock.now)

    def held(self, request: Request, events: bytes) -> Reply:
        return wire.read_events(request.api, 200, HEADERS, events)[0]


class _Run:
    """One call under way. `answers` remembers what litellm returned, by the bytes the flow saw of it."""

    def __init__(self, edge: Edge, call: Asked) -> None:
        self.edge = edge
        self.call = call
        self.answers: list[tuple[bytes, Any]] = []
        self.tap: Tap | None = None

    def tapped(self, answer: Any) -> Tap | None:
        """`answer` with its bytes drawn off, if it is a stream."""
        return Tap(answer) if isinstance(answer, self.edge.litellm.CustomStreamWrapper) else None

    def lives(self, request: Request, tap: Tap) -> bool:
        """Whether chunks may be passed on as they arrive; if so `tap` is the one the caller reads."""
        if not request.stream or request.hold:
            return False
        self.tap = tap
        return True

    def plain(self, answer: Any) -> Reply:
        reply = reply_of(self.edge.api, answer)
        self.answers.append((reply.body, answer))
        return reply

    def answer(self, reply: Reply) -> Any:
        """litellm's own object where the flow let its answer through, else a new one."""
        request = self.call.request
        given = next((answer for body, answer in self.answers if body is reply.body and not reply.tier), None)
        if given is None:
            return answer_of(self.edge.litellm, request, reply)
        known = getattr(given, "_hidden_params", None)
        if isinstance(known, dict):
            known["costopt"] = told(request, reply)
        return given

    def live(self, kind: type[Chunks], live: Live, objects: Callable[[Tap], Any]) -> Any:
        tap = self.tap
        assert tap is not None
        tap.live = live
        self.edge.engine.watch(live)
        known = dict(getattr(tap.source, "_hidden_params", {}))

        def shown() -> dict[str, Any]:
            known["costopt"] = told(self.call.request, tap.reply)
            return known

        return kind(objects(tap), self.edge.litellm.CustomStreamWrapper, shown, tap, tap.source)

    def replayed(self, kind: type[Chunks], called: str, reply: Reply, read: Callable[[Any], Any]) -> Any:
        """A stored answer as the stream that function `called` would have given; `read` makes it sync or async."""
        request, litellm = self.call.request, self.edge.litellm
        chunks = chunks_of(litellm, request, reply)
        like = wrapper(litellm, request, self.call.arguments, called, chunks)
        known = {**like._hidden_params, **hidden(request, reply)}
        played = read(followed(like, chunks))
        return kind(played, litellm.CustomStreamWrapper, lambda: known, None, like)


class SyncRun(_Run):
    def go(self) -> Any:
        engine, request = self.edge.engine, self.call.request
        result = run(engine.flow(request), engine.world.performing(self._called))
        if isinstance(result, Live):
            return self.live(SyncChunks, result, lambda tap: tap.objects(stream(result)))
        if request.stream:
            return self.replayed(SyncChunks, "completion", result, iter)
        return self.answer(result)

    def _called(self, request: Request) -> Reply | Opened:
        try:
            return self._ask(request)
        except Exception as error:
            raise failure_of(error) from error

    def _ask(self, request: Request) -> Reply | Opened:
        answer = self.edge.function(**outgoing(self.call, request))
        tap = self.tapped(answer)
        if tap is None:
            return self.plain(answer)
        if self.lives(request, tap):
            return self.edge.opened(request, tap.encoded())
        return self.edge.held(request, b"".join(tap.encoded()))


class AsyncRun(_Run):
    async def go(self) -> Any:
        engine, request = self.edge.engine, self.call.request
        executor = engine.world.executor
        result = await arun(engine.flow(request), engine.world.performing(self._called), executor)
        if isinstance(result, Live):
            return self.live(AsyncChunks, result, lambda tap: tap.aobjects(astream(result, executor)))
        if request.stream:
            return self.replayed(AsyncChunks, "acompletion", result, afterwards)
        return self.answer(result)

    async def _called(self, request: Request) -> Reply | Opened:
        try:
            return await self._ask(request)
        except Exception as error:
            raise failure_of(error) from error

    async def _ask(self, request: Request) -> Reply | Opened:
        answer = await self.edge.function(**outgoing(self.call, request))
        tap = self.tapped(answer)
        if tap is None:
            return self.plain(answer)
        if self.lives(request, tap):
            return self.edge.opened(request, tap.aencoded())
        return self.edge.held(request, b"".join([chunk async for chunk in tap.aencoded()]))
