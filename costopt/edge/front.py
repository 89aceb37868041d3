"""The HTTP client an SDK gets: it gives model calls to the edge before an HTTP client's own work on them begins.

That work (auth, redirects, cookies, a log line) takes longer than a memory hit and is for what goes out. So a call is
answered here, and what has to go out is sent by the user's own client. Where the user's hooks or auth may change a
request, they come first: then the call takes the long way and meets the edge as the client's transport.
"""

from __future__ import annotations

from functools import cache, partial
from types import ModuleType
from typing import Any


class Front:
    """An HTTP client in front of `edge`, with the settings of the user's own."""

    def __init__(self, edge: Any, **settings: Any) -> None:
        self.edge = edge
        library_client: Any = super()
        library_client.__init__(transport=edge, **settings)

    def _direct(self, request: Any, how: dict[str, Any]) -> Any:
        """What sends `request` by the user's own client; None where something else comes first."""
        ours: Any = self
        inner: Any = self.edge.inner
        default = self.edge.library.USE_CLIENT_DEFAULT
        if ours.is_closed or how.get("auth", default) is not default or request.url.userinfo:
            return None
        if any((ours.auth, inner.auth, *ours.event_hooks.values(), *inner.event_hooks.values())):
            return None
        return partial(inner.send, stream=True, **how)


class SyncFront(Front):
    """Mixed into the library's `Client` by `fronts`."""

    def send(self, request: Any, *, stream: bool = False, **how: Any) -> Any:
        send = self._direct(request, how)
        response = self.edge.answer(request, send) if send else None
        if response is None:
            library_client: Any = super()
            return library_client.send(request, stream=stream, **how)
        if not stream:
            response.read()
        return response


class AsyncFront(Front):
    """Mixed into the library's `AsyncClient` by `fronts`."""

    async def send(self, request: Any, *, stream: bool = False, **how: Any) -> Any:
        send = self._direct(request, how)
        response = await self.edge.answer(request, send) if send else None
        if response is None:
            library_client: Any = super()
            return await library_client.send(request, stream=stream, **how)
        if not stream:
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
