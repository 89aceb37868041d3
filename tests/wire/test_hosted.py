"""What a call has its provider look up or do."""

from __future__ import annotations

from typing import Any

import pytest

from costopt.wire import hosted

LOOK = {"type": "function", "function": {"name": "google_search"}}
#: Tools that describe functions of the caller's, in the words of each provider.
CALLERS: list[dict[str, Any]] = [
    LOOK,
    {"function": {"name": "look"}},
    {"type": "function", "name": "look", "parameters": {}},
    {"type": "custom", "name": "look"},
    {"name": "look", "input_schema": {}},
    {"type": None, "name": "look", "input_schema": {}},
    {"name": "look", "parameters": {}},
    {"functionDeclarations": [{"name": "look"}]},
    {"function_declarations": [{"name": "look"}]},
    {"toolSpec": {"name": "look"}},
    {"type": ""},
]
#: Tools of the provider's, and whether they search.
PROVIDERS: list[tuple[dict[str, Any], bool]] = [
    ({"type": "web_search"}, True),
    ({"type": "web_search_20250305", "name": "web_search"}, True),
    ({"type": "openrouter:web_search"}, True),
    ({"type": "code_interpreter", "container": {"type": "auto"}}, False),
    ({"type": "mcp_toolset", "mcp_server_name": "x"}, False),
    ({"google_search": {}}, True),
    ({"googleSearch": {}}, True),
    ({"googleSearchRetrieval": {}}, True),
    ({"enterpriseWebSearch": {}}, True),
    ({"googleMaps": {}}, True),
    ({"type": "google_search"}, True),
    ({"codeExecution": {}}, False),
    ({"urlContext": {}}, False),
    ({"retrieval": {"vertexRagStore": {}}}, False),
    ({"systemTool": {"name": "nova_grounding"}}, False),
    ({"functionDeclarations": [{"name": "look"}], "googleSearch": {}}, True),
    ({"functionDeclarations": [{"name": "look"}], "codeExecution": {}}, False),
]


@pytest.mark.parametrize("tool", CALLERS)
def test_tools_that_describe_functions_are_the_callers(tool: dict[str, Any]) -> None:
    assert hosted.kind(tool) in hosted.CALLERS and not hosted.is_search(tool)
    assert hosted.act({"tools": [tool, LOOK]}) == "" == hosted.act({"tools": [{"type": hosted.kind(tool)}]})


@pytest.mark.parametrize(("tool", "searches"), PROVIDERS)
def test_any_other_tool_is_the_providers(tool: dict[str, Any], searches: bool) -> None:
    assert hosted.act({"tools": [LOOK, tool]}) == "a tool of the provider's is used"
    assert hosted.is_search(tool) == searches
    told = {"type": hosted.kind(tool)}
    assert hosted.act({"tools": [told]}) and hosted.is_search(told) == searches, "all that a ledger may keep"


@pytest.mark.parametrize(
    ("asked", "searches"),
    [
        ({"web_search_options": {}}, 1),
        ({"web_search_options": {"search_context_size": "low"}}, 1),
        ({"search_parameters": {}}, 1),
        ({"search_parameters": {"mode": "auto"}}, 1),
        ({"plugins": [{"id": "web"}]}, 1),
        ({"plugins": [{"id": "file-parser"}]}, 0),
        ({"enable_search": True}, 1),
        ({"extra_body": {"plugins": [{"id": "web"}]}}, 1),
        ({"mcp_servers": [{"type": "url", "url": "https://x/sse", "name": "x"}]}, 0),
        ({"data_sources": [{"type": "azure_search"}]}, 0),
        ({"preset": "pro-search"}, 0),
        ({"vector_store_ids": ["vs_1"]}, 0),
        ({"prompt": {"id": "pmpt_1"}}, 0),
        ({"prompt": {"id": "pmpt_1", "version": None}}, 0),
    ],
)
def test_fields_that_ask_the_provider_for_more(asked: dict[str, Any], searches: int) -> None:
    assert hosted.act({"model": "m", "messages": [], **asked})
    assert hosted.searches(hosted.whole(asked)) == searches


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {
            "tools": None,
            "web_search_options": None,
            "search_parameters": None,
            "prompt": None,
            "plugins": None,
        },
        {"tools": [], "plugins": [], "mcp_servers": [], "enable_search": False, "extra_body": {}},
        {"search_parameters": {"mode": "off"}},
        {"prompt": {"id": "pmpt_1", "version": "3", "variables": {"a": "b"}}},
        {"prompt": "Once upon a time"},
        {"extra_body": {"top_k": 5}, "tools": "odd"},
    ],
)
def test_fields_that_ask_for_nothing(asked: dict[str, Any]) -> None:
    assert hosted.act({"model": "m", "messages": [], **asked}) == ""
    assert hosted.searches(asked) == 0


@pytest.mark.parametrize(
    ("models", "searches"),
    [
        (
            [
                "gpt-4o",
                "gpt-5.4",
                "claude-opus-4-5",
                "grok-4",
                "gemini-2.5-pro",
                "online-store",
                "a/compounder",
            ],
            0,
        ),
        (["text-search-ada-doc-001", "NousResearch/Hermes-3-Llama-3.1-70B", "", "sonarqube"], 0),
        (["gpt-4o-search-preview", "gpt-4o-mini-search-preview-2025-03-11", "gpt-5-search-api"], 1),
        (["sonar", "perplexity/sonar-pro", "llama-3.1-sonar-large-128k-online", "pplx-70b-online"], 1),
        (["openai/gpt-4o:online", "openai/gpt-oss-20b:free:online"], 1),
        (
            ["sonar-deep-research", "o3-deep-research-2025-06-26", "gemini/deep-research-preview-04-2026"],
            None,
        ),
        (["groq/compound", "compound-mini", "compound-beta-mini", "preset/pro-search"], None),
        (["@preset/mails", "openai/gpt-4o@preset/mails"], None),
    ],
)
def test_models_that_search_unasked(models: list[str], searches: int | None) -> None:
    assert [hosted.unasked(model) for model in models] == [searches] * len(models)
