"""The HTTP client an SDK gets: it gives model calls to the edge before an HTTP client's own work on them begins.

That work (auth, redirects, cookies, a log line) takes longer than a memory hit and is for what goes out. So a call is
answered here, and what has to go out is sent by the user's own client. Where auth or a hook may change a request, or
someone stands before our transport, they come first: then the call takes the long way and meets the edge as the
client's transport.
"""

from __future__ import annotations

from functools import cache, partial
from types import ModuleType
from typing import Any

from costopt.edge.answering import unread
from costopt.edge.exchange import passed_on


class Front:
    """An HTTP client in front of `edge`, with the settings of the user's own. What his class does in its own way, it
    goes on doing: a `send()` of his sends all that goes out, a `build_request()` of his makes the requests."""

    def __init__(self, edge: Any, **settings: Any) -> None:
        self.edge = edge
        self._taken: tuple[Any, dict[str, Any]] = (None, {})
        library_client: Any = super()
        library_client.__init__(transport=edge, **settings)
        self._take_over()
        if edge.builds_itself:
            self.build_request = edge.inner.build_request

    def _direct(self, request: Any, how: dict[str, Any]) -> Any:
        """What sends `request` by the user's own client; None where something else comes first."""
        if self._comes_later(request, how):
            self._take_over()
            return None
        return partial(self.edge.inner.send, **how)

    def _comes_later(self, request: Any, how: dict[str, Any]) -> bool:
        """Whether the edge's turn comes later: after auth, a hook, or who stands before our transport."""
        ours: Any = self
        edge = self.edge
        inner, default = edge.inner, edge.library.USE_CLIENT_DEFAULT
        if ours.is_closed or ours._mounts or ours._transport is not edge or edge.entrance in vars(edge):
            return True
        if ours.auth or any(ours.event_hooks.values()):
            return True
        if edge.sends_itself:  # with its own auth and hooks: what is not kept need not be known
            return False
        if how.get("auth", default) is not default or request.url.userinfo:
            return True
        return bool(inner.auth or any(inner.event_hooks.values()))

    def _take_over(self) -> None:
        """Auth and hooks of the user's own client run here, also those set on it since."""
        ours: Any = self
        inner = self.edge.inner
        if self.edge.sends_itself:
            return
        auth, hooks = inner.auth, {when: list(each) for when, each in inner.event_hooks.items()}
        if auth is not self._taken[0]:
            ours.auth = auth
        if hooks != self._taken[1]:
            ours.event_hooks = hooks
        self._taken = (auth, hooks)

    def _passing(self, request: Any, send: Any, how: dict[str, Any]) -> Any:
        """What sends that which is no model call; `send` is the direct way, if there is one."""
        if send and self.edge.sends_itself:
            return partial(send, passed_on(self.edge.library, request))
        library_client: Any = super()
        return partial(library_client.send, request, **how)


class SyncFront(Front):
    """Mixed into the library's `Client` by `fronts`."""

    _default_encoding: Any

    def send(self, request: Any, *, stream: bool = False, **how: Any) -> Any:
        send = self._direct(request, how)
        response = self.edge.answer(request, partial(send, stream=True)) if send else None
        if response is None:
            return self._passing(request, send, how)(stream=stream)
        response.default_encoding = self._default_encoding
        if stream:
            return unread(self.edge.library, response, request)
        response.read()
        return response


class AsyncFront(Front):
    """Mixed into the library's `AsyncClient` by `fronts`."""

    _default_encoding: Any

    async def send(self, request: Any, *, stream: bool = False, **how: Any) -> Any:
        send = self._direct(request, how)
        response = await self.edge.answer(request, partial(send, stream=True)) if send else None
        if response is None:
            return await self._passing(request, send, how)(stream=stream)
        response.default_encoding = self._default_encoding
        if stream:
            return unread(self.edge.library, response, request)
        await response.aread()
        return response


@cache
def fronts(library: ModuleType) -> tuple[type[SyncFront], type[AsyncFront]]:
    """The two client classes for an HTTP library (`httpx` or `httpx2`)."""
    lib: Any = library
    return (
        type("Client", (SyncFront, lib.Client), {}),
        type("AsyncClient", (AsyncFront, lib.AsyncClient), {}),
    )
