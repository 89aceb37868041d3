"""Agent transcripts: one conversation a line, as a list of `messages`.

    {"messages": [{"role": "system", ...}, {"role": "user", ...}, {"role": "assistant", ...}, ...],
     "model": "gpt-4o", "tools": [...], "trace_id": "..."}

Call k of a conversation is every message before its k-th assistant message, answered by that message. Only `messages`
is needed, OpenAI's or Anthropic's; fields that are not the API's own are left out of what was sent. Transcripts have
no times, so calls get made up ones: from `Options.start` (else 2026-01-01 UTC), `every` (2 s) apart, one conversation
after the other; their tag `time` says so.

A call is known by its trace's id and everything said up to it, so a conversation that was logged again as it grew is
counted once. Without such an id, two conversations of one file that begin alike are different ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

from costopt.importing.reading import Item, documents
from costopt.importing.shapes import answered, api_of, provider_named
from costopt.importing.words import Found, Imported, Line, Options, Unusable
from costopt.tagging import TIMELESS
from costopt.types import Api, Json
from costopt.wire.loose import encode, items, record, text

#: 2026-01-01T00:00:00Z.
START = 1_767_225_600 * 10**9
NO_CONVERSATION = "no conversation: `messages` is no list of messages with a role"
NO_ANSWER = "no call: the conversation has no assistant message"
_TRACE = ("trace_id", "trace", "id", "session_id", "conversation_id")
_MESSAGE = frozenset(
    {
        "role",
        "content",
        "name",
        "tool_calls",
        "tool_call_id",
        "function_call",
        "refusal",
        "audio",
        "reasoning_content",
        "reasoning",
        "reasoning_details",
        "thinking_blocks",
        "cache_control",
    }
)
_PARAMS = (
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "response_format",
    "tool_choice",
    "reasoning_effort",
)


def read(lines: Iterable[Line], options: Options) -> Iterator[Found]:
    reader = _Reader(options)
    for item in documents(lines):
        if isinstance(item, Unusable):
            yield item
        else:
            yield from reader.calls(item)


class _Reader:
    """Conversations as calls; remembers the last made-up time and what a file's nameless conversations said."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._at = START if options.start is None else options.start
        self._path = ""
        self._same: Counter[bytes] = Counter()

    def calls(self, item: Item) -> Iterator[Found]:
        messages = items(item.value.get("messages"))
        if not messages or not all(isinstance(each, dict) and "role" in each for each in messages):
            yield Unusable(item.path, item.number, NO_CONVERSATION)
        elif not any(message["role"] == "assistant" for message in messages):
            yield Unusable(item.path, item.number, NO_ANSWER)
        else:
            yield from self._of_conversation(item, [_own(record(each)) for each in messages])

    def _of_conversation(self, item: Item, sent: list[Json]) -> Iterator[Imported]:
        base, trace = _fixed(item.value, self._options), _trace(item.value)
        api = api_of(None, "", {**base, "messages": sent}) or "chat"
        said = blake2b(digest_size=16)
        for end, message in enumerate(sent):
            said.update(encode(message))
            if message["role"] == "assistant":
                yield Imported(
                    id=f"{trace} {said.hexdigest()}" if trace else self._nameless(item.path, said.digest()),
                    at=self._at,
                    api=api,
                    provider=provider_named(item.value.get("provider")),
                    model=text(item.value.get("model")),
                    body={**base, **_asked(api, sent[:end])},
                    answer=answered(api, message),
                    tags={"trace": trace, **TIMELESS} if trace else TIMELESS,
                )
                self._at += self._options.every

    def _nameless(self, path: str, said: bytes) -> str:
        if path != self._path:
            self._path = path
            self._same.clear()
        self._same[said] += 1
        return f"{said.hex()} {self._same[said]}"


def _own(message: Json) -> Json:
    """The fields of a message that an API takes."""
    return {name: value for name, value in message.items() if name in _MESSAGE}


def _fixed(line: Json, options: Options) -> Json:
    """What all requests of the conversation have in common."""
    tools: Any = line.get("tools") if isinstance(line.get("tools"), list) else options.tools
    params = {name: line[name] for name in _PARAMS if line.get(name) is not None}
    return {"model": text(line.get("model")), **({"tools": tools} if tools else {}), **params}


def _asked(api: Api, sent: list[Json]) -> Json:
    """Messages as `api` takes them; Anthropic's stand apart from the system prompt."""
    system = [message.get("content") for message in sent if message["role"] == "system"]
    if api != "messages" or not system:
        return {"messages": sent}
    said = system[0] if len(system) == 1 else "\n".join(map(text, system))
    return {"system": said, "messages": [message for message in sent if message["role"] != "system"]}


def _trace(line: Json) -> str:
    found = next((line[name] for name in _TRACE if isinstance(line.get(name), str | int)), "")
    return str(found)
