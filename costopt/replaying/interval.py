"""How sure a sum over recorded sessions is: a bootstrap over sessions, since calls of one session go together."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from costopt.replaying.tally import folded
from costopt.types import Nano

#: Resamples, and into how many groups of sessions many sessions are thrown together first.
RESAMPLES, GROUPS = 1000, 400
LEVEL = 0.95


def interval(sessions: Mapping[int, tuple[Nano, Nano]]) -> tuple[Nano, Nano] | None:
    """The middle 95% of what would be saved if the traffic's sessions were drawn anew; None below 5 sessions.

    The same sessions give the same interval, to the nano-dollar.
    """
    groups = folded(sessions, GROUPS) if len(sessions) > GROUPS else sessions
    saved = [groups[name][0] - groups[name][1] for name in sorted(groups)]
    if len(saved) < 5:
        return None
    draw = Random(len(saved))
    sums = sorted(sum(draw.choices(saved, k=len(saved))) for _ in range(RESAMPLES))
    edge = int(RESAMPLES * (1 - LEVEL) / 2)
    return sums[edge], sums[-1 - edge]
