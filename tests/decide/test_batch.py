"""Merging embedding calls and dividing the answer: order, bytes, tokens and money."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from costopt.decide import batch
from costopt.types import Receipt, Reply, Request, Saving, Usage

URL = "https://api.example.com/v1/embeddings"


def request(value: Any, **changes: Any) -> Request:
    params = changes.pop("params", {})
    body = {"model": "text-embedding-3-small", "input": value, **params}
    return Request("id", "embeddings", "text-embedding-3-small", body, URL, **changes)


def answer(merged: Request, *, shuffled: bool = False, tokens: int = 100, base64: bool = False) -> Reply:
    items = merged.body["input"]
    vectors = [json.dumps(str(item)) if base64 else f"[0.10, -1.0e-05, {len(str(item))}]" for item in items]
    rows = [f'{{"object":"embedding","index":{n},"embedding":{v},"x":1}}' for n, v in enumerate(vectors)]
    if shuffled:
        rows.reverse()
    usage = f'{{"prompt_tokens":{tokens},"total_tokens":{tokens},"details":{{"text":{tokens},"note":"n"}}}}'
    body = f'{{"object":"list","data":[{",".join(rows)}],"model":"m","usage":{usage},"odd":[1]}}'
    used = Usage(input=tokens)
    receipt = Receipt("m", used, tokens * 7, "r1", (Saving("gather", -3, "known", "b"),))
    headers = (("x-request-id", "r"), ("Content-Length", "9"))
    raw = json.loads(usage)
    return Reply(200, headers, body.encode(), usage=used, raw_usage=raw, receipt=receipt)


ITEMS = st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=5)


@given(
    st.lists(st.one_of(st.text(min_size=1, max_size=30), ITEMS), min_size=1, max_size=12),
    st.integers(0, 10**9),
    st.booleans(),
    st.booleans(),
)
def test_everybody_gets_their_own_and_nothing_is_lost(
    inputs: list[Any], tokens: int, shuffled: bool, base64: bool
) -> None:
    requests = [request(value) for value in inputs]
    merged = batch.merge([*requests, request("one more")])
    reply = answer(merged, shuffled=shuffled, tokens=tokens, base64=base64)
    parts = batch.split(reply, [*requests, request("one more")])
    assert parts is not None
    for value, part in zip([*inputs, "one more"], parts, strict=True):
        body = json.loads(part.body)
        own = [value] if isinstance(value, str) else value
        assert [row["index"] for row in body["data"]] == list(range(len(own)))
        vectors = [row["embedding"] for row in body["data"]]
        assert vectors == (own if base64 else [[0.1, -1e-05, len(item)] for item in own])
        assert body["odd"] == [1]
        assert part.usage is not None
        assert body["usage"] == part.raw_usage
        assert body["usage"]["prompt_tokens"] == body["usage"]["details"]["text"] == part.usage.input
        assert part.headers == (("x-request-id", "r"),)
    receipts = [part.receipt for part in parts if part.receipt]
    assert sum(receipt.usage.input for receipt in receipts) == tokens
    assert sum(receipt.cost or 0 for receipt in receipts) == tokens * 7
    assert sum(saving.nano for receipt in receipts for saving in receipt.savings) == -3


def test_vectors_keep_their_bytes() -> None:
    requests = [request("a"), request("b")]
    parts = batch.split(answer(batch.merge(requests)), requests)
    assert parts is not None
    assert b'"embedding":[0.10, -1.0e-05, 1]' in parts[1].body
    assert b'"index":0' in parts[1].body


def test_arrays_of_tokens_merge_as_texts_do() -> None:
    one, many = request([1, 2, 3]), request([[4], [5, 6]])
    assert (batch.size(one), batch.size(many)) == (1, 2)
    assert batch.bucket(one) == batch.bucket(many) is not None
    assert batch.merge([one, many]).body["input"] == [[1, 2, 3], [4], [5, 6]]


def test_a_merged_request_is_the_first_with_more_input() -> None:
    first, second = request("a", raw=b"{}", tags={"t": "1"}), request(["b", "c"])
    merged = batch.merge([first, second])
    assert merged.body == {"model": "text-embedding-3-small", "input": ["a", "b", "c"]}
    assert merged.raw == b""
    assert (merged.id, merged.tags) == (first.id, first.tags)
    assert first.body["input"] == "a"
    assert batch.merge([first]) is first


def test_a_merged_request_has_the_tokens_of_all_where_they_were_counted_before() -> None:
    """As in a replay, whose limits and budgets go by them."""
    assert batch.merge([request("a", tokens=5), request("b", tokens=7)]).tokens == 12
    assert batch.merge([request("a", tokens=5), request("b")]).tokens is None


def test_buckets_hold_only_what_an_answer_cannot_tell_apart() -> None:
    base = batch.bucket(request("a"))
    assert base == batch.bucket(request(["b", "c"]))
    assert base == batch.bucket(replace(request("a"), id="other"))
    others = [
        request("a", tenant="t"),
        request("a", variant="2024"),
        request("a", provider="azure"),
        request("a", params={"dimensions": 8}),
        request("a", params={"encoding_format": "base64"}),
        request("a", params={"user": "u"}),
        replace(request("a"), endpoint="https://elsewhere.example.com"),
        request([1, 2]),
    ]
    buckets = [batch.bucket(other) for other in others]
    assert None not in buckets
    assert len({base, *buckets}) == len(others) + 1
    assert batch.bucket(request("a", params={"x": 1, "y": 2})) == batch.bucket(
        request("a", params={"y": 2, "x": 1})
    )


@pytest.mark.parametrize("value", [None, [], 5, {"a": 1}, ["a", [1]], [["a"]], [[]], [1, "a"], [True], [1.5]])
def test_what_cannot_be_merged_goes_alone(value: Any) -> None:
    assert batch.bucket(request(value)) is None


def test_other_apis_and_streams_go_alone() -> None:
    assert batch.bucket(replace(request("a"), api="chat")) is None
    assert batch.bucket(request("a", stream=True)) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"data":null}',
        b'{"data":{}}',
        b'{"data":[]}',
        b'{"data":[1,2]}',
        b'{"data":[{"index":0}]}',
        b'{"data":[{"index":0},{"index":0}]}',
        b'{"data":[{"index":0},{"index":2}]}',
        b'{"data":[{"index":0},{"index":"1"}]}',
        b'{"data":[{"index":0},{"index":1},{"index":2}]}',
        b'{"data":[{},{}]}',
    ],
)
def test_an_answer_that_does_not_fit_is_divided_by_nobody(body: bytes) -> None:
    assert batch.split(Reply(200, body=body), [request("a"), request("b")]) is None


def test_an_error_is_divided_by_nobody() -> None:
    requests = [request("a"), request("b")]
    good = answer(batch.merge(requests))
    assert batch.split(replace(good, status=400), requests) is None
    assert batch.split(good, requests) is not None


def test_an_answer_without_usage_or_price() -> None:
    requests = [request("a"), request("b")]
    body = b'{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[2]}]}'
    reply = Reply(200, body=body, receipt=Receipt("m", Usage(input=3, estimated=True), None))
    parts = batch.split(reply, requests)
    assert parts is not None
    assert [part.usage for part in parts] == [None, None]
    assert all(part.receipt and part.receipt.cost is None and part.receipt.usage.estimated for part in parts)
    assert "usage" not in json.loads(parts[0].body)


@given(st.integers(-(10**12), 10**12), st.lists(st.integers(1, 10**6), min_size=1, max_size=50))
def test_shares_add_up_and_are_fair(total: int, weights: list[int]) -> None:
    parts = batch.shared_out(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - total * weight / sum(weights)) < 1 + 1e-3
