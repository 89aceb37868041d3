"""litellm's answers as bytes for the flow, and bytes as litellm's answers for the caller."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from costopt import wire
from costopt.money import usd
from costopt.types import Api, Json, Reply, Request, Usage
from costopt.wire import sse, tally

#: Google's kinds of traffic that have another price (litellm's own table).
_TIERS = {"ON_DEMAND_PRIORITY": "priority", "FLEX": "flex", "BATCH": "flex", "ON_DEMAND_FLEX": "flex"}
HEADERS = (("content-type", "application/json"),)


def told(request: Request, reply: Reply | None) -> dict[str, str]:
    """What a caller finds in `_hidden_params["costopt"]`, the same words as in the `x-costopt-*` headers."""
    known = {"call": request.id, "cache": (reply.tier if reply else "") or "miss"}
    receipt = reply.receipt if reply else None
    if receipt is None:
        return known
    known["model"] = receipt.model
    if receipt.cost is not None:
        known["cost"] = usd(receipt.cost)
        known["saved"] = usd(sum(saving.nano for saving in receipt.savings))
    return known


def reply_of(api: Api, answer: Any) -> Reply:
    """A finished answer of litellm's; one that has no JSON form is passed on and never kept."""
    try:
        content: bytes = answer.model_dump_json(warnings=False).encode()
    except Exception:  # noqa: BLE001 - why: whatever litellm's models raise, the paid answer must reach the caller
        return Reply(headers=HEADERS)
    reply = wire.read_body(api, 200, HEADERS, content)
    hidden = getattr(answer, "_hidden_params", {})
    if hidden.get("cache_hit"):
        return replace(reply, usage=Usage())  # from litellm's own cache: nobody bills its tokens again
    if reply.usage is not None and (tier := tier_of(hidden)):
        return replace(reply, usage=tally.on_tier(reply.usage, tier))
    return reply


def tier_of(hidden: dict[str, Any]) -> str:
    """The service tier of Gemini, which litellm tells in its hidden params alone; "" where there is none."""
    fields: dict[str, Any] = hidden.get("provider_specific_fields") or {}
    return _TIERS.get(str(fields["traffic_type"]).upper(), "") if "traffic_type" in fields else ""


def answer_of(litellm: Any, request: Request, reply: Reply) -> Any:
    """`reply` as a new `ModelResponse` or `EmbeddingResponse`, which the caller may do with as he likes."""
    body: Json = msgspec.json.decode(wire.answer_body(request.api, reply))
    kind = litellm.EmbeddingResponse if request.api == "embeddings" else litellm.ModelResponse
    if (
        not body.get("usage") and reply.receipt is not None
    ):  # a recorded stream without it; litellm's always have one
        body["usage"] = tally.as_openai(reply.receipt.usage)
    answer = kind(**body)
    answer._hidden_params = hidden(request, reply)
    return answer


def hidden(request: Request, reply: Reply) -> dict[str, Any]:
    """Hidden parameters for an answer that litellm itself did not make."""
    found: dict[str, Any] = {"custom_llm_provider": request.provider, "costopt": told(request, reply)}
    return found | {"cache_hit": True, "response_cost": 0.0} if reply.tier else found


def chunks_of(litellm: Any, request: Request, reply: Reply) -> Iterator[Any]:
    """`reply` as the chunks litellm would have streamed for `request`."""
    content = wire.answer_stream(request.api, reply, request.body)
    for event in sse.parse(content):
        if event.data.startswith(b"{"):
            yield _chunk(litellm, msgspec.json.decode(event.data))


def _chunk(litellm: Any, chunk: Json) -> Any:
    if chunk.get("usage", ...) is None:
        del chunk["usage"]
    choices = chunk.pop("choices", None)
    # litellm's usage chunk has one empty choice, OpenAI's none
    return litellm.ModelResponseStream(**chunk, choices=choices or None)
