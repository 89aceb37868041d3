"""From bytes to replies and back: usage chunks exactly when asked for, every other byte as recorded."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from costopt import wire
from costopt.types import Json, Receipt, Reply, Usage
from costopt.wire import sse

ASKED: Json = {"stream_options": {"include_usage": True}}
PLAIN: Json = {"stream": True}
COUNTS = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}

BARE = (
    b'data: {"id":"c","model":"m",'
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":"a, \\"usage\\":null"}}]}\n\n'
    b": keepalive\n\n"
    b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
)
DONE = b"data: [DONE]\n\n"
USAGE = b'data: {"id":"c","model":"m","choices":[],"usage":' + msgspec.json.encode(COUNTS) + b"}\n\n"
FULL = BARE.replace(b"}]}\n", b'}],"usage":null}\n') + USAGE + DONE


def read(raw: bytes, **rest: Any) -> Reply:
    reply, _ = wire.read_events("chat", 200, (), raw)
    return msgspec.structs.replace(reply, **rest)


def usages(raw: bytes) -> list[Any]:
    data = [msgspec.json.decode(event.data) for event in sse.parse(raw) if event.data.startswith(b"{")]
    return [chunk.get("usage", "absent") for chunk in data]


def test_as_recorded_where_it_fits() -> None:
    assert wire.answer_stream("chat", read(FULL), ASKED) == FULL
    assert wire.answer_stream("chat", read(BARE + DONE), PLAIN) == BARE + DONE


def test_usage_is_taken_out_where_nobody_asked() -> None:
    assert wire.answer_stream("chat", read(FULL), PLAIN) == BARE + DONE


@pytest.mark.parametrize("recorded", [FULL, BARE + DONE, BARE + USAGE + DONE], ids=["all", "none", "last"])
@pytest.mark.parametrize("request_body", [ASKED, PLAIN], ids=["asked", "plain"])
def test_who_asks_as_the_first_one_did_gets_what_he_got(recorded: bytes, request_body: Json) -> None:
    reply, _ = wire.read_events("chat", 200, (), recorded, asked=request_body)
    assert wire.answer_stream("chat", reply, request_body) == recorded


def test_who_asks_otherwise_gets_what_he_asks_for() -> None:
    asked, _ = wire.read_events("chat", 200, (), FULL, asked=ASKED)
    assert wire.answer_stream("chat", asked, PLAIN) == BARE + DONE
    plain, _ = wire.read_events("chat", 200, (), BARE + USAGE + DONE, asked=PLAIN)
    assert wire.answer_stream("chat", plain, ASKED) == BARE + USAGE + DONE


@pytest.mark.parametrize("field", [b'"usage": null, ', b'"usage":null,', b'"usage" : null ,'])
def test_usage_null_in_any_spelling(field: bytes) -> None:
    spelt = BARE.replace(b'{"id"', b"{" + field + b'"id"') + USAGE + DONE
    assert wire.answer_stream("chat", read(spelt), PLAIN) == BARE + DONE


def test_usage_is_added_where_asked_and_known() -> None:
    counted = read(BARE + DONE, usage=Usage(input=4, cache_read=5, output=1, estimated=True))
    raw = wire.answer_stream("chat", counted, ASKED)
    *nulls, last = usages(raw)
    assert nulls == [None, None] and last["prompt_tokens"] == 9 and last["completion_tokens"] == 1
    assert raw.endswith(DONE) and b": keepalive\n\n" in raw
    assert wire.answer_stream("chat", read(raw), PLAIN) == BARE + DONE


def test_usage_from_the_receipt() -> None:
    receipt = Receipt("m", Usage(input=3, output=1), cost=0)
    raw = wire.answer_stream("chat", read(BARE + DONE, receipt=receipt), ASKED)
    assert usages(raw)[-1]["prompt_tokens"] == 3


def test_unknown_usage_is_not_invented() -> None:
    assert usages(wire.answer_stream("chat", read(BARE + DONE), ASKED)) == [None, None]


def test_usage_that_came_with_a_choice_stays() -> None:
    """DeepSeek, Groq and others put it into the last chunk with a choice, asked or not."""
    mixed = (
        BARE.replace(b'"finish_reason":"stop"}]}', b'"finish_reason":"stop"}],"usage":{"prompt_tokens":9}}')
        + DONE
    )
    assert wire.answer_stream("chat", read(mixed), PLAIN) == mixed
    assert usages(wire.answer_stream("chat", read(mixed), ASKED)) == [None, {"prompt_tokens": 9}]


def test_a_plain_answer_is_played_back() -> None:
    body = {
        "id": "c",
        "object": "chat.completion",
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}],
    }
    reply = wire.read_body("chat", 200, (), msgspec.json.encode(body))
    assert set(usages(wire.answer_stream("chat", reply, PLAIN))) == {"absent"}
    counted = msgspec.structs.replace(reply, usage=Usage(input=3, output=1, estimated=True))
    *nulls, last = usages(wire.answer_stream("chat", counted, ASKED))
    assert set(nulls) == {None} and last["prompt_tokens"] == 3
    assert wire.answer_body("chat", reply) == reply.body


def test_a_recorded_stream_answers_a_plain_caller() -> None:
    reply = read(FULL)
    body = msgspec.json.decode(wire.answer_body("chat", reply))
    assert body["object"] == "chat.completion" and body["usage"] == COUNTS
    assert body["choices"][0]["message"]["content"] == 'a, "usage":null'


def test_replies_carry_what_the_answer_says() -> None:
    reply, complete = wire.read_events("chat", 200, (("a", "b"),), FULL, first_ns=7)
    assert complete and reply.events == FULL
    assert (reply.model, reply.finish, reply.first_ns, reply.headers) == ("m", "stop", 7, (("a", "b"),))
    assert reply.usage == Usage(input=9, output=1) and reply.raw_usage == COUNTS


START = (
    b'data: {"type":"message_start","message":{"model":"m","usage":{"input_tokens":9,"output_tokens":1}}}\n\n'
)
SAID = b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a b"}}\n\n'
STOPPED = b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}}\n\n'
FAILED = b'data: {"type":"error","error":{"type":"overloaded_error"}}\n\n'


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        (START + SAID, Usage(9, output=1, estimated=True)),
        (START + SAID + FAILED, Usage(9, output=1, estimated=True)),
        (START + SAID + STOPPED, Usage(9, output=7)),
    ],
    ids=["cut", "failed", "stopped"],
)
def test_the_start_of_a_message_counts_no_output(raw: bytes, usage: Usage) -> None:
    reply, complete = wire.read_events("messages", 200, (), raw)
    assert (reply.usage, complete) == (usage, False)


def test_usage_so_far_is_not_that_of_a_chat_that_broke_off() -> None:
    first = BARE[: BARE.index(b"\n\n")][:-1] + b',"usage":{"prompt_tokens":9,"completion_tokens":1}}\n\n'
    assert wire.read_events("chat", 200, (), first)[0].usage == Usage(9, output=1, estimated=True)
    assert wire.read_events("chat", 200, (), first + DONE)[0].usage == Usage(9, output=1)


@pytest.mark.parametrize(("kind", "searches"), [("url_citation", 1), ("file_citation", 0)])
def test_a_chat_that_cites_pages_has_searched(kind: str, searches: int) -> None:
    message = {"content": "a", "annotations": [{"type": kind}]}
    body = {
        "choices": [{"message": message, "finish_reason": "stop"}, None, {"message": None}],
        "usage": COUNTS,
    }
    reply = wire.read_body("chat", 200, (), msgspec.json.encode(body))
    assert reply.usage is not None and reply.usage.searches == searches


def test_an_error_status_is_an_error_whatever_the_body() -> None:
    body = b'{"choices":[{"finish_reason":"stop","message":{}}]}'
    assert wire.read_body("chat", 429, (), body).finish == "error"
    assert wire.read_body("chat", 500, (), b"<html>").body == b"<html>"


def test_answers_do_not_share_their_objects() -> None:
    reply = read(FULL)
    wire.answer("chat", reply)["choices"].clear()
    assert wire.answer("chat", reply)["choices"]


def test_other_streams_are_served_as_recorded() -> None:
    raw = b"event: message_start\r\ndata: {}\r\n\r\n"
    for api in ("messages", "responses"):
        reply, _ = wire.read_events(api, 200, (), raw)
        assert wire.answer_stream(api, reply, ASKED) == raw


def test_embeddings_are_complete_without_a_text() -> None:
    body = b'{"model":"e","data":[{"embedding":[0.1]}],"usage":{"prompt_tokens":4,"total_tokens":4}}'
    reply = wire.read_body("embeddings", 200, (), body)
    assert (reply.finish, reply.usage, wire.output_text("embeddings", reply)) == ("stop", Usage(input=4), "")
    assert wire.read_body("embeddings", 200, (), b'{"data":[]}').finish == "error"


@pytest.mark.parametrize(
    ("given", "texts"), [("a", ["a"]), (["a", "b"], ["a", "b"]), ([1, 2], [""]), ([[1], [2]], ["", ""])]
)
def test_embedding_inputs_are_turns(given: Any, texts: list[str]) -> None:
    dialect = wire.dialect("embeddings")
    turns = dialect.turns({"input": given})
    assert [turn.text for turn in turns] == texts and all(turn.pinned for turn in turns)
    assert sum(turn.extra_tokens for turn in turns) == (2 if "" in texts else 0)
    assert dialect.with_turns({"input": given}, turns) == {"input": given}


def test_legacy_completions_are_bounded_and_put_together() -> None:
    dialect = wire.dialect("completions")
    assert dialect.max_output({"prompt": ["a", "b"], "max_tokens": 3, "n": 2, "best_of": 4}) == 24
    assert dialect.max_output({"prompt": "a"}) == 16
    raw = b'data: {"id":"c","choices":[{"index":0,"text":"Pa","logprobs":{"tokens":["Pa"]}}]}\n\n'
    raw += b'data: {"choices":[{"index":0,"text":"ris","logprobs":{"tokens":["ris"]},"finish_reason":"stop"}]}\n\n'
    reply, complete = wire.read_events("completions", 200, (), raw + DONE)
    assert complete and reply.finish == "stop" and wire.output_text("completions", reply) == "Paris"
    assert wire.answer("completions", reply)["choices"][0]["logprobs"] == {"tokens": ["Pa", "ris"]}
