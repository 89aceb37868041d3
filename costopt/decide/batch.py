"""Embedding calls that can travel together, and how one answer becomes each caller's own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from costopt.types import Receipt, Reply, Request, Usage

#: One row or object of an answer whose values stay the bytes they came as.
_Object = dict[str, msgspec.Raw]

_COUNTS = tuple(field for field in Usage.__struct_fields__ if field not in ("service_tier", "estimated"))


def bucket(request: Request) -> str | None:
    """Requests with the same bucket may be merged; None where this one must go alone.

    The same are: endpoint, provider, model, tenant, variant, every parameter but `input`, and the kind of
    input (texts or token arrays, which no API takes together).
    """
    kind = _kind(request.body.get("input"))
    if request.api != "embeddings" or request.stream or kind is None:
        return None
    rest = {key: value for key, value in request.body.items() if key != "input"}
    where = (request.endpoint, request.provider, request.model, request.tenant, request.variant, kind)
    return hashlib.sha256(msgspec.json.encode([where, rest], order="deterministic")).hexdigest()


def size(request: Request) -> int:
    """How many inputs a request carries."""
    return len(_items(request.body.get("input")))


def merge(requests: Sequence[Request]) -> Request:
    """One request for all, in order; it is the first one in everything but its input."""
    first = requests[0]
    if len(requests) == 1:
        return first
    items = [item for request in requests for item in _items(request.body.get("input"))]
    counted = [request.tokens for request in requests if request.tokens is not None]
    tokens = sum(counted) if len(counted) == len(requests) else None
    return replace(first, body={**first.body, "input": items}, raw=b"", tokens=tokens)


def split(reply: Reply, requests: Sequence[Request]) -> tuple[Reply, ...] | None:
    """Each request's part of the answer to `merge(requests)`; None if the answer does not fit them.

    Vectors keep their bytes and get the index they would have had alone. Tokens and money are shared out by
    input length so that the parts add up to the whole.
    """
    answer = _decoded(reply.body, _Object)
    rows = _decoded(bytes(answer["data"]), list[_Object]) if answer and "data" in answer else None
    order = _order(rows or [])
    if reply.status != 200 or answer is None or rows is None or len(order) != sum(map(size, requests)):
        return None
    weights = [_weight(request) for request in requests]
    usages = _shared_json(_decoded(bytes(answer.get("usage", b"null")), object), weights)
    parts: list[Reply] = []
    for request, usage, mine in zip(requests, usages, _receipts(reply, weights), strict=True):
        own, order = order[: size(request)], order[size(request) :]
        data = [{**rows[at], "index": msgspec.Raw(str(n).encode())} for n, at in enumerate(own)]
        body = {**answer, "data": data} | ({"usage": usage} if "usage" in answer else {})
        parts.append(replace(mine, body=msgspec.json.encode(body)))
    return tuple(parts)


def _kind(value: object) -> str | None:
    """`text` or `tokens`; None for what is neither, empty or mixed."""
    kinds = {_item_kind(item) for item in _items(value)}
    return kinds.pop() if len(kinds) == 1 else None


def _item_kind(item: object) -> str | None:
    if isinstance(item, str):
        return "text"
    return "tokens" if isinstance(item, list) and item and _are_tokens(cast("list[object]", item)) else None


def _are_tokens(item: list[object]) -> bool:
    return all(type(token) is int for token in item)


def _items(value: object) -> list[Any]:
    """The inputs: a text or a token array alone is one."""
    if not isinstance(value, list):
        return [] if value is None else [value]
    values = cast("list[object]", value)
    return [values] if values and _are_tokens(values) else values


def _weight(request: Request) -> int:
    return sum(map(len, _items(request.body.get("input")))) or 1


def _decoded(data: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError:
        return None


def _order(rows: list[_Object]) -> list[int]:
    """Row positions by their index; empty where the indexes are not exactly 0 to n-1."""
    indexes = [_decoded(bytes(row.get("index", b"null")), object) for row in rows]
    places = {index: at for at, index in enumerate(indexes) if type(index) is int}
    return [places[n] for n in range(len(rows))] if set(places) == set(range(len(rows))) else []


def shared_out(total: int, weights: Sequence[int]) -> list[int]:
    """`total` in whole parts proportional to `weights`, the largest remainders rounded up; they add up
    exactly."""
    whole = sum(weights)
    parts = [total * weight // whole for weight in weights]
    by_rest = sorted(range(len(weights)), key=lambda at: total * weights[at] % whole, reverse=True)
    for at in by_rest[: total - sum(parts)]:
        parts[at] += 1
    return parts


def _shared_json(value: object, weights: Sequence[int]) -> list[Any]:
    """A usage object per part: every count in it is shared out, all else repeated."""
    if type(value) is int:
        return shared_out(value, weights)
    if not isinstance(value, dict):
        return [value] * len(weights)
    columns = {key: _shared_json(item, weights) for key, item in cast("dict[str, object]", value).items()}
    return [{key: column[at] for key, column in columns.items()} for at in range(len(weights))]


def _receipts(reply: Reply, weights: Sequence[int]) -> list[Reply]:
    """`reply` once per part with its share of usage and money."""
    usages = [None] * len(weights) if reply.usage is None else _usages(reply.usage, weights)
    raws = _shared_json(reply.raw_usage, weights)
    receipts = [None] * len(weights) if reply.receipt is None else _shares(reply.receipt, weights)
    headers = tuple((name, value) for name, value in reply.headers if name.lower() != "content-length")
    return [
        replace(reply, headers=headers, usage=usage, raw_usage=raw, receipt=receipt)
        for usage, raw, receipt in zip(usages, raws, receipts, strict=True)
    ]


def _usages(usage: Usage, weights: Sequence[int]) -> list[Usage]:
    columns = {field: shared_out(getattr(usage, field), weights) for field in _COUNTS}
    return [replace(usage, **{field: columns[field][at] for field in _COUNTS}) for at in range(len(weights))]


def _shares(receipt: Receipt, weights: Sequence[int]) -> list[Receipt]:
    usages = _usages(receipt.usage, weights)
    costs, owns = (
        [None] * len(weights) if nano is None else shared_out(nano, weights)
        for nano in (receipt.cost, receipt.own)
    )
    savings = [shared_out(saving.nano, weights) for saving in receipt.savings]
    attempts = [_shares(attempt, weights) for attempt in receipt.attempts]
    return [
        replace(
            receipt,
            usage=usages[at],
            cost=costs[at],
            own=owns[at],
            savings=tuple(replace(s, nano=n[at]) for s, n in zip(receipt.savings, savings, strict=True)),
            attempts=tuple(attempt[at] for attempt in attempts),
        )
        for at in range(len(weights))
    ]
