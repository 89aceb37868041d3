"""From bytes to `Reply` and back: what the edges and the flow use of all dialects."""

from __future__ import annotations

from msgspec.structs import replace

from costopt.types import Api, Json, Reply, Usage
from costopt.wire import answers, sse, tally, usage_chunks
from costopt.wire.base import Dialect, Event, Summary
from costopt.wire.chat import Chat
from costopt.wire.completions import Completions
from costopt.wire.embeddings import Embeddings
from costopt.wire.loose import decode, encode, mend
from costopt.wire.messages import Messages
from costopt.wire.responses import Responses

_DIALECTS: dict[Api, Dialect] = {
    "chat": Chat(),
    "responses": Responses(),
    "messages": Messages(),
    "embeddings": Embeddings(),
    "completions": Completions(),
}
_NOTHING = Summary("", None, None, "error")
_CHUNKED = ("chat", "completions")
_NO_COUNTS: Json = {"total_tokens": 0}

Headers = tuple[tuple[str, str], ...]


def dialect(api: Api) -> Dialect:
    return _DIALECTS[api]


def read_body(api: Api, status: int, headers: Headers, body: bytes) -> Reply:
    """A JSON answer as a Reply. Never raises: a body that cannot be read, or a status from 400 on, ends as
    "error"."""
    try:
        said = _DIALECTS[api].read(body)
    except ValueError:
        said = _NOTHING
    return Reply(
        status=status,
        headers=headers,
        body=body,
        model=said.model,
        usage=_believed(said),
        raw_usage=said.raw_usage,
        finish=said.finish if status < 400 else "error",
    )


def read_events(
    api: Api, status: int, headers: Headers, events: bytes, first_ns: int = 0, *, asked: Json | None = None
) -> tuple[Reply, bool]:
    """A streamed answer as a Reply, and whether it came to its proper end; `asked` is the body of the request it
    answers (default: not known). The reply holds the answer's JSON too: it is 3% of the events, and admission,
    counting and the ledger all ask for it."""
    spoken = _DIALECTS[api]
    seen = sse.parse(events)
    body = spoken.assemble(seen)
    said = spoken.summary(body)
    whole = status < 400 and spoken.complete(seen) and not any(map(_torn, seen))
    reply = Reply(
        status=status,
        headers=headers,
        body=encode(body) if seen else b"",
        events=events,
        model=said.model,
        usage=_believed(said) if whole else _so_far(api, said),
        raw_usage=said.raw_usage,
        finish=said.finish if status < 400 else "error",
        first_ns=first_ns,
        asked_usage=None if asked is None else usage_chunks.wanted(asked),
    )
    return reply, whole


def _torn(event: Event) -> bool:
    """Whether an event's JSON was cut: an answer with a hole in it is not complete, whatever comes after."""
    data = event.data.rstrip()
    return bool(data) and not data.endswith((b"}", b"[DONE]"))


def _believed(said: Summary) -> Usage | None:
    """The usage a provider sent. Zeros for an answer stand for a count nobody made: no prompt is empty."""
    usage = said.usage
    if usage is None or usage.output or usage.prompt or usage.searches or said.finish == "error":
        return usage
    return None


def _so_far(api: Api, said: Summary) -> Usage | None:
    """The usage of a stream that broke off. What came before the model stopped counts less output than there is:
    Claude's start counts one token, whatever follows. Responses tell usage in their last event alone."""
    usage = _believed(said)
    if usage is None or api == "responses" or said.finish not in ("incomplete", "error"):
        return usage
    return replace(usage, estimated=True)


def answer(api: Api, reply: Reply) -> Json:
    """The JSON answer, decoded anew each time: the caller may do with it what he likes."""
    if reply.body:
        return decode(reply.body)
    return _DIALECTS[api].assemble(sse.parse(reply.events))


def answer_body(api: Api, reply: Reply) -> bytes:
    """The answer for a caller who did not ask for a stream."""
    return reply.body or encode(answer(api, reply))


def answer_stream(api: Api, reply: Reply, request_body: Json) -> bytes:
    """The answer for a caller who asked for a stream: as recorded where a stream was recorded, else played
    back."""
    if not reply.events:
        return _DIALECTS[api].replay(_with_usage(api, reply), request_body)
    if api not in _CHUNKED:
        return reply.events
    return _restreamed(reply, request_body)


def _restreamed(reply: Reply, request_body: Json) -> bytes:
    """Who asks as the first one did gets what he got, though providers add or leave out usage as they please."""
    if reply.asked_usage is usage_chunks.wanted(request_body):
        return reply.events
    if not usage_chunks.wanted(request_body) and b'"usage"' not in reply.events:
        return reply.events
    if usage_chunks.fits(sse.last(reply.events, 2), request_body):
        return reply.events
    events = sse.parse(reply.events)
    if usage_chunks.wanted(request_body) and not usage_chunks.carried(events):
        events = _with_usage_chunk(events, reply)
    return usage_chunks.restream(events, request_body)


def _with_usage_chunk(events: list[Event], reply: Reply) -> list[Event]:
    usage = _usage(reply)
    return usage_chunks.inserted(events, usage) if usage else events


def _with_usage(api: Api, reply: Reply) -> Json:
    """The answer to play back; in chat its usage is filled in where the provider sent none and we counted."""
    body = answer(api, reply)
    if api not in _CHUNKED or body.get("usage") or not (usage := _usage(reply)):
        return body
    return {**body, "usage": usage}


def _usage(reply: Reply) -> Json | None:
    counted = reply.usage or (reply.receipt.usage if reply.receipt else None)
    return reply.raw_usage or (tally.as_openai(counted) if counted else None)


def output_text(api: Api, reply: Reply) -> str:
    """All text and tool-call arguments of the answer, safe to encode."""
    return mend(_DIALECTS[api].output_text(answer(api, reply)))


def written_text(api: Api, reply: Reply) -> str:
    """The same with reasoning and tool names: what to count where the provider sent no usage."""
    return mend(_DIALECTS[api].written_text(answer(api, reply)))


def texts(api: Api, reply: Reply) -> list[str]:
    """Each text of the answer that its reader takes alone (`costopt.wire.answers`)."""
    return answers.texts(api, answer(api, reply))


def uncounted(api: Api, reply: Reply) -> Usage:
    """What an answer without usage tells of its bill all the same: its service tier, and how often it searched."""
    return _DIALECTS[api].summary({**answer(api, reply), "usage": _NO_COUNTS}).usage or Usage()


def unfinished(api: Api, reply: Reply) -> bool:
    """Whether an answer says that the provider is still making it."""
    return api == "responses" and answer(api, reply).get("status") in ("queued", "in_progress")


def calls(api: Api, reply: Reply) -> list[tuple[str, str]]:
    """Name and arguments, JSON text as sent, of every function the answer calls."""
    return answers.calls(api, answer(api, reply))
