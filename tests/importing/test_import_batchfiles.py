"""A provider batch's input and output files, joined into calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from import_material import START, START_NS, answer, answers, bodies, body, facts, imported, whys


def test_a_batch_is_two_files_in_any_order(tmp_path: Path) -> None:
    asked = {"custom_id": "r-1", "method": "POST", "url": "/v1/chat/completions", "body": body()}
    told = {
        "status_code": 200,
        "request_id": "req",
        "body": answer(id="chatcmpl-1", created=START_NS // 10**9),
    }
    answered = {"id": "batch_req_1", "custom_id": "r-1", "response": told, "error": None}
    done = imported(tmp_path, [answered, asked])
    assert (done.new, done.unusable) == (1, [])
    assert imported(tmp_path, [asked, answered]).new == 0
    (fact,) = facts(tmp_path)
    assert (fact.cost, fact.endpoint, fact.usage.service_tier) == (175_000, "/v1/chat/completions", "batch")  # type: ignore[union-attr]


def test_halves_of_a_batch_that_stay_alone_are_named(tmp_path: Path) -> None:
    asked = {"custom_id": "r-1", "method": "POST", "url": "/v1/chat/completions", "body": body()}
    answered = {
        "id": "b",
        "custom_id": "r-2",
        "response": {"status_code": 200, "body": answer()},
        "error": None,
    }
    assert whys(imported(tmp_path, [asked, answered])) == [
        (1, "a batch's request without an answer: no line of its output file has this custom_id"),
        (2, "a batch's answer without a request: no line of its input file has this custom_id"),
    ]


def test_a_whole_call_may_have_a_custom_id(tmp_path: Path) -> None:
    whole = {"custom_id": "r", "body": body(), "response": {"body": answer()}, "timestamp": START}
    assert (
        imported(
            tmp_path, [whole, {**body(), "custom_id": "r", "response": answer(), "timestamp": START}]
        ).new
        == 2
    )


def test_an_expired_batch_line_is_a_failed_call(tmp_path: Path) -> None:
    asked = {"custom_id": "r-1", "method": "POST", "url": "/v1/chat/completions", "body": body()}
    expired = {
        "id": "b",
        "custom_id": "r-1",
        "response": None,
        "error": {"code": "batch_expired", "message": "late"},
    }
    imported(tmp_path, [asked, expired], start=START_NS)
    assert [(fact.outcome, fact.cost, fact.error) for fact in facts(tmp_path)] == [
        ("error", None, "batch_expired: late")
    ]


def test_two_batches_may_use_the_same_custom_ids(tmp_path: Path) -> None:
    def asked(n: int) -> Any:
        return {
            "custom_id": "r-1",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": body(f"batch {n}"),
        }

    def answered(n: int) -> Any:
        told = {"status_code": 200, "body": answer(f"answer {n}", created=START_NS // 10**9 + n)}
        return {"id": f"b{n}", "custom_id": "r-1", "response": told, "error": None}

    assert imported(tmp_path, [asked(1), asked(2), answered(1), answered(2)]).new == 2
    said = [
        (b["messages"][0]["content"], a["choices"][0]["message"]["content"])
        for b, a in zip(bodies(tmp_path), answers(tmp_path), strict=True)
    ]
    assert said == [("batch 1", "answer 1"), ("batch 2", "answer 2")]


def test_halves_of_an_anthropic_batch_are_one_call(tmp_path: Path) -> None:
    params = {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    usage = {"input_tokens": 1000, "output_tokens": 0}
    message = {
        "type": "message",
        "id": "msg_1",
        "content": [{"type": "text", "text": "hello"}],
        "stop_reason": "end_turn",
        "usage": usage,
    }
    halves = [
        {"custom_id": "a", "params": params},
        {"custom_id": "a", "result": {"type": "succeeded", "message": message}},
    ]
    imported(tmp_path, halves, start=START_NS)
    (fact,) = facts(tmp_path)
    assert (fact.api, fact.provider, fact.cost) == ("messages", "anthropic", 1_500_000)
