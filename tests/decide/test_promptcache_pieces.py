"""Bodies as pieces: what the provider would see as the same prompt has the same pieces."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costopt.decide.promptcache import Cut, Piece, cut, pieces_from_parts, pieces_of, withheld
from costopt.types import Json
from costopt.world.ledger import parts

TOOL = {"name": "look", "description": "Looks " * 60, "input_schema": {"type": "object"}}
LONG = "A long text that many prompts share. " * 40


def taken_apart(body: Json) -> tuple[list[tuple[str, list[tuple[bytes, int, bytes | None]]]], Json]:
    """As the ledger stores a body: large values in parts, small ones inline."""
    shape, groups = parts.split(body)
    rest = iter(groups)
    large: list[tuple[str, list[tuple[bytes, int, bytes | None]]]] = []
    small: Json = {}
    for key, kind, value in parts.decode(shape):
        if kind == parts.INLINE:
            small[key] = value
        else:
            large.append((key, [(sha256(part).digest(), len(part), part) for part in next(rest)]))
    return large, small


def common(one: list[Piece], other: list[Piece]) -> int:
    same = 0
    while same < min(len(one), len(other)) and one[same].digest == other[same].digest:
        same += 1
    return same


def chat(*messages: Json, **rest: Any) -> list[Piece]:
    return pieces_of("chat", {"messages": list(messages), **rest})


def claude(*messages: Json, **rest: Any) -> list[Piece]:
    return pieces_of("messages", {"messages": list(messages), **rest})


def user(content: Any, **rest: Any) -> Json:
    return {"role": "user", "content": content, **rest}


contents = st.one_of(
    st.text(max_size=900),
    st.none(),
    st.lists(
        st.one_of(
            st.builds(lambda said: {"type": "text", "text": said}, st.text(max_size=300)),
            st.builds(lambda said: {"type": "tool_result", "tool_use_id": "t", "content": said}, st.text()),
            st.just({"type": "text", "text": "here", "cache_control": {"type": "ephemeral"}}),
            st.just({"type": "image", "source": {"type": "base64", "data": "AAAA" * 500}}),
            st.just({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}),
            st.text(max_size=9),
        ),
        max_size=4,
    ),
)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": contents},
        optional={"tool_call_id": st.just("c1"), "tool_calls": st.just([{"id": "c1", "type": "function"}])},
    ),
    max_size=5,
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "model": st.just("m"),
        "tools": st.just([TOOL, {**TOOL, "name": "other"}]),
        "system": st.one_of(st.text(), st.just([{"type": "text", "text": LONG}])),
        "instructions": st.text(),
        "messages": messages,
        "input": st.one_of(messages, st.text()),
        "text": st.just({"format": {"type": "json_schema", "schema": {"type": "object", "title": LONG}}}),
        "response_format": st.just({"type": "json_object"}),
        "thinking": st.just({"type": "enabled", "budget_tokens": 2000}),
        "tool_choice": st.just({"type": "any"}),
        "cache_control": st.sampled_from([{"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}]),
        "temperature": st.floats(0, 1),
    },
)


@given(bodies, st.sampled_from(["chat", "messages", "responses"]))
def test_a_body_taken_apart_has_the_pieces_of_the_whole(body: Json, api: str) -> None:
    large, small = taken_apart(body)
    memo: dict[tuple[str, bytes], Cut] = {}
    whole = pieces_of(api, body)
    assert pieces_from_parts(api, large, small) == whole
    assert pieces_from_parts(api, large, small, memo) == whole
    assert pieces_from_parts(api, large, small, memo) == whole


@given(bodies, st.sampled_from(["chat", "messages", "responses"]))
def test_every_piece_weighs_and_is_bounded(body: Json, api: str) -> None:
    for piece in pieces_of(api, body):
        assert piece.size >= 0
        assert len(piece.digest) == 16


@given(messages, messages)
def test_a_grown_conversation_begins_with_what_it_was(before: list[Json], added: list[Json]) -> None:
    one, other = chat(*before), chat(*before, *added)
    assert [piece.digest for piece in other[: len(one)]] == [piece.digest for piece in one]


@given(messages)
def test_neither_breakpoints_nor_the_order_of_keys_change_the_prompt(conversation: list[Json]) -> None:
    turned = [dict(reversed(message.items())) for message in conversation]
    marked = [{**message, "cache_control": {"type": "ephemeral"}} for message in turned]
    plain = [piece.digest for piece in chat(*conversation)]
    assert [piece.digest for piece in chat(*turned)] == plain
    assert [piece.digest for piece in chat(*marked)] == plain


def test_prompts_that_share_the_beginning_of_a_long_message_share_pieces() -> None:
    one, other = chat(user(LONG + "Who?")), chat(user(LONG + "Why?"))
    shared = common(one, other)
    assert len(one) - shared == 1
    assert sum(piece.size for piece in one[:shared]) > len(LONG) - 256


def test_a_string_and_one_text_block_are_the_same_prompt() -> None:
    assert chat(user(LONG)) == chat(user([{"type": "text", "text": LONG}]))
    said = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": LONG}]}]
    assert pieces_of("responses", {"input": LONG}) == pieces_of("responses", {"input": said})


def test_ids_and_empty_fields_of_an_answer_sent_back_do_not_matter() -> None:
    said = {"type": "output_text", "text": "Yes.", "annotations": [], "logprobs": []}
    whole = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [said]}
    bare = {"role": "assistant", "content": "Yes."}
    assert pieces_of("responses", {"input": [whole]}) == pieces_of("responses", {"input": [bare]})
    assert chat({**bare, "refusal": None, "audio": None}) == chat(bare)
    assert chat({"role": "assistant", "content": ""}) == chat({"role": "assistant", "content": None})


def test_items_that_are_only_referred_to_differ_by_id() -> None:
    one, other = ({"type": "item_reference", "id": name} for name in ("msg_1", "msg_2"))
    assert pieces_of("responses", {"input": [one]}) != pieces_of("responses", {"input": [other]})


def test_tools_come_first_then_the_system_prompt_then_the_messages() -> None:
    pieces = claude(user("hi"), system="Be brief.", tools=[TOOL])
    tools, system = claude(tools=[TOOL]), claude(system="Be brief.")
    assert pieces[: len(tools)] == tools
    assert pieces[len(tools) : len(tools) + len(system)] == system


@pytest.mark.parametrize(
    "change",
    [
        {"tool_choice": {"type": "any"}},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        {"output_config": {"effort": "low"}},
    ],
)
def test_claude_keeps_tools_and_system_when_a_switch_spoils_the_messages(change: Json) -> None:
    plain = claude(user("hi"), system=LONG, tools=[TOOL])
    spoilt = claude(user("hi"), system=LONG, tools=[TOOL], **change)
    kept = common(plain, spoilt)
    assert kept == len(claude(system=LONG, tools=[TOOL]))
    assert spoilt[kept].size == 0
    assert [piece.digest for piece in spoilt[kept + 1 :]] == [piece.digest for piece in plain[kept:]]


def test_claude_an_image_anywhere_spoils_the_messages() -> None:
    image = {"type": "image", "source": {"type": "base64", "data": "AAAA" * 9000}}
    plain = claude(user("hi"), system=LONG)
    seen = claude(user("hi"), user([image]), system=LONG)
    assert common(plain, seen) == len(claude(system=LONG))
    within = claude(user("hi"), user([{"type": "tool_result", "tool_use_id": "t", "content": [image]}]))
    assert common(claude(user("hi")), within) == 0


def test_an_image_weighs_as_its_tokens_not_as_its_base64() -> None:
    image = {"type": "image", "source": {"type": "base64", "data": "A" * 900_000}}
    assert sum(piece.size for piece in claude(user([image]))) < 10_000


def test_breakpoints_stand_on_the_last_piece_of_their_block() -> None:
    pieces = claude(
        user(
            [
                {"type": "text", "text": LONG, "cache_control": {"type": "ephemeral", "ttl": "1h"}},
                {"type": "text", "text": "now"},
            ]
        ),
        system=[{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}],
        tools=[TOOL, {**TOOL, "cache_control": {"type": "ephemeral"}}],
    )
    assert [piece.mark for piece in pieces if piece.mark] == ["5m", "5m", "1h"]
    assert all(piece.ends for piece in pieces if piece.mark)
    assert pieces[-1].mark == ""


def test_claudes_automatic_breakpoint_stands_on_the_last_block() -> None:
    pieces = claude(user("one"), user("two"), cache_control={"type": "ephemeral"})
    assert [piece.mark for piece in pieces] == ["", "", "", "5m"]
    own = claude(
        user([{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]),
        cache_control={"type": "ephemeral"},
    )
    assert own[-1].mark == "1h"


def test_openais_breakpoints_are_seen() -> None:
    block = {"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}}
    assert [piece.mark for piece in chat(user([block]))] == ["", "5m"]


def test_a_run_of_tool_calls_is_one_position() -> None:
    call = {"type": "tool_use", "id": "t", "name": "look", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "seen"}
    pieces = claude(
        {"role": "assistant", "content": [{"type": "text", "text": "Hm."}, call, call]},
        user([result, result]),
    )
    assert [piece.ends for piece in pieces] == ["", "block", "", "block", "", "", "message"]


def test_what_the_model_said_ends_no_message_of_the_callers() -> None:
    ends = [piece.ends for piece in chat({"role": "assistant", "content": "a"}, user("b"))]
    assert ends == ["", "block", "", "message"]
    items = [
        {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "seen"},
    ]
    assert [piece.ends for piece in pieces_of("responses", {"input": items})] == ["block", "message"]


def test_withheld_text_is_one_piece_a_part() -> None:
    conversation: list[tuple[bytes, int, bytes | None]] = [(b"a" * 32, 500, None), (b"b" * 32, 70, None)]
    pieces = pieces_from_parts("chat", [("messages", conversation), ("metadata", [(b"c" * 32, 9, None)])], {})
    assert pieces == [Piece(b"a" * 32, 500), Piece(b"b" * 32, 70)]
    assert withheld(b"d", 0).pieces[0].size == 1


def test_odd_json_does_no_harm() -> None:
    odd = {"role": "tool", "content": "half \ud800", "tool_calls": [{"n": 2**70, "s": "\ud800"}]}
    assert chat(odd, odd)
    assert cut("messages", json.dumps(odd).encode()).pieces == tuple(chat(odd))
    for body in (
        {"messages": "text"},
        {"messages": [7, None, ["x"]]},
        {"tools": {"a": 1}},
        {"system": 5},
        {},
    ):
        assert isinstance(pieces_of("messages", body), list)


def test_models_that_answer_in_plain_text_have_no_schema_piece() -> None:
    assert pieces_of("responses", {"text": {"verbosity": "low"}}) == []
