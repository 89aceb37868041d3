"""The Optimizer: one engine, any number of clients."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from costopt.edge import many
from costopt.edge import wrap as edge
from costopt.engine import Engine, PolicyLike

if TYPE_CHECKING:
    from costopt.world.clock import Clock

C = TypeVar("C")
T = TypeVar("T")


class Optimizer(Engine):
    """Wraps clients so that their calls run through one pipeline under `policy`.

    `policy`: a preset's name, a YAML path, a mapping of the same shape or a `Policy`; default `balanced`.
    `ledger`: the folder for ledger, disk cache and budgets; default the policy's (`~/.costopt`).
    `reload`: take up a policy file that has changed, all but the ledger's place, once it has lain still for a second.
    `clock`: another clock than the machine's, for tests.
    Usable from any thread and event loop. Close it, or use it in a `with` or `async with` block.
    Raises PolicyError, and LedgerError where the policy is strict and the ledger cannot be used.
    """

    def __init__(
        self,
        policy: PolicyLike = None,
        *,
        ledger: str | Path | None = None,
        reload: bool = False,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(policy, ledger, reload, clock)
        self._clients: list[Any] = []
        self._async_clients: list[Any] = []

    def wrap(self, client: C) -> C:
        """A copy of an SDK client, an httpx client or a callable of litellm, whose calls run through this Optimizer.

        The original is untouched; both share connections and cookies, as the SDK's own copies do.
        Raises UnsupportedClient, Closed.
        """
        self.check_open()
        return edge.wrap(self, client)

    def http_client(self, library: str | None = None) -> Any:
        """An HTTP client for frameworks that take one instead of an SDK client; closed with this Optimizer.

        `library`: `httpx` or `httpx2`; default the one the installed openai SDK uses.
        """
        self._clients.append(client := edge.http_client(self, library, is_async=False))
        return client

    def async_http_client(self, library: str | None = None) -> Any:
        """`http_client` for asyncio; closed by `aclose`."""
        self._async_clients.append(client := edge.http_client(self, library, is_async=True))
        return client

    def map(
        self, call: Callable[..., T], requests: Iterable[Any], *, concurrency: int = many.CONCURRENCY
    ) -> list[T | Exception]:
        """`call(**request)` for each request, `concurrency` at a time; results in input order, errors in place.

        `call` is a method of a wrapped client, such as `client.chat.completions.create`.
        """
        return many.map_calls(call, requests, concurrency)

    async def amap(
        self,
        call: Callable[..., Awaitable[T]],
        requests: Iterable[Any] | AsyncIterable[Any],
        *,
        concurrency: int = many.CONCURRENCY,
    ) -> list[T | Exception]:
        """`map` for asyncio."""
        return await many.amap_calls(call, requests, concurrency)

    def close(self) -> None:
        """Write what waits and release everything; calls through wrapped clients raise Closed from here on.

        Connections of an `async_http_client` can only be closed by `aclose`. Closing twice is fine.
        """
        for client in self._clients:
            client.close()
        super().close()

    async def aclose(self) -> None:
        """`close` for asyncio."""
        for client in self._async_clients:
            await client.aclose()
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def wrap(client: C, policy: PolicyLike = None, *, ledger: str | Path | None = None) -> C:
    """`client` with its calls optimized under `policy`; closing the returned client closes what this opened.

    For several clients make one `Optimizer` and use its `wrap`. Raises PolicyError, UnsupportedClient.
    """
    optimizer = Optimizer(policy, ledger=ledger)
    try:
        return edge.wrap(optimizer, client, optimizer.close)
    except BaseException:
        optimizer.close()
        raise
