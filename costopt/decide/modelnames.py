"""The names one model goes by: snapshots, fine-tunes, cloud regions."""

from __future__ import annotations

import re
from collections.abc import Iterator

_DATE = re.compile(r"(?:[-@]\d{8}|-\d{4}-\d{2}-\d{2}|-latest|@latest|@default)$")
_REGION = re.compile(r"^(?:us-gov|us|eu|apac|jp|au|ca|sa|af|me|il|uk|in|global)\.")
_BEDROCK_PATH = re.compile(r"^(?:converse/|invoke/|[a-z]{2}(?:-gov)?-[a-z]+-\d/)+")


def spellings(model: str) -> Iterator[str]:
    """The name as it is, then what it is a form of: a fine-tune's base, a snapshot's, a region's model."""
    name = model.removeprefix("models/")
    yield name
    head, slash, tail = name.rpartition("/") if "ft:" in name else ("", "", name)
    if tail.startswith("ft:"):
        name = f"{head}{slash}{':'.join(tail.split(':')[:2])}"
        yield name
    if _DATE.search(name):
        yield _DATE.sub("", name)
    prefix, slash, rest = name.partition("/") if name.startswith("bedrock/") else ("", "", name)
    bare = _BEDROCK_PATH.sub("", rest)
    if bare != rest:
        yield f"{prefix}{slash}{bare}"
    if _REGION.search(bare):
        yield f"{prefix}{slash}{_REGION.sub('', bare)}"


def keys(name: str, provider: str) -> tuple[str, ...]:
    return (f"{provider}/{name}", name) if provider else (name,)
