"""Which recorded calls belong together. Pure."""

from __future__ import annotations

from zlib import crc32

from costopt.world.ledger.words import Fact

#: Tags that name a session, the first that is there.
SESSION_TAGS = ("session", "conversation", "thread", "trace")


def tagged(fact: Fact) -> bool:
    """Whether a tag names the session of this call."""
    return any(tag in fact.tags for tag in SESSION_TAGS)


def session(fact: Fact) -> int:
    """A number for the conversation a call belongs to: by tag, else by how its prompt begins."""
    for tag in SESSION_TAGS:
        if tag in fact.tags:
            return crc32(f"{tag}={fact.tags[tag]}".encode(errors="replace"))
    longest = max(fact.parts, key=len, default=())
    return crc32(b"".join((fact.tenant.encode(), fact.asked.encode(), *longest[:2])))
