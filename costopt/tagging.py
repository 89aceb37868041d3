"""Tags of calls: `with costopt.tags(agent="planner", user="42"): ...` for every call made inside a block."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

#: On calls that were imported from a log without times, so that theirs are made up.
TIMELESS: Mapping[str, str] = {"time": "synthetic"}

_current: ContextVar[Mapping[str, str]] = ContextVar("costopt_tags", default={})  # noqa: B039 - why: never mutated


def current() -> Mapping[str, str]:
    """The tags that hold here; follows async tasks and `contextvars.copy_context`."""
    return _current.get()


def _text(value: object) -> str:
    """As text that can be written down: halves of surrogate pairs become `?`."""
    return str(value).encode(errors="replace").decode()


@contextmanager
def tags(**named: str) -> Generator[None]:
    """Add tags to all calls inside the block; inner blocks and per-call tags win. Values become strings."""
    token = _current.set({**_current.get(), **{name: _text(value) for name, value in named.items()}})
    try:
        yield
    finally:
        _current.reset(token)


def timeless(tags: Mapping[str, str]) -> bool:
    """Whether these are the tags of a call whose time is made up."""
    return TIMELESS.items() <= tags.items()
