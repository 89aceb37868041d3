"""litellm's standard logging payloads: every token once, hits for nothing, no keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from import_material import facts, imported

from costopt import wire
from costopt.importing.formats.litellm import read
from costopt.importing.words import Found, Imported, Line, Options, Unusable
from costopt.types import Json, Usage
from costopt.wire.loose import encode

BEGAN = 1_793_530_000.25


def _lines(*values: Any) -> list[Line]:
    return [Line("log.jsonl", number, json.dumps(value).encode()) for number, value in enumerate(values, 1)]


def _found(*values: Any) -> list[Found]:
    return list(read(_lines(*values), Options()))


def _one(value: Any) -> Imported:
    (found,) = _found(value)
    assert isinstance(found, Imported)
    return found


def _usage(prompt: int = 100, completion: int = 7, **more: Any) -> Json:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "completion_tokens_details": None,
        "prompt_tokens_details": None,
        **more,
    }


def _completion(usage: Json, **message: Any) -> Json:
    said = {"role": "assistant", "content": "four", "tool_calls": None, **message}
    return {
        "id": "chatcmpl-a",
        "object": "chat.completion",
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "finish_reason": "stop", "message": said}],
        "usage": usage,
    }


def _payload(**fields: Any) -> Json:
    usage = fields.pop("usage", _usage())
    return {
        "id": "chatcmpl-a",
        "litellm_call_id": "c-1",
        "trace_id": "t-1",
        "session_id": "",
        "call_type": "acompletion",
        "cache_hit": None,
        "status": "success",
        "custom_llm_provider": "openai",
        "startTime": BEGAN,
        "endTime": BEGAN + 1.5,
        "model": "gpt-4o-mini",
        "api_base": "https://api.openai.com/v1/",
        "messages": [{"role": "user", "content": "two and two?"}],
        "response": _completion(usage),
        "model_parameters": {"temperature": 0.2, "stream": False},
        "metadata": {"usage_object": usage, "user_api_key_hash": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05"},
        "response_cost": 0.00001935,
        "request_tags": [],
        **fields,
    }


def test_a_completion_is_read_whole() -> None:
    call = _one(_payload())
    assert (call.api, call.provider, call.model) == ("chat", "openai", "gpt-4o-mini")
    assert (call.at, call.ended) == (1_793_530_000_250_000_000, 1_793_530_001_750_000_000)
    assert call.endpoint == "https://api.openai.com/v1/chat/completions"
    assert call.body["messages"] == [{"role": "user", "content": "two and two?"}]
    assert call.body["temperature"] == 0.2
    assert call.usage == Usage(input=100, output=7)
    assert call.cost == 19_350
    assert not call.partial and not call.hit


def test_prompts_of_openai_hold_the_cached_tokens() -> None:
    call = _one(_payload(usage=_usage(2000, prompt_tokens_details={"cached_tokens": 1024})))
    assert call.usage == Usage(input=976, cache_read=1024, output=7)


def test_prompts_of_anthropic_hold_them_too_and_hour_long_writes_are_told_apart() -> None:
    lives = {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}
    details = {
        "cached_tokens": 200,
        "cache_write_tokens": 30,
        "cache_creation_tokens": 30,
        "cache_creation_token_details": lives,
    }
    usage = _usage(
        240, prompt_tokens_details=details, cache_creation_input_tokens=30, cache_read_input_tokens=200
    )
    call = _one(_payload(usage=usage, custom_llm_provider="anthropic"))
    assert call.usage == Usage(input=10, cache_read=200, cache_write=10, cache_write_1h=20, output=7)


def test_prompts_smaller_than_their_cached_part_did_not_hold_it() -> None:
    usage = _usage(10, cache_read_input_tokens=200, cache_creation_input_tokens=30)
    assert _one(_payload(usage=usage)).usage == Usage(input=10, cache_read=200, cache_write=30, output=7)


def test_a_hit_of_litellms_cache_is_a_hit() -> None:
    call = _one(_payload(cache_hit=True, id="chatcmpl-a_cache_hit1793530000.1", response_cost=0.0))
    assert call.hit and call.cost is None and call.usage == Usage(input=100, output=7)


def test_no_cost_is_an_unknown_cost() -> None:
    assert _one(_payload(response_cost=0.0)).cost is None
    assert _one(_payload(response_cost=None)).cost is None


def test_the_same_payload_twice_is_the_same_call_and_one_id_at_two_times_is_two_calls() -> None:
    same = _found(_payload(), _payload(), _payload(startTime=BEGAN + 60))
    first, again, later = (found.id for found in same if isinstance(found, Imported))
    assert first == again != later


def test_lists_wrapped_payloads_and_indented_files_are_read() -> None:
    whole = json.dumps([_payload(), {"standard_logging_object": _payload(id="b")}], indent=2).encode()
    lines = [Line("s3.json", number, data) for number, data in enumerate(whole.split(b"\n"), 1)]
    assert len([found for found in read(lines, Options()) if isinstance(found, Imported)]) == 2


def test_a_failure_keeps_its_status_and_kind_and_none_of_its_text() -> None:
    about = {"error_code": "429", "error_class": "RateLimitError", "error_message": "key sk-live-1 used up"}
    call = _one(
        _payload(status="failure", response={}, error_information=about, metadata={}, response_cost=0.0)
    )
    assert (call.status, call.error, call.answer) == (429, "RateLimitError", None)
    text = "litellm.AuthenticationError: 401 wrong key sk-live-1"
    call = _one(_payload(status="failure", response=None, error_str=text, metadata={}))
    assert (call.status, call.error) == (401, "AuthenticationError")


def test_keys_hashes_and_mail_stay_out_and_names_become_tags() -> None:
    about = {
        "user_api_key_hash": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05",
        "user_api_key_user_email": "someone@example.com",
        "user_api_key_alias": "ci-bot",
        "user_api_key_team_alias": "search",
        "requester_custom_headers": {"x-api-key": "sk-live-1"},
        "spend_logs_metadata": {"feature": "rank"},
    }
    tags = ["agent=planner", "env:prod", "beta", "User-Agent: openai-python", "User-Agent: x/1"]
    call = _one(_payload(metadata=about, end_user="u7", request_tags=tags))
    assert call.tags == {
        "user": "u7",
        "team": "search",
        "key": "ci-bot",
        "session": "t-1",
        "feature": "rank",
        "agent": "planner",
        "env": "prod",
        "beta": "yes",
    }
    assert not any(secret in str(call) for secret in ("88dc28", "someone@", "sk-live"))


def test_embeddings_have_their_input_in_the_messages() -> None:
    answer = {
        "object": "list",
        "model": "e",
        "data": [{"embedding": [0.1], "index": 0}],
        "usage": _usage(3, 0),
    }
    said = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    call = _one(
        _payload(call_type="aembedding", messages=said, response=answer, model="text-embedding-3-small")
    )
    assert (call.api, call.body["input"], call.usage) == ("embeddings", ["a", "b"], Usage(input=3))


def test_anthropic_messages_keep_their_own_request_and_get_their_own_answer() -> None:
    calls = [{"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}]
    answer = _completion(_usage(), content="ok", tool_calls=calls)
    answer["choices"][0]["finish_reason"] = "tool_calls"
    said = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
    call = _one(_payload(call_type="anthropic_messages", messages=said, response=answer))
    assert call.api == "messages" and call.answer is not None
    assert (call.body["system"], call.body["messages"]) == ("be brief", said[1:])
    summary = wire.dialect("messages").summary(call.answer)
    assert (summary.finish, summary.usage) == ("tool", Usage(input=100, output=7))
    assert call.answer["content"][1] == {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}


def test_responses_and_text_completions() -> None:
    call = _one(_payload(call_type="responses", response={"output": [], "status": "completed"}))
    assert call.api == "responses" and call.body["input"] == [{"role": "user", "content": "two and two?"}]
    call = _one(_payload(call_type="atext_completion", response={"choices": [{"text": "4"}]}))
    assert call.api == "completions" and call.body["prompt"] == "two and two?"


def test_redacted_calls_count_and_no_cache_may_be_keyed_by_them() -> None:
    hidden = "redacted-by-litellm"
    call = _one(_payload(messages=[{"role": "user", "content": hidden}], response={"text": hidden}))
    assert call.partial and call.answer is None and call.usage == Usage(input=100, output=7)


def test_other_call_types_are_nothing_or_missed_in_the_bill() -> None:
    assert _found(_payload(call_type="alist_files", response_cost=0.0, response={}, metadata={})) == []
    (found,) = _found(_payload(call_type="aimage_generation", response={"data": [{"url": "x"}]}))
    assert isinstance(found, Unusable) and "images" in found.why


def test_pass_through_calls_are_known_by_their_answers() -> None:
    own = {
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": "ok"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 4, "output_tokens": 2},
    }
    call = _one(_payload(call_type="pass_through_endpoint", response=own, metadata={}))
    assert (call.api, call.answer) == ("messages", own)
    assert call.usage == Usage(input=10, cache_read=4, output=2)


def test_lines_that_are_no_payload_are_told_with_their_number() -> None:
    lines = [*_lines({"hello": 1}, _payload(startTime=None)), Line("log.jsonl", 3, b'{"id": "x", "mess')]
    found = list(read(lines, Options()))
    assert [each.line for each in found if isinstance(each, Unusable)] == [1, 2, 3]


_COUNT = st.integers(0, 10**6)


@given(fresh=_COUNT, read_=_COUNT, short=_COUNT, long=_COUNT, out=_COUNT)
def test_no_token_is_lost_or_counted_twice(fresh: int, read_: int, short: int, long: int, out: int) -> None:
    details = {
        "cached_tokens": read_,
        "cache_creation_tokens": short + long,
        "cache_creation_token_details": {
            "ephemeral_1h_input_tokens": long,
            "ephemeral_5m_input_tokens": short,
        },
    }
    usage = _usage(fresh + read_ + short + long, out, prompt_tokens_details=details)
    found = _one(_payload(usage=usage)).usage or Usage()
    assert found == Usage(input=fresh, cache_read=read_, cache_write=short, cache_write_1h=long, output=out)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(_payload())), _JSON, max_size=6))
def test_whatever_a_field_holds_nothing_breaks(odd: Json) -> None:
    lines = [Line("log.jsonl", 1, encode({**_payload(), **odd}))]
    assert len(list(read(lines, Options()))) <= 1


def test_a_hit_costs_nothing_in_the_ledger_and_twice_imported_is_once_there(tmp_path: Path) -> None:
    lines = [_payload(), _payload(id="chatcmpl-a_cache_hit1", cache_hit=True, startTime=BEGAN + 9)]
    imported(tmp_path, lines, "litellm")
    imported(tmp_path, lines, "litellm")
    paid, hit = sorted(facts(tmp_path), key=lambda fact: fact.started)
    assert (paid.outcome, hit.outcome) == ("ok", "hit")
    assert paid.cost == 19_200 and hit.cost == 0
