"""A copy of an SDK's client that is the same in all but its HTTP client.

The SDKs' own `copy()` leaves out some of what a client was told (an Azure deployment, strict validation) and all that
was set on it since or by a subclass. That is carried over, except what would lead back to the client that was copied:
calls that go there are not optimized, and nobody would see it.
"""

from __future__ import annotations

import gc
from functools import cached_property, partial
from types import FunctionType, MethodType
from typing import Any, cast

from costopt.errors import UnsupportedClient

_FUNCTIONS = (FunctionType, MethodType, partial)


def copied(client: Any, http: Any) -> Any:
    """`client`, of the OpenAI or Anthropic SDK, with `http` as its HTTP client. Raises UnsupportedClient."""
    made = _constructed(client, http)
    had: dict[str, Any] = client.__dict__
    made.__dict__.update({name: value for name, value in had.items() if not _tied(client, name, value)})
    return made


def _constructed(client: Any, http: Any) -> Any:
    try:
        return client.copy(http_client=http)
    except TypeError as error:  # the SDKs' copy() gives a class the arguments of its base class
        raise UnsupportedClient(
            f"cannot copy {type(client).__module__}.{type(client).__qualname__}, whose constructor takes other "
            "arguments than the SDK's: give it http_client=optimizer.wrap(httpx.Client()) instead (AsyncClient for an "
            "async one), or have it pass other arguments on"
        ) from error


def _tied(client: Any, name: str, value: Any) -> bool:
    """Whether what `client` holds as `name` is for it alone: its HTTP client, its resources, what is made around it."""
    resource = isinstance(getattr(client.__class__, name, None), cached_property)
    return name == "_client" or resource or _holds(value, client)


def _holds(value: Any, client: Any) -> bool:
    """Whether `value` has `client` in hand, itself or by functions within functions (Anthropic's middleware)."""
    todo: list[Any] = [value]
    seen: set[int] = set()
    while todo:
        each = todo.pop()
        held = list(getattr(each, "__dict__", {}).values())
        if any(one is client for one in (each, *held)):
            return True
        if id(each) not in seen:
            seen.add(id(each))
            todo += _parts(each) + [one for one in held if isinstance(one, _FUNCTIONS)]
    return False


def _parts(value: Any) -> list[Any]:
    if isinstance(value, FunctionType):
        return gc.get_referents(*value.__closure__ or ())  # what the cells hold, if they hold anything yet
    if isinstance(value, MethodType):
        return [value.__self__, value.__func__]
    if isinstance(value, partial):
        made = cast("partial[Any]", value)
        return [made.func, *made.args, *made.keywords.values()]
    if isinstance(value, dict):
        return list(cast("dict[Any, Any]", value).values())
    return list(cast("list[Any]", value)) if isinstance(value, list | tuple) else []
