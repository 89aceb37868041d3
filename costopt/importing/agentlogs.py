"""What the session logs of coding agents have in common: files one by one, times, a folder, a few tags."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import PureWindowsPath
from typing import Any, TypeVar

from costopt.importing import times
from costopt.importing.reading import Item, objects
from costopt.importing.words import Line, Options, Unusable

T = TypeVar("T")


def moment(value: Any) -> int:
    """A time of the log in ns since the epoch; 0: none."""
    return times.moment(value) or 0


class Clock:
    """Times for calls that have none, if the user gave a first one."""

    def __init__(self, options: Options) -> None:
        self._next = options.start
        self._every = options.every

    def made_up(self) -> int:
        """The next moment; 0: the user gave none."""
        now = self._next or 0
        if now:
            self._next = now + self._every
        return now


def folder(path: Any) -> str:
    """The last part of a folder's path, of any system: the project, and nothing of where it lies."""
    return PureWindowsPath(path).name if isinstance(path, str) else ""


def said(**tags: str) -> dict[str, str]:
    """The tags that have a value."""
    return {name: value for name, value in tags.items() if value}


def by_file(lines: Iterable[Line], begin: Callable[[str], T]) -> Iterator[tuple[T, Item | Unusable | None]]:
    """Each object of the log with the state `begin` made for its file; at the end of a file, None."""
    path, state = None, None
    for item in objects(lines):
        if item.path != path or state is None:
            if state is not None:
                yield state, None
            path, state = item.path, begin(item.path)
        yield state, item
    if state is not None:
        yield state, None
