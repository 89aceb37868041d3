"""`wrap(litellm.completion)` and its three siblings: the same callable, with every call run through the flow.

litellm is never imported here: whoever gave us one of its functions has.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from costopt.edge.litellm.run import AsyncRun, Edge, SyncRun
from costopt.edge.refusal import as_sdk_error
from costopt.errors import Refused, UnsupportedClient, UpstreamError
from costopt.types import Api

if TYPE_CHECKING:
    from costopt.engine import Engine

_APIS: dict[str, Api] = {
    "completion": "chat",
    "acompletion": "chat",
    "embedding": "embeddings",
    "aembedding": "embeddings",
}
#: The attribute of a wrapped function that holds litellm's own.
_ORIGINAL = "__costopt_original__"


def wrap_callable(engine: Engine, function: Any, on_close: Callable[[], None] = lambda: None) -> Any:
    """`litellm.completion`, `acompletion`, `embedding` or `aembedding`, optimized. `close()` of the result
    runs `on_close`. Wrapping twice runs the flow once. Raises UnsupportedClient for anything else."""
    function = getattr(function, _ORIGINAL, function)
    litellm: Any = sys.modules.get("litellm")
    name = getattr(function, "__name__", "")
    if litellm is None or name not in _APIS or not _is_litellms(litellm, name, function):
        given = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', function)}"
        raise UnsupportedClient(
            f"cannot wrap {given}: of litellm's, completion, acompletion, embedding and aembedding can be "
            "wrapped (a Router's methods cannot)"
        )
    edge = Edge(engine, litellm, function, _APIS[name], _signature(litellm, name, function))
    wrapped: Any = _async_callable(edge) if name.startswith("a") else _sync_callable(edge)
    wrapped.close = on_close
    setattr(wrapped, _ORIGINAL, function)
    return wrapped


def _is_litellms(litellm: Any, name: str, function: Any) -> bool:
    """Whether litellm has `function` under `name`, be it behind one that we made of it."""
    known = (getattr(home, name, None) for home in (litellm, getattr(litellm, "main", None)))
    return any(function is getattr(each, _ORIGINAL, each) for each in known)


def _signature(litellm: Any, name: str, function: Any) -> inspect.Signature:
    """The arguments by name; `aembedding` hides its own behind `*args`, they are those of `embedding`."""
    return inspect.signature(litellm.embedding if name == "aembedding" else function)


def _sync_callable(edge: Edge) -> Any:
    @functools.wraps(edge.function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        call = edge.asked(args, kwargs)
        if call is None:
            return edge.function(*args, **kwargs)
        try:
            return SyncRun(edge, call).go()
        except (UpstreamError, Refused) as failure:
            error = _as_given(failure)
        raise error

    return wrapped


def _async_callable(edge: Edge) -> Any:
    @functools.wraps(edge.function)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        call = edge.asked(args, kwargs)
        if call is None:
            return await edge.function(*args, **kwargs)
        try:
            return await AsyncRun(edge, call).go()
        except (UpstreamError, Refused) as failure:
            error = _as_given(failure)
        raise error

    return wrapped


def _as_given(failure: UpstreamError | Refused) -> BaseException:
    """litellm's own exception, or our refusal. It is raised outside of the handler, so that its cause and
    context stay as litellm left them."""
    if isinstance(failure, Refused):
        return as_sdk_error(failure, "chat")
    return failure.cause or failure
