"""Which failures are tried again and how many times."""

from __future__ import annotations

import pytest
from flow_material import always, failing
from scripted import World, answer, request, serve

from costopt import effects as ask
from costopt.errors import UpstreamError
from costopt.policy import Policy, Retry
from costopt.types import Reply

THRICE = Policy(retry=Retry(attempts=3))


def test_a_failure_is_tried_again_after_a_pause_of_ours_or_the_providers() -> None:
    world = World(
        failing(UpstreamError(Reply(status=500)), UpstreamError(Reply(status=429), retry_after_s=3.0))
    )
    serve(request(), THRICE, world)
    assert len(world.calls) == 3
    assert [pause.seconds for pause in world.did(ask.Sleep)] == [0.5 * 1.125, 3.0 * 1.125]


def test_nothing_is_tried_again_once_a_part_was_seen() -> None:
    world = World(always(lambda: UpstreamError(None, ConnectionError(), partial=answer())))
    with pytest.raises(UpstreamError):
        serve(request(), THRICE, world)
    assert len(world.calls) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_the_callers_own_mistakes_are_not_retried(status: int) -> None:
    world = World(always(lambda: UpstreamError(Reply(status=status))))
    with pytest.raises(UpstreamError):
        serve(request(), THRICE, world)
    assert len(world.calls) == 1
