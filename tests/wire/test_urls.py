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
