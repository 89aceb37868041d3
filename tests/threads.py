"""Work that several threads do at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def at_once(*work: Callable[[], object]) -> Iterator[None]:
    """A thread for each; at the end of the block all have come to theirs."""
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)


def together(*work: Callable[[], object]) -> None:
    with at_once(*work):
        pass
