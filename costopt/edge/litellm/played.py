"""A stored answer as a stream of litellm's own kind, for code that asks a stream for more than its chunks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime
from typing import Any

from costopt.types import Request


def wrapper(
    litellm: Any, request: Request, arguments: Mapping[str, Any], called: str, chunks: Iterator[Any]
) -> Any:
    """What litellm would have made of `chunks` had they come from the provider: its own wrapper, around the log of the
    call. `called` is the name of the function. It is there for its attributes; who reads it would log the call."""
    log: Any = arguments.get("litellm_logging_obj")
    return litellm.CustomStreamWrapper(
        completion_stream=chunks,
        model=request.model,
        custom_llm_provider=request.provider,
        logging_obj=_log(litellm, request, arguments, called) if log is None else log,
        stream_options=arguments.get("stream_options"),
        _response_headers={},
    )


def _log(litellm: Any, request: Request, arguments: Mapping[str, Any], called: str) -> Any:
    log = litellm.Logging(
        model=request.model,
        messages=arguments.get("messages"),
        stream=True,
        call_type=called,
        start_time=datetime.now(),
        litellm_call_id=arguments.get("litellm_call_id") or request.id,
        function_id=arguments.get("id") or "",
    )
    # a Router's name for the deployment, and its address: shown in the hidden params of a stream
    known = {name: arguments[name] for name in ("model_info", "api_base") if arguments.get(name)}
    log.model_call_details["litellm_params"] = known
    return log


def followed(wrapped: Any, chunks: Iterator[Any]) -> Iterator[Any]:
    """`chunks`, and `wrapped` knows of each what it would know had it read it itself."""
    for chunk in chunks:
        wrapped.chunks.append(chunk)
        wrapped.response_id, wrapped.sent_first_chunk = chunk.id, True
        for choice in chunk.choices[:1]:
            wrapped.response_uptil_now += choice.delta.content or ""
            wrapped.received_finish_reason = choice.finish_reason or wrapped.received_finish_reason
        yield chunk
    wrapped.sent_last_chunk = True


async def afterwards(chunks: Iterator[Any]) -> AsyncIterator[Any]:
    """`chunks` for asynchronous readers."""
    for chunk in chunks:
        yield chunk
