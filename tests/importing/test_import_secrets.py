"""No key, cookie or header of a log reaches the ledger; prompts and answers stay as they are."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from import_material import START_NS, answer, answers, bodies, body, facts, imported, line

from costopt.importing.secretwords import WITHHELD, may_be_secret, withheld
from costopt.world.ledger import Reader

SECRETS = {
    "Authorization": "Bearer planted-1",
    "x-api-key": "planted-2",
    "api-key": "planted-3",
    "Cookie": "session=planted-4; csrf=planted-4",
    "X-Goog-Api-Key": "planted-5",
    "x-litellm-api-key": "planted-13",
    "X-Custom-Auth": "planted-14",
    "X-House-Key": "planted-15",
    "Proxy-Authorization": "Basic cGxhbnRlZA==planted",
}
PLACES = [
    lambda: line(headers=SECRETS),
    lambda: line(**SECRETS),
    lambda: {**body(), **SECRETS, "response": answer(), "timestamp": START_NS},
    lambda: line(request={**body(), "extra_headers": SECRETS, "api_key": "planted-6"}),
    lambda: line(
        request={"method": "POST", "headers": SECRETS, "url": "https://a/v1/chat/completions", "body": body()}
    ),
    lambda: line(response={"status_code": 200, "headers": SECRETS, "body": answer()}),
    lambda: line(response=answer(_hidden_params={"headers": SECRETS, "api_key": "planted-7"})),
    lambda: line(request=body(tools=[{"type": "mcp", "headers": SECRETS, "authorization": "planted-8"}])),
    lambda: line(error="401: Authorization: Bearer planted-11 and sk-planted-12 were refused"),
    lambda: line(tags={**SECRETS, "agent": "planner"}),
    lambda: line(response=answer(usage={"prompt_tokens": 1, "headers": SECRETS})),
    lambda: line(endpoint="https://user:planted-9@api.example/v1/chat/completions?key=planted-10"),
]


def as_text(headers: dict[str, str]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in headers.items())


def as_pairs(headers: dict[str, str]) -> list[Any]:
    return [[name, value] for name, value in headers.items()]


def as_rows(headers: dict[str, str]) -> list[Any]:
    return [{"name": name, "value": value} for name, value in headers.items()]


def as_flat(headers: dict[str, str]) -> list[str]:
    return [part for pair in headers.items() for part in pair]


FORMS: list[Any] = [dict, as_text, as_pairs, as_rows, as_flat, json.dumps]


def stored(ledger: Path) -> str:
    """All that a ledger holds: its files as they are, and its texts unpacked."""
    with Reader(ledger) as reader:
        texts = [str(reader.body(fact)) + str(reader.answer(fact)) + str(fact) for fact in reader.facts()]
    with sqlite3.connect(ledger / "ledger.sqlite3") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    files = [file.read_bytes().decode("latin-1") for file in ledger.rglob("*") if file.is_file()]
    return "\n".join([*files, *texts])


@pytest.mark.parametrize("place", PLACES)
def test_no_secret_of_a_header_reaches_the_ledger(place: Any, tmp_path: Path) -> None:
    assert imported(tmp_path, [place()]).new == 1
    assert "planted" not in stored(tmp_path / "ledger")


@pytest.mark.parametrize("form", FORMS)
def test_headers_in_any_form_and_under_any_name(form: Any, tmp_path: Path) -> None:
    told = form(SECRETS)
    lines = [
        line(request=body(**{name: told}))
        for name in ("metadata", "extra_headers", "raw_headers", "litellm_params", "hdrs", "x")
    ]
    lines += [
        line(request=body(metadata={"properties": {"headers": told}, "http": {"hdrs": told}})),
        line(request=body(extra_body={"raw_headers": told, "options": {"sent": told}, "auth": told})),
        line(response=answer(metadata={"sent": told}, hidden=told)),
        line(response={"error": {"message": told, "type": "invalid"}}, status=401),
        line(response={"status_code": 500, "body": told if isinstance(told, str) else {"error": told}}),
        line(error=told if isinstance(told, str) else {"message": json.dumps(told)}),
        {
            **body(),
            "raw_request": {"headers": told},
            "sent": told,
            "response": answer(),
            "timestamp": START_NS,
        },
    ]
    done = imported(tmp_path, lines)
    assert (done.new, done.unusable) == (len(lines), [])
    assert not re.search(r"planted\S*", stored(tmp_path / "ledger"))


KEYS = [
    "sk-planted12345",
    "sk-proj-planted_12345",
    "sk-ant-api03-planted-12345",
    "gsk_planted12345",
    "xai-planted12345",
    "AIzaplanted12345",
    "AKIAPLANTED1234567",
    "ghp_planted12345",
    "github_pat_planted12345",
    "hf_planted12345",
    "xoxb-planted-12345",
    "Bearer planted12345",
    "bearer planted",
    "Basic cGxhbnRlZA==planted",
    "eyJplanted.eyJplanted.planted-planted",
    "x-api-key: planted",
    "x-api-key planted12345",
    "X-Custom-Auth: planted",
    "authorization=planted",
    "Authorization: Token planted",
    "Cookie: planted=planted; other=planted",
    '{"api_key": "planted"}',
    '{\\"secret\\": \\"planted\\"}',
    "Incorrect API key provided: planted",
    "https://planted:planted@api.example/v1",
    "https://api.example/v1?a=b&access_token=planted",
]


@pytest.mark.parametrize("key", KEYS)
def test_no_key_stays_in_errors_tags_and_metadata(key: str, tmp_path: Path) -> None:
    lines = [
        line(error=f"401: {key} was refused"),
        line(response={"error": {"message": f"no such key ({key})"}}, status=401),
        line(response={"status_code": 500, "body": f"oops: {key}"}),
        line(tags={"note": key, key: "note", "agent": "planner"}),
        line(tags=[key, f"note={key}"]),
        line(request=body(metadata={"note": key, "notes": [f"see {key}"], key: "x"})),
        line(request=body(user=key)),
        line(response=answer(metadata={"note": key})),
    ]
    done = imported(tmp_path, lines)
    assert (done.new, done.unusable) == (len(lines), [])
    assert "planted" not in stored(tmp_path / "ledger").lower()
    assert any(fact.tags.get("agent") == "planner" for fact in facts(tmp_path))


def test_tags_named_like_headers_are_left_out_and_others_stay(tmp_path: Path) -> None:
    kept = {"key": "production", "team": "a", "session": "s-1", "tokens": "7", "env": "sk"}
    imported(tmp_path, [line(tags={**kept, **SECRETS, "password": "planted"})], tags={"x-api-key": "planted"})
    assert [dict(fact.tags) for fact in facts(tmp_path)] == [kept]


def test_prompts_and_answers_are_the_users_own_text(tmp_path: Path) -> None:
    said = "Is Authorization: Bearer abcdef12345 right, or sk-abc12345 and x-api-key: abc?"
    tool = {"type": "function", "function": {"name": "f", "description": said}}
    asked = body(said, tools=[tool], prompt_cache_key="desk-1", user="u-1", temperature=0.5, max_tokens=7)
    imported(tmp_path, [line(request=asked, response=answer(said))])
    assert bodies(tmp_path) == [asked]
    assert answers(tmp_path) == [answer(said)]


@pytest.mark.parametrize(
    "told",
    [
        "Timeout: after 60 s",
        "rate_limit_error: Limit 30000 tokens per min, used 29000, requested 1200",
        "invalid x-api-key header",
        "maximum context length is 8192 tokens, max_tokens: 900",
        "Basic authentication is not supported",
        "risk-free task-list of desk-12 failed at 10:30",
    ],
)
def test_errors_without_keys_keep_their_words(told: str) -> None:
    assert withheld(told) == told


@given(st.text(max_size=60))
def test_what_was_cleaned_once_stays_as_it_is(told: str) -> None:
    once = withheld(told)
    assert withheld(once) == once


@pytest.mark.parametrize(
    "part", ["a", "x-", "sk-", "eyJ", "token", "://", "Bearer ", "cookie", "-", " ", "key="]
)
def test_long_texts_end_in_our_time(part: str) -> None:
    """A pattern that tries every length at every place would take hours here."""
    assert len(withheld(part * (200_000 // len(part)))) <= 200_000


def test_names_in_the_table() -> None:
    secret = [
        "X-Api-Key",
        "authorization",
        "aws_secret_access_key",
        "sessionToken",
        "Set-Cookie",
        "X-My-Key",
        "db password",
    ]
    plain = ["key", "tokens", "max_tokens", "author", "agent", "feature_key", "header_count", "user"]
    assert [name for name in plain if may_be_secret(name)] == []
    assert [name for name in secret if not may_be_secret(name)] == []
    assert withheld("a sk-abcdef b") == f"a {WITHHELD} b"


def test_a_schema_may_describe_a_field_that_is_called_like_a_secret(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"headers": {"type": "object"}, "api_key": {"type": "string"}}}
    asked = body(tools=[{"type": "function", "function": {"name": "fetch", "parameters": schema}}])
    imported(tmp_path, [line(request=asked)])
    with Reader(tmp_path / "ledger") as reader:
        assert [reader.body(fact) for fact in reader.facts()] == [asked]
