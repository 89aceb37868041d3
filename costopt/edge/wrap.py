"""`wrap`: which client is this, and how does our transport get under it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from importlib import metadata
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from costopt.edge.copying import copied
from costopt.edge.front import Front, fronts
from costopt.edge.transport import transports
from costopt.errors import UnsupportedClient

if TYPE_CHECKING:
    from costopt.engine import Engine

C = TypeVar("C")
_LIBRARIES = ("httpx", "httpx2")
#: Clients of the Anthropic SDK that send no Messages requests, by litellm's name for whom they ask.
_UNREAD = {
    "AnthropicBedrock": "bedrock",
    "AsyncAnthropicBedrock": "bedrock",
    "AnthropicVertex": "vertex_ai",
    "AsyncAnthropicVertex": "vertex_ai",
}


def wrap(engine: Engine, client: C, on_close: Callable[[], None] = lambda: None) -> C:
    """A copy of `client` with our transport in front of its HTTP client. Raises UnsupportedClient."""
    given: Any = client
    if getattr(given, "__module__", "").split(".")[0] == "litellm" and callable(given):
        from costopt.edge.litellm import wrap_callable

        return cast("C", wrap_callable(engine, given, on_close))
    if library_of(given) is not None:
        return cast("C", in_front_of(engine, given, on_close))
    inner = getattr(given, "_client", None)  # the SDKs offer no public way to their HTTP client
    if not callable(getattr(given, "copy", None)) or inner is None or library_of(inner) is None:
        raise UnsupportedClient(
            f"cannot wrap {type(given).__module__}.{type(given).__qualname__}: give an OpenAI or Anthropic client "
            "(sync, async or Azure), an httpx client, or litellm.completion, acompletion, embedding or aembedding; "
            "for other frameworks pass optimizer.http_client() or .async_http_client() as their http_client"
        )
    _refuse_unread(given)
    return cast("C", copied(given, in_front_of(engine, inner, on_close)))


def _refuse_unread(client: Any) -> None:
    for kind in type(client).__mro__:
        provider = _UNREAD.get(kind.__name__) if kind.__module__.partition(".")[0] == "anthropic" else None
        if provider is not None:
            raise UnsupportedClient(
                f"cannot wrap {kind.__module__}.{kind.__qualname__}: its calls are not sent as Messages requests, so "
                "none would be cached, recorded or held by a budget; wrap litellm.completion and ask it for "
                f"{provider}/<model>"
            )


def in_front_of(engine: Engine, inner: Any, on_close: Callable[[], None] = lambda: None) -> Any:
    """An HTTP client with `inner`'s settings that sends through our transport, which uses `inner`'s.

    An `inner` that is ours already is taken off first: wrapping twice never runs the pipeline twice.
    """
    if isinstance(inner, Front):
        inner, on_close = inner.edge.inner, partial(_in_turn, on_close, inner.edge.on_close)
    library = library_of(inner)
    assert library is not None
    side = 0 if isinstance(inner, library.Client) else 1
    return fronts(library)[side](
        transports(library)[side](library, inner, engine, on_close),
        base_url=inner.base_url,
        headers=inner.headers,
        params=inner.params,
        cookies=inner.cookies.jar,
        timeout=inner.timeout,
        follow_redirects=inner.follow_redirects,
        max_redirects=inner.max_redirects,
        trust_env=False,
        default_encoding=inner._default_encoding,  # there is no public way to it
    )


def _in_turn(*steps: Callable[[], None]) -> None:
    for step in steps:
        step()


def library_of(http: Any) -> ModuleType | None:
    """`httpx` or `httpx2`, whichever `http` is a client of."""
    for base in type(http).__mro__:
        name = base.__module__.split(".")[0]
        if name in _LIBRARIES and base.__name__ in ("Client", "AsyncClient"):
            return importlib.import_module(name)
    return None


def http_client(engine: Engine, library: str | None, *, is_async: bool) -> Any:
    """A client of `library` (default: the one the installed openai SDK uses) with our transport."""
    lib: Any = importlib.import_module(library or _default_library())
    inner = (lib.AsyncClient if is_async else lib.Client)(timeout=600.0, follow_redirects=True)
    return in_front_of(engine, inner)


def _default_library() -> str:
    try:
        major = int(metadata.version("openai").split(".")[0])
    except (metadata.PackageNotFoundError, ValueError):
        return _LIBRARIES[0]
    return "httpx2" if major >= 3 else "httpx"
