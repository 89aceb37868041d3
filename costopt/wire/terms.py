"""The terms of a call: what sets its price besides its counts, in the words of one text (`Usage.service_tier`).

The provider's own word for the service tier comes first. What else there is follows as a word of ours:

    fast          Claude's fast mode (`usage.speed`), told like a tier
    geo:us        where Claude was made to run (`usage.inference_geo`), unless anywhere
    search:high   what `Usage.searches` are: how much context a search brings (Perplexity: low, medium, high);
                  `maps` for places on Google Maps, `search+maps` for both; `cited` where only the web pages that an
                  answer cites tell of its search
    advised       another model answered too, at its own price (Claude's advisor tool)
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from costopt.wire.loose import text

#: Words for nothing special.
_USUAL_SPEED = frozenset({"", "standard"})
_ANYWHERE = frozenset({"", "global", "not_available"})


class Terms(Struct, frozen=True):
    """`tier` is the service tier, "" for the standard one; the others are as the module says, "" for none."""

    tier: str = ""
    geo: str = ""
    search: str = ""
    advised: bool = False


def said(tier: str, speed: Any = None, geo: Any = None, search: str = "", *, advised: bool = False) -> str:
    """The text for these terms, the tier alone where there are no others."""
    words = [tier]
    if (fast := text(speed).lower()) not in _USUAL_SPEED:
        words = [fast] if tier.lower() in _USUAL_SPEED else [tier, fast]
    if (where := text(geo).lower()) not in _ANYWHERE:
        words.append(f"geo:{where}")
    words += [f"search:{search}"] if search else []
    words += ["advised"] if advised else []
    return " ".join([word for word in words if word])


def read(said: str) -> Terms:
    """What `said` had put together."""
    if " " not in said and ":" not in said and said != "advised":
        return Terms(said)
    words = said.split()
    named = {kind: word for kind, colon, word in (each.partition(":") for each in words) if colon}
    tier = " ".join([word for word in words if ":" not in word and word != "advised"])
    return Terms(tier, named.get("geo", ""), named.get("search", ""), "advised" in words)
