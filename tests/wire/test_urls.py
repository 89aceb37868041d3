"""Which API a path belongs to."""

from __future__ import annotations

import pytest

from costopt import wire
from costopt.types import Api


@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/v1/chat/completions", "chat"),
        ("/chat/completions/", "chat"),
        ("https://gateway.example/x/v1/chat/completions?a=b/messages", "chat"),
        ("/openai/deployments/dep1/chat/completions?api-version=2025-04-01-preview", "chat"),
        ("/openai/deployments/dep1/embeddings?api-version=1", "embeddings"),
        ("/v1beta/openai/chat/completions", "chat"),
        ("/v1/responses", "responses"),
        ("/v1/messages?beta=true", "messages"),
        ("/v1/embeddings", "embeddings"),
        ("/v1/completions", "completions"),
        ("/v1/messages/count_tokens", None),
        ("/v1/messages/batches", None),
        ("/v1/responses/resp_1", None),
        ("/v1/responses/resp_1/cancel", None),
        ("/v1/responses/input_tokens", None),
        ("/v1/chat/completions/chatcmpl-1", None),
        ("/v1/threads/thread_1/messages", None),
        ("/v1/moderations", None),
        ("/v1/files", None),
        ("/", None),
        ("", None),
    ],
)
def test_an_api_is_known_by_its_path_where_something_is_posted(path: str, api: Api | None) -> None:
    assert wire.recognise("POST", path) == api
    assert wire.recognise("post", path) == api
    assert wire.recognise("GET", path) is None


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/openai/deployments/gpt-4o/chat/completions", "gpt-4o"),
        ("/openai/deployments/my%20dep/embeddings", "my dep"),
        ("/v2/inference/deployments/d12/chat/completions", "d12"),
        ("/openai/deployments/responses", ""),
        ("/v1/chat/completions", ""),
    ],
)
def test_azure_names_the_model_in_the_path(path: str, model: str) -> None:
    assert wire.deployment(path) == model


VERTEX = "/v1/projects/p/locations/us-east5/publishers"


@pytest.mark.parametrize(
    ("path", "unread"),
    [
        ("/model/anthropic.claude-sonnet-4-5-v1%3A0/invoke", True),
        ("/model/anthropic.claude-sonnet-4-5-v1:0/invoke-with-response-stream", True),
        ("/model/amazon.nova-pro-v1:0/converse-stream", True),
        (f"{VERTEX}/anthropic/models/claude-sonnet-4-5:streamRawPredict", True),
        (f"{VERTEX}/google/models/gemini-2.5-pro:generateContent", True),
        (f"{VERTEX}/anthropic/models/count-tokens:rawPredict", False),
        ("/functions/f/invoke", False),
        ("/v1/files", False),
        ("/", False),
        ("", False),
    ],
)
def test_calls_of_models_that_are_not_read_are_known_as_such(path: str, unread: bool) -> None:
    assert wire.unread("POST", path) == unread
    assert not wire.unread("GET", path)
    assert wire.recognise("POST", path) is None
