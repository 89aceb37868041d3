"""The cache key: everything that can change an answer is in it, and nothing else.

Key = sha256 of canonical JSON (sorted keys) of the version, tenant, endpoint, answer-changing headers and every
body field except `IGNORED`. JSON quoting makes collisions by joining impossible.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec

from costopt.types import Request

VERSION = 1
#: Body fields that say how an answer travels, not what it is.
IGNORED = frozenset({"stream", "stream_options"})

_canonical = msgspec.json.Encoder(order="sorted").encode


def key(request: Request) -> str:
    """The hex key of `request`; the same for a streamed and a plain request, whatever the order of fields."""
    body = {name: value for name, value in request.body.items() if name not in IGNORED}
    parts = (VERSION, request.tenant, request.api, request.endpoint, request.variant, request.model, body)
    return sha256(_canonical(parts)).hexdigest()
