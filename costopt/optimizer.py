"""The Optimizer: one policy, one world, any number of clients."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from costopt.errors import Closed
from costopt.flow import Handler, compose
from costopt.plan import Plan
from costopt.policy import Policy
from costopt.policyfile import load
from costopt.world.clock import Clock
from costopt.world.live import World
from costopt.world.pricemap import load as load_prices
from costopt.world.tokenizers import counter

if TYPE_CHECKING:
    from costopt.effects import Flow
    from costopt.types import Reply, Request

C = TypeVar("C")
PolicyLike = str | Path | Policy | Mapping[str, Any] | None


class Optimizer:
    """Wraps clients so that their calls run through one pipeline under `policy`.

    `policy`: a preset's name, a YAML path, a mapping of the same shape or a `Policy`; default `balanced`.
    `ledger`: the folder for ledger, disk cache and budgets; default the policy's (`~/.costopt`).
    `reload`: re-read a policy file when it changes (cache sizes and the ledger's place stay as they were).
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
        self.policy = load(policy)
        self.world = World(self.policy, _folder(self.policy, ledger), clock)
        if self.policy.strict:
            self.world.open()
        self._counter = counter()
        self._handler = self._compose(self.policy)
        self._watcher = _watch(policy, self.policy) if reload else None
        self._closed = False
        self._owned: list[Any] = []
        self._owned_async: list[Any] = []

    def wrap(self, client: C) -> C:
        """A copy of an SDK client, or a callable of litellm, whose calls run through this Optimizer.

        The original is untouched; both share one connection pool, as the SDK's own copies do.
        Raises UnsupportedClient.
        """
        from costopt.edge.wrap import wrap

        self.check_open()
        return wrap(self, client)

    def http_client(self, library: str | None = None) -> Any:
        """An `httpx.Client` (or `httpx2.Client`) for frameworks that take an HTTP client instead of an SDK client."""
        from costopt.edge.wrap import http_client

        client = http_client(self, library, is_async=False)
        self._owned.append(client)
        return client

    def async_http_client(self, library: str | None = None) -> Any:
        """`http_client` for asyncio."""
        from costopt.edge.wrap import http_client

        client = http_client(self, library, is_async=True)
        self._owned_async.append(client)
        return client

    def flow(self, request: Request) -> Flow[Reply]:
        """The pipeline for one request, ready to be driven."""
        if self._watcher is not None:
            self._reload()
        return self._handler(request)

    def flush(self) -> None:
        """Wait until everything recorded so far is in the ledger."""
        self.world.writer.flush()

    def close(self) -> None:
        """Write what waits and release everything; calls through wrapped clients raise Closed from here on.

        Connections of an `async_http_client` can only be closed by `aclose`.
        """
        if self._closed:
            return
        self._closed = True
        for client in self._owned:
            client.close()
        self.world.close()

    async def aclose(self) -> None:
        """`close` for asyncio."""
        for client in self._owned_async:
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

    @property
    def shares_tenants(self) -> bool:
        return self.policy.cache is not None and self.policy.cache.scope == "shared"

    def check_open(self) -> None:
        if self._closed:
            raise Closed("this Optimizer was closed; make a new one and wrap the client again")

    def new_id(self) -> str:
        """A call id that sorts by time; 128 bits, unique across processes."""
        return f"{time.time_ns():016x}{os.urandom(8).hex()}"

    def _compose(self, policy: Policy) -> Handler:
        return compose(Plan(policy, load_prices(policy.prices), self._counter))

    def _reload(self) -> None:
        assert self._watcher is not None
        policy = self._watcher.current(self.world.clock.now())
        if policy is not self.policy:
            self.policy = policy
            self._handler = self._compose(policy)


def _folder(policy: Policy, ledger: str | Path | None) -> Path | None:
    if ledger is not None:
        return Path(ledger).expanduser()
    return Path(policy.ledger.path).expanduser() if policy.ledger and policy.ledger.path else None


def _watch(source: PolicyLike, policy: Policy) -> Any:
    from costopt.policyfile import Watcher

    return Watcher(policy.source) if policy.source else None


def wrap(client: C, policy: PolicyLike = None, *, ledger: str | Path | None = None) -> C:
    """`client` with its calls optimized under `policy`; closing the returned client closes what this opened.

    For several clients make one `Optimizer` and use its `wrap`. Raises PolicyError, UnsupportedClient.
    """
    from costopt.edge.wrap import wrap as wrap_for

    optimizer = Optimizer(policy, ledger=ledger)
    return wrap_for(optimizer, client, optimizer.close)
