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

#: hashlib lets go of the GIL for more than 2,047 bytes at a time. Where another thread waits for it, getting it back
#: takes longer (0.2 ms measured) than hashing up to this many bytes.
PIECE, SMALL = 2047, 131_072

_canonical = msgspec.json.Encoder(order="sorted").encode


def key(request: Request) -> str:
    """The hex key of `request`; the same for a streamed and a plain request, whatever the order of fields."""
    body = {name: value for name, value in request.body.items() if name not in IGNORED}
    parts = (VERSION, request.tenant, request.api, request.endpoint, request.variant, request.model, body)
    return _digest(_canonical(parts))


def _digest(data: bytes) -> str:
    digest = sha256()
    if len(data) > SMALL:
        digest.update(data)
    else:
        for at in range(0, len(data), PIECE):
            digest.update(data[at : at + PIECE])
    return digest.hexdigest()
