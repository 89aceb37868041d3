"""What of a litellm call is in the cache key, what is not, and what is never kept."""

from __future__ import annotations

import random
from typing import Any

import pytest
from edge.litellm_material import MODEL, litellm
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from pydantic import BaseModel

from costopt.decide import keys
from costopt.edge.litellm.intake import Asked, Setting, asked, outgoing
from costopt.edge.litellm.names import owned

OWNED = owned(litellm)
MESSAGES = [{"role": "user", "content": "Hello"}]


def call(api: Any = "chat", shared: bool = False, alias: str = "auto", **more: Any) -> Asked:
    given = {"model": MODEL, "messages": MESSAGES, "api_key": "sk-test", **more}
    made = asked(Setting(litellm, OWNED, shared, alias), api, given, "call-1")
    assert made is not None
    return made


def key(**more: Any) -> str:
    return keys.key(call(**more).request)


class Shape(BaseModel):
    number: int


class Other(BaseModel):
    number: str


DIFFERENT: list[dict[str, Any]] = [
    {},
    {"stop": "a", "user": "b"},
    {"stop": "auser: b"},
    {"temperature": 0},
    {"temperature": 0.5},
    {"top_k": 1},
    {"top_k": 2},
    {"min_p": 0.1},
    {"n": 2},
    {"seed": 7},
    {"logit_bias": {50256: -100}},
    {"safety_settings": [{"category": "HARM", "threshold": "BLOCK_NONE"}]},
    {"extra_body": {"guided_json": {"a": 1}}},
    {"extra_body": {"guided_json": {"a": 2}}},
    {"extra_headers": {"anthropic-beta": "one"}},
    {"extra_headers": {"anthropic-beta": "two"}},
    {"headers": {"openai-organization": "one"}},
    {"api_base": "http://one"},
    {"api_base": "http://two"},
    {"base_url": "http://three"},
    {"api_version": "2024-10-21"},
    {"custom_llm_provider": "azure"},
    {"deployment_id": "mine"},
    {"mock_response": "hello"},
    {"mock_response": "goodbye"},
    {"response_format": {"type": "json_object"}},
    {"response_format": Shape},
    {"response_format": Other},
    {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
    {"tools": [{"type": "function", "function": {"name": "g", "parameters": {}}}]},
    {"reasoning_effort": "low"},
    {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    {"drop_params": True},
    {"prompt_cache_key": "a"},
    {"max_tokens": 5},
    {"aws_region_name": "eu-west-1"},
    {"prompt_id": "p1"},
    {"user_continue_message": {"role": "user", "content": "go on"}},
    {"model": "openai/gpt-4o"},
    {"messages": [{"role": "user", "content": "Hello "}]},
    {"messages": [{"role": "system", "content": "Hello"}]},
    {"api_key": "sk-other"},
]


def test_whatever_could_change_the_answer_changes_the_key() -> None:
    found = [key(**more) for more in DIFFERENT]
    assert len(set(found)) == len(DIFFERENT)


SAME: list[dict[str, Any]] = [
    {"stream": True},
    {"stream": False},
    {"stream": True, "stream_options": {"include_usage": True}},
    {"timeout": 3},
    {"request_timeout": 3, "num_retries": 2, "max_retries": 0},
    {"metadata": {"trace": "1"}, "litellm_call_id": "x", "litellm_trace_id": "y"},
    {"logger_fn": print, "verbose": True, "no-log": True},
    {"langfuse_public_key": "pk", "langfuse_host": "http://logs"},
    {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6},
    {"client": object(), "shared_session": object()},
    {"caching": True, "cache": {"ttl": 5}},
    {"temperature": None, "tools": None},
    {"extra_headers": {"x-costopt-tags": "a=b", "traceparent": "00-1-2-03", "x-request-id": "7"}},
]


@pytest.mark.parametrize("more", SAME, ids=lambda more: " ".join(more))
def test_noise_does_not_change_the_key(more: dict[str, Any]) -> None:
    assert key(**more) == key()
    assert call(**more).request.control.cache == "on"


@settings(deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_arguments_does_not_change_the_key(chance: random.Random) -> None:
    pairs = [
        ("temperature", 0.1),
        ("stop", ["a", "b"]),
        ("user", "u"),
        ("top_k", 3),
        ("api_base", "http://x"),
    ]
    chance.shuffle(pairs)
    assert key(**dict(pairs)) == key(temperature=0.1, stop=["a", "b"], user="u", top_k=3, api_base="http://x")


texts = st.text(max_size=8)


@settings(deadline=None)
@given(texts, texts, texts, texts)
def test_texts_do_not_run_into_each_other(stop: str, user: str, other_stop: str, other_user: str) -> None:
    one, two = key(stop=stop, user=user), key(stop=other_stop, user=other_user)
    assert (one == two) is ((stop, user) == (other_stop, other_user))


def test_secrets_are_nowhere_in_the_request() -> None:
    secrets = {
        "api_key": "sk-secret-1",
        "aws_secret_access_key": "sk-secret-2",
        "vertex_credentials": "sk-secret-3",
        "azure_ad_token": "sk-secret-4",
        "extra_headers": {"Authorization": "Bearer sk-secret-5", "x-custom-auth": "sk-secret-6"},
        "langfuse_secret_key": "sk-secret-7",
        "token": "sk-secret-9",
        "private_key": "sk-secret-10",
        "model_list": [{"litellm_params": {"api_key": "sk-secret-8"}}],
    }
    assert "sk-secret" not in repr(call(**secrets).request)


def test_whose_answers_these_are() -> None:
    assert call().request.tenant == call(temperature=1).request.tenant != ""
    assert call(api_key="sk-other").request.tenant != call().request.tenant
    assert call(extra_headers={"x-costopt-tags": "tenant=acme"}).request.tenant == "tag:acme"
    assert call(shared=True).request.tenant == ""
    by_header = call(api_key=None, extra_headers={"authorization": "Bearer x"}).request.tenant
    assert by_header not in ("", call(api_key=None).request.tenant)


def test_a_key_from_the_environment_is_a_tenant_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one")
    one = call(api_key=None).request.tenant
    monkeypatch.setenv("OPENAI_API_KEY", "sk-two")
    assert one and call(api_key=None).request.tenant not in ("", one)


def test_a_base_url_from_the_environment_is_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key()
    monkeypatch.setenv("OPENAI_BASE_URL", "http://elsewhere")
    assert key() != before


class Client:
    """What matters of an SDK client that is given for one call."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self.base_url = base_url
        self.api_key = api_key


def test_a_client_given_for_the_call_decides_where_it_goes() -> None:
    clients = [Client("http://one", "a"), Client("http://two", "a"), Client("http://two", "b")]
    assert len({key(client=client) for client in clients} | {key()}) == 4
    assert key(client=Client("http://one", "a")) == key(client=clients[0])


class Moody(BaseModel):
    @classmethod
    def model_json_schema(cls, *_: Any, **__: Any) -> dict[str, Any]:
        raise RuntimeError("not today")


def test_a_complete_response_is_no_stream() -> None:
    assert call(stream=True).request.stream and call(stream=1).request.stream
    assert not call(stream=True, complete_response=True).request.stream
    assert not call().request.stream


class Opaque:
    """Something that has no JSON form."""


@pytest.mark.parametrize(
    "more",
    [
        {"unknown": Opaque()},
        {"unknown": lambda: 1},
        {"response_format": Opaque},
        {"response_format": Moody},
        {"tools": [Opaque()]},
        {"fallbacks": ["openai/gpt-4o"]},
        {"model_list": []},
        {"context_window_fallback_dict": {MODEL: "openai/gpt-4o"}},
    ],
)
def test_what_nobody_can_tell_apart_is_not_cached(more: dict[str, Any]) -> None:
    made = call(**more)
    assert made.request.control.cache == "off"
    assert next(iter(more)) in made.request.control.why
    assert made.arguments[next(iter(more))] is next(iter(more.values()))


def test_a_recursive_value_is_no_crash() -> None:
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    assert call(extra_body=loop).request.control.cache == "off"


@pytest.mark.parametrize(
    ("model", "more", "name", "provider"),
    [
        ("gpt-4o-mini", {}, "gpt-4o-mini", "openai"),
        ("openai/gpt-4o-mini", {}, "gpt-4o-mini", "openai"),
        ("anthropic/claude-sonnet-4-5", {}, "claude-sonnet-4-5", "anthropic"),
        ("claude-sonnet-4-5", {}, "claude-sonnet-4-5", "anthropic"),
        ("azure/my-deployment", {}, "my-deployment", "azure"),
        ("groq/llama-3.3-70b-versatile", {}, "llama-3.3-70b-versatile", "groq"),
        ("my-model", {"custom_llm_provider": "openai"}, "my-model", "openai"),
        ("auto", {}, "auto", ""),
    ],
)
def test_the_model_as_prices_know_it(model: str, more: dict[str, Any], name: str, provider: str) -> None:
    request = call(model=model, **more).request
    assert (request.model, request.provider) == (name, provider)
    assert request.body["model"] == model


def test_no_model_is_litellms_to_refuse() -> None:
    setting = Setting(litellm, OWNED, False, "")
    assert asked(setting, "chat", {"messages": []}, "1") is None
    assert asked(setting, "chat", {"model": 3}, "1") is None


def test_untouched_arguments_go_out_as_the_very_same_objects() -> None:
    fmt, messages = Shape, list(MESSAGES)
    made = call(response_format=fmt, messages=messages, temperature=None)
    sent = outgoing(made, made.request)
    assert sent["response_format"] is fmt and sent["messages"] is messages and "temperature" in sent


def test_only_what_was_edited_is_edited() -> None:
    made = call(response_format=Shape, extra_headers={"x-costopt-cache": "off", "x-mine": "1"})
    shorter = [{"role": "user", "content": "Hi"}]
    sent = outgoing(made, replace(made.request, body={**made.request.body, "messages": shorter}))
    assert sent["messages"] == shorter and sent["model"] == MODEL and sent["response_format"] is Shape
    assert sent["extra_headers"] == {"x-mine": "1"}
    body = {name: value for name, value in made.request.body.items() if name != "response_format"}
    assert "response_format" not in outgoing(made, replace(made.request, body=body))


def test_another_model_of_the_same_provider() -> None:
    made = call(api_base="http://one")
    other = replace(made.request, model="gpt-4o", body={**made.request.body, "model": "gpt-4o"})
    sent = outgoing(made, other)
    assert sent["model"] == "openai/gpt-4o" and sent["api_base"] == "http://one"
    bare = call(custom_llm_provider="openai", model="a")
    sent = outgoing(bare, replace(bare.request, model="b", body={**bare.request.body, "model": "b"}))
    assert sent["model"] == "b"


def test_another_provider_never_sees_this_ones_secrets() -> None:
    given = {
        "api_base": "http://one",
        "api_version": "1",
        "extra_headers": {"authorization": "Bearer x"},
        "organization": "org",
        "aws_secret_access_key": "s",
        "aws_region_name": "eu-west-1",
        "extra_body": {"a": 1},
        "temperature": 0.5,
    }
    made = call(**given)
    body = {**made.request.body, "model": "claude-haiku-4-5"}
    sent = outgoing(made, replace(made.request, model="claude-haiku-4-5", provider="anthropic", body=body))
    assert sent == {
        "model": "anthropic/claude-haiku-4-5",
        "messages": MESSAGES,
        "temperature": 0.5,
        "drop_params": True,
    }


def test_the_callers_objects_are_never_shared_with_the_flow() -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]
    made = call(messages=messages)
    messages[0]["content"][0]["text"] = "changed"  # type: ignore[index]
    assert made.request.body["messages"][0]["content"][0]["text"] == "Hello"
