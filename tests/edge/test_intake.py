"""What the URL and the headers of a request say, and what of it is remembered."""

from __future__ import annotations

import pytest

from costopt.edge.intake import Address, Known, address_of

HEAD = [
    (b"Host", b"api.openai.com"),
    (b"Authorization", b"Bearer one"),
    (b"OpenAI-Beta", b"assistants=v2"),
    (b"Content-Length", b"100"),
    (b"x-costopt-tags", b"agent=planner"),
]


@pytest.mark.parametrize(
    ("method", "url", "address"),
    [
        (
            "POST",
            "https://api.openai.com/v1/chat/completions",
            Address("chat", "openai", "https://api.openai.com/v1/chat/completions", ""),
        ),
        (
            "POST",
            "https://mine.openai.azure.com/openai/deployments/d/chat/completions?api-version=1",
            Address(
                "chat",
                "azure",
                "https://mine.openai.azure.com/openai/deployments/d/chat/completions",
                "api-version=1",
                "d",
            ),
        ),
        (
            "POST",
            "http://messages:8000/v1/messages",
            Address("messages", "anthropic", "http://messages:8000/v1/messages", ""),
        ),
        ("POST", "http://messages", None),
        ("GET", "https://api.openai.com/v1/responses", None),
        ("POST", "https://api.openai.com/v1/files", None),
    ],
)
def test_where_a_request_goes(method: str, url: str, address: Address | None) -> None:
    assert address_of(method, url) == address
    assert Known().address(method, url) == address


def test_what_is_remembered_is_what_these_headers_say() -> None:
    known = Known()
    first = known.letterhead(HEAD)
    assert first.asked == {b"tags": b"agent=planner"} and first.variant == "openai-beta:assistants=v2"
    longer = [(name, b"101" if name == b"Content-Length" else value) for name, value in HEAD]
    assert known.letterhead(longer) is first
    other = [(name, b"Bearer two" if name == b"Authorization" else value) for name, value in HEAD]
    assert known.letterhead(other).tenant not in ("", first.tenant)
    assert known.letterhead(HEAD[:-1]).asked == {}


def test_a_model_call_that_is_not_read_is_named_in_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    known = Known()
    for _ in range(2):
        assert known.address("POST", "https://bedrock.example/model/nova/invoke?key=secret") is None
        assert known.address("POST", "https://api.openai.com/v1/files") is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "bedrock.example/model/nova/invoke pass by unread" in caplog.text
    assert "secret" not in caplog.text
