"""Whether a request that failed may have reached the provider, told from what an HTTP library raised."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import httpx
import pytest

from costopt.decide.retry import lost, was_sent

REQUEST = httpx.Request("POST", "http://x")


def within(*errors: BaseException) -> BaseException:
    """The first of `errors`, raised while the next was being handled, and so on."""
    for outer, inner in pairwise(errors):
        outer.__context__ = inner
    return errors[0]


@pytest.mark.parametrize("kind", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
def test_what_never_left_is_told_from_the_context_too(kind: Callable[[str], Exception]) -> None:
    assert not was_sent(within(RuntimeError(), kind("")))


@pytest.mark.parametrize("kind", [httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError])
def test_what_the_caller_was_handling_is_another_matter(kind: Callable[[str], Exception]) -> None:
    origin = kind("")
    error = within(RuntimeError(), origin, httpx.ConnectError("the caller's first try"))
    assert was_sent(error) and lost(error) is origin


def test_an_answer_is_no_loss() -> None:
    answer = httpx.HTTPStatusError("", request=REQUEST, response=httpx.Response(500))
    assert lost(within(RuntimeError(), answer, httpx.ReadTimeout(""))) is None


def test_a_missing_package_is_missed_before_anything_is_sent() -> None:
    assert not was_sent(ModuleNotFoundError())


def test_when_in_doubt_it_was_sent() -> None:
    turning = ValueError()
    turning.__cause__ = turning
    assert was_sent(turning) and lost(turning) is None and was_sent(None)
