"""Tags and errors of other tools' logs, as ours."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from costopt.importing.secretwords import withheld
from costopt.importing.shapes import provider_named
from costopt.wire.loose import text

#: Names that only tracing tools give to providers; frameworks are none at all.
_PROVIDERS = {
    "az.ai.openai": "azure",
    "az.ai.inference": "azure_ai",
    "azure.ai.inference": "azure_ai",
    "gcp.gen_ai": "gemini",
    "google_genai": "gemini",
    "google.generative_ai": "gemini",
    "google_vertexai": "vertex_ai",
    "amazon_bedrock": "bedrock",
    "mistralai": "mistral",
    "ibm.watsonx.ai": "watsonx",
    "moonshot_ai": "moonshot",
}
_FRAMEWORKS = frozenset(
    {"langchain", "llamaindex", "llama_index", "haystack", "litellm", "traceloop", "crewai", "vercel"}
)

_NAMED = re.compile(r"\b[A-Za-z]\w*(?:Error|Exception|Timeout|Overloaded)\b")
_STATUS = re.compile(r"\b[45]\d\d\b")


def labelled(tags: Iterable[Any], bare: str = "yes") -> dict[str, str]:
    """`name=value` and `name:value` as they say, a bare word as a tag of that name whose value is `bare`.

    A secret that only shows in the tag as a whole is left out with it."""
    found: dict[str, str] = {}
    for tag in map(text, tags):
        name, split, value = tag.partition("=" if "=" in tag else ":")
        hidden = withheld(tag) != tag and withheld(value) == value
        if name.strip() and not hidden:
            found[name.strip()] = value.strip() if split else bare
    return found


def failure(message: str) -> tuple[int, str]:
    """HTTP status (500 where none is named) and kind of an error; its text may quote anything and is not kept."""
    status, named = _STATUS.search(message), _NAMED.search(message)
    return int(status.group()) if status else 500, named.group() if named else "failed"


def provider(name: str) -> str:
    """The price map's name of the provider that a tracing tool calls `name`; empty for a framework's name."""
    plain = name.strip().lower().replace("-", "_")
    for ending in (".chat", ".responses", ".messages", ".completion", ".embedding"):
        plain = plain.removesuffix(ending)
    return "" if plain in _FRAMEWORKS else _PROVIDERS.get(plain) or provider_named(plain)
