"""What the chunk streams of Chat Completions and of legacy completions share: the end marker and the fields
around the choices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from costopt.types import Json
from costopt.wire.base import Event
from costopt.wire.loose import count, decode, records
from costopt.wire.sse import event

DONE = b"data: [DONE]\n\n"
_STREAM_ONLY = ("choices", "obfuscation")


def is_done(seen: Event) -> bool:
    return seen.data.startswith(b"[DONE]")


def decoded(events: Sequence[Event]) -> Iterator[Json]:
    """The chunks of a stream; whatever is no JSON object is passed over."""
    for seen in events:
        if seen.data.startswith(b"{") and (chunk := decode(seen.data)):
            yield chunk


def complete(events: Sequence[Event]) -> bool:
    """Whether the stream came to its proper end: the end marker, or from servers that send none, a finish
    reason for every choice. A stream that reports an error did not."""
    if any(b'"error"' in seen.data and decode(seen.data).get("error") for seen in events):
        return False
    return any(map(is_done, reversed(events))) or _all_finished(events)


def _all_finished(events: Sequence[Event]) -> bool:
    finished: dict[int, bool] = {}
    for chunk in decoded(events):
        for choice in records(chunk.get("choices")):
            index = count(choice.get("index"))
            finished[index] = finished.get(index, False) or bool(choice.get("finish_reason"))
    return bool(finished) and all(finished.values())


def answer_of(
    events: Sequence[Event], begun: Callable[[int], Json], merge: Callable[[Json, Json], None]
) -> Json:
    """The answer that the chunks add up to: each choice as `begun` at its index, grown by what `merge` adds of each
    chunk. An error alone has no choices."""
    answer: Json = {}
    choices: dict[int, Json] = {}
    for chunk in decoded(events):
        _merge_head(answer, chunk)
        for part in records(chunk.get("choices")):
            index = count(part.get("index"))
            merge(choices.setdefault(index, begun(index)), part)
    if choices or not answer.get("error"):
        answer["choices"] = [choices[index] for index in sorted(choices)]
    return answer


def _merge_head(answer: Json, chunk: Json) -> None:
    """Carry over what stands beside the choices. Azure's first and last chunks have empty ids and models, so
    an empty value never replaces a full one."""
    for key, value in chunk.items():
        if key not in _STREAM_ONLY and (value or key not in answer):
            answer[key] = value


def stream(chunks: list[Json]) -> bytes:
    return b"".join([*map(event, chunks), DONE])
