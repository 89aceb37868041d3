"""What a call has its provider look up or do beside running the model: the answer may be another each time, and
searches are billed. The one place that tells; admission to the cache and the worst case of a budget ask here."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from costopt.types import Json
from costopt.wire.loose import record, records, text

#: What search tools are named, with or without a `type` (Gemini's own API, and LiteLLM for it).
SEARCHES = {
    "google_search": "google_search",
    "googleSearch": "google_search",
    "google_search_retrieval": "google_search_retrieval",
    "googleSearchRetrieval": "google_search_retrieval",
    "enterprise_web_search": "enterprise_web_search",
    "enterpriseWebSearch": "enterprise_web_search",
}
MAPS = {"google_maps": "google_maps", "googleMaps": "google_maps"}
_NAMED = SEARCHES | MAPS
#: Types of tools that only describe functions of the caller's. "" is one without a type that does.
CALLERS = frozenset({"function", "custom", ""})
#: All that a tool without a `type` or a name holds if it describes functions (Gemini, Bedrock).
_DESCRIPTIONS = frozenset({"type", "functionDeclarations", "function_declarations", "toolSpec"})
#: Fields that have the provider look things up, run tools or put in a prompt of its own.
_ACTING = {
    "mcp_servers": "servers of tools are named",  # Anthropic
    "plugins": "a plugin of the provider's is used",  # OpenRouter
    "preset": "a preset at the provider can change",  # OpenRouter, Perplexity
    "data_sources": "the provider looks things up",  # Azure OpenAI
    "connectors": "the provider looks things up",  # Cohere
    "vector_store_ids": "litellm looks things up",
    "agent": "an agent at the provider can change",  # Azure AI Foundry
    "agent_reference": "an agent at the provider can change",
}
_SEARCHING = frozenset({"web_search_options", "search_parameters", "enable_search", "plugins"})
#: A body without any of these asks for nothing of the kind, unless its model does so unasked.
FIELDS = frozenset({"tools", "prompt", "extra_body", *_SEARCHING, *_ACTING})
#: Models that search the web for every answer, asked or not: once, or as often as they like (guides of OpenAI,
#: Perplexity, OpenRouter, Groq and Google). The price map does not tell: `supports_web_search` is of all that can.
_ONCE = re.compile(r"search-(?:preview|api)|(?:^|/)sonar(?![a-z])|[:-]online(?::|$)")
_FREELY = re.compile(r"deep-research|(?:^|/)compound(?:-beta)?(?:-mini)?$|(?:^|[/@])preset/")


@lru_cache(1024)
def unasked(model: str) -> int | None:
    """How many searches of the web `model` makes for an answer without being asked to; None is as many as it likes."""
    return None if _FREELY.search(model) else 1 if _ONCE.search(model) else 0


def act(body: Json) -> str:
    """What else than running the model the provider is asked for, in words; "" is nothing."""
    if FIELDS.isdisjoint(body):
        return ""
    asked = whole(body)
    if any(kind(tool) not in CALLERS for tool in records(asked.get("tools"))):
        return "a tool of the provider's is used"
    if searches(asked):
        return "the provider searches the web"
    if _is_open(asked.get("prompt")):
        return "a prompt at the provider can change: name its version"
    return next((why for name, why in _ACTING.items() if asked.get(name)), "")


def whole(body: Json) -> Json:
    """`body` as the provider gets it: LiteLLM puts what stands in `extra_body` beside the rest."""
    return {**body, **record(body["extra_body"])} if "extra_body" in body else body


def searches(body: Json) -> int:
    """How many searches the fields of a body ask for; each is one: OpenAI, xAI, Qwen and OpenRouter."""
    live = body.get("search_parameters")
    asked = (
        body.get("web_search_options") is not None,
        live is not None and record(live).get("mode") != "off",
        body.get("enable_search") is True,
        any(plugin.get("id") == "web" for plugin in records(body.get("plugins"))),
    )
    return sum(asked)


def _is_open(prompt: Any) -> bool:
    """A prompt kept at the provider of which the newest version is taken. A text is none of these."""
    return isinstance(prompt, dict) and not record(prompt).get("version")


def kind(tool: Json) -> str:
    """The type of a tool. One without is told by its shape: "" if it describes functions, what it is named if it is
    a search, else "other"."""
    said = tool.get("type")
    for name in _NAMED.keys() & (*tool, text(said)):
        return _NAMED[name]
    if said:
        return str(said)
    described = "name" in tool or "function" in tool or tool.keys() <= _DESCRIPTIONS
    return "" if described else "other"


def is_search(tool: Json) -> bool:
    """Whether a tool searches the web, or places on a map, at the provider."""
    return "web_search" in text(tool.get("type")) or is_named(tool, _NAMED)


def is_named(tool: Json, names: dict[str, str]) -> bool:
    return text(tool.get("type")) in names or not names.keys().isdisjoint(tool)
