"""Calls to another provider, through the real litellm, against a provider on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
from edge.litellm_material import litellm

from costopt import wire
from costopt.demo.simulator import Simulator
from costopt.errors import NoModel, UpstreamError
from costopt.types import Api, Request
from costopt.world.upstream import complete, failure_of

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    with Simulator() as simulator:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
        monkeypatch.setenv("OPENAI_BASE_URL", simulator.base_url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-anthropic")
        monkeypatch.setenv("ANTHROPIC_API_BASE", simulator.url)
        yield simulator


def request(provider: str, model: str, api: Api = "chat", **more: Any) -> Request:
    body = {"model": model, "messages": [{"role": "user", "content": "Where is it?"}], **more}
    return Request(
        id="1",
        api=api,
        model=model,
        body=body,
        endpoint="https://x",
        provider=provider,
        stream=True,
        notes=[],
    )


@pytest.mark.parametrize(
    ("name", "model"), [("openai", "gpt-4o-mini"), ("anthropic", "claude-haiku-4-5-20251001")]
)
def test_an_answer_comes_back_as_openai_json(provider: Simulator, name: str, model: str) -> None:
    reply = complete(request(name, model, stream=True, stream_options={"include_usage": True}))
    assert (reply.status, reply.finish) == (200, "stop")
    assert reply.usage is not None and reply.usage.prompt > 0 and reply.usage.output > 0
    answer = msgspec.json.decode(reply.body)
    assert answer["object"] == "chat.completion" and answer["choices"][0]["message"]["content"]
    assert provider.calls == 1 and "stream_options" not in provider.requests[0][1]
    assert wire.answer_stream("chat", reply, {"stream": True}).endswith(b"data: [DONE]\n\n")


def test_keys_come_from_the_environment(provider: Simulator) -> None:
    complete(request("anthropic", "claude-haiku-4-5-20251001"))
    assert provider.headers[0]["x-api-key"] == "sk-anthropic"


def test_a_body_cannot_send_the_call_or_its_key_elsewhere(provider: Simulator) -> None:
    asked = request(
        "openai",
        "gpt-4o-mini",
        api_base="http://127.0.0.1:9/",
        base_url="http://127.0.0.1:9/",
        api_key="sk-other",
        mock_response="no",
        extra_headers={"x-evil": "1"},
        custom_llm_provider="azure",
        fallbacks=["openai/gpt-4o"],
        temperature=0.5,
    )
    complete(asked)
    assert provider.headers[0]["authorization"] == "Bearer sk-openai"
    assert provider.requests[0][1] == {
        "model": "gpt-4o-mini",
        "messages": asked.body["messages"],
        "temperature": 0.5,
    }
    assert "api_base" in asked.notes[0].what and "sk-other" not in asked.notes[0].what


def test_fields_a_model_has_no_use_for_are_dropped(provider: Simulator) -> None:
    complete(request("anthropic", "claude-haiku-4-5-20251001", logit_bias={"1": 2}, seed=3, temperature=0.5))
    body = provider.requests[0][1]
    assert "logit_bias" not in body and body["temperature"] == 0.5


def test_tools_reach_the_other_provider(provider: Simulator) -> None:
    complete(request("anthropic", "claude-haiku-4-5-20251001", tools=[TOOL]))
    assert provider.requests[0][1]["tools"][0]["name"] == "look"


def test_what_is_essential_is_not_dropped_but_refused(provider: Simulator) -> None:
    with pytest.raises(NoModel, match=r"anthropic/claude-haiku-4-5-20251001 takes no modalities"):
        complete(request("anthropic", "claude-haiku-4-5-20251001", modalities=["text", "audio"]))
    assert provider.calls == 0


@pytest.mark.parametrize("api", ["responses", "messages", "embeddings", "completions"])
def test_other_apis_are_refused_and_told_which_works(api: Api) -> None:
    with pytest.raises(NoModel, match="only Chat Completions") as refused:
        complete(request("anthropic", "claude-haiku-4-5", api))
    assert api in str(refused.value) and "chat.completions.create" in str(refused.value)


def test_failures_carry_status_cause_and_the_wait_asked_for(provider: Simulator) -> None:
    provider.fail(429, retry_after=7)
    with pytest.raises(UpstreamError) as failed:
        complete(request("openai", "gpt-4o-mini"))
    assert provider.calls == 1
    assert failed.value.reply is not None and failed.value.reply.status == 429
    assert failed.value.retry_after_s == 7
    assert isinstance(failed.value.cause, litellm.exceptions.RateLimitError)
    assert msgspec.json.decode(failed.value.reply.body)["error"]["type"] == "RateLimitError"


def test_a_missing_key_is_a_failure_like_any_other(
    provider: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.delenv("ANTHROPIC_AUTH_TOKEN", raising=False)
    with pytest.raises(UpstreamError) as failed:
        complete(request("anthropic", "claude-haiku-4-5-20251001"))
    assert failed.value.reply is not None and failed.value.reply.status == 401
    assert provider.calls == 0


def test_a_call_never_answered_has_no_reply_and_the_http_librarys_cause(
    provider: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("costopt.world.upstream.TIMEOUT", 0.3)
    provider.hang()
    with pytest.raises(UpstreamError) as failed:
        complete(request("anthropic", "claude-haiku-4-5-20251001"))
    assert failed.value.reply is None and failed.value.sent
    assert isinstance(failed.value.cause, httpx.ReadTimeout)  # which the SDKs tell as their own timeout
    assert isinstance(failed.value.__cause__, litellm.exceptions.Timeout)


def test_a_call_that_reached_nobody_was_not_sent(
    provider: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_BASE", "http://127.0.0.1:1")
    with pytest.raises(UpstreamError) as failed:
        complete(request("anthropic", "claude-haiku-4-5-20251001"))
    assert failed.value.reply is None and not failed.value.sent
    assert isinstance(failed.value.cause, httpx.ConnectError)


def test_what_is_missing_is_missed_before_anything_is_sent() -> None:
    assert not failure_of(ModuleNotFoundError("No module named 'mcp'")).sent


def test_a_failure_without_a_status() -> None:
    failure = failure_of(ValueError("odd"))
    assert failure.reply is None and isinstance(failure.cause, ValueError)


def test_the_users_callbacks_hear_nothing_of_it(provider: Simulator) -> None:
    heard: list[Any] = []
    before = list(litellm.success_callback)
    litellm.success_callback.append(lambda *args: heard.append(args))
    try:
        complete(request("openai", "gpt-4o-mini"))
    finally:
        litellm.success_callback[:] = before
    assert heard == []


def test_the_first_import_asks_no_network_and_leaves_the_environment_alone(provider: Simulator) -> None:
    code = """
import socket, os, sys
real = socket.socket.connect
def connect(self, address):
    assert address[0] == "127.0.0.1", address
    return real(self, address)
socket.socket.connect = connect
def resolved(host, *rest, _real=socket.getaddrinfo, **more):
    assert host in ("127.0.0.1", b"127.0.0.1"), host
    return _real(host, *rest, **more)
socket.getaddrinfo = resolved
import costopt.world.upstream as upstream
from costopt.types import Request
assert "litellm" not in sys.modules
body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
asked = Request(id="1", api="chat", model="gpt-4o-mini", body=body, endpoint="", provider="openai", notes=[])
print(upstream.complete(asked).status, "LITELLM_LOCAL_MODEL_COST_MAP" in os.environ)
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LITELLM_")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "200 False", done.stderr
