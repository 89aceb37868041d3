"""A provider on loopback without a model: OpenAI's chat, responses and embeddings, Anthropic's messages.

    with Simulator() as provider:
        client = OpenAI(base_url=provider.base_url, api_key="none")

Its answers are a function of the request, its token counts are real counts of what was sent and said, and
it has a prompt cache by OpenAI's rule. What it says means nothing: it can show what a call costs, never how
good an answer is.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any, cast

from msgspec import Struct

from costopt.demo.embeddings import embed
from costopt.demo.loopback import DropError, Incoming, Loopback, Outgoing
from costopt.demo.promptcache import PromptCache
from costopt.demo.speaker import Encode, Prompt, Said, lexemes, seed_of, speak
from costopt.demo.voice_messages import MessagesVoice
from costopt.demo.voice_responses import ResponsesVoice
from costopt.demo.voices import CREATED, ChatVoice, Voice
from costopt.types import Json, Usage

JSON = ("content-type", "application/json")
EVENTS = ("content-type", "text/event-stream; charset=utf-8")
HTML = ("content-type", "text/html")
MODELS = ("gpt-4o", "gpt-4o-mini", "text-embedding-3-small")
PER_MESSAGE, PER_REPLY = 3, 3  # tokens around each message and before the answer, as OpenAI counts them


class Fault(Struct, frozen=True):
    """One thing that goes wrong. Fields left alone do nothing.

    `status` answers with this code and an error body, `retry_after` (seconds) adds the header. `body` is sent
    as it is, as `content_type`. `cut_after` breaks the connection after so many streamed events. `hang` never
    answers.
    """

    status: int | None = None
    retry_after: float | None = None
    body: bytes | None = None
    content_type: str = "application/json"
    cut_after: int | None = None
    hang: bool = False


class Billed(Struct, frozen=True):
    """What a request would be charged for, as the provider itself counts it."""

    model: str
    usage: Usage


class Simulator:
    """Serves on 127.0.0.1 until closed. Times are in seconds.

    `latency` passes before an answer begins, `chunk_delay` before each streamed event. `encode` turns text
    into token ids. `prefill` after it came, by `clock`, a prompt can be read from the prompt cache. `requests`
    lists what came, as (path, body), GETs with an empty body; `headers` theirs.
    `cut_off` holds the paths of streams that did not reach their end, `billed` what answers are charged for.
    """

    def __init__(
        self,
        *,
        latency: float = 0.0,
        chunk_delay: float = 0.0,
        encode: Encode = lexemes,
        clock: Callable[[], float] = time.monotonic,
        prefill: float = 0.0,
    ) -> None:
        self.latency = latency
        self.chunk_delay = chunk_delay
        self.requests: list[tuple[str, Json]] = []
        self.headers: list[dict[str, str]] = []
        self.cut_off: list[str] = []
        self.billed: list[Billed] = []
        self._encode = encode
        self._ids: dict[str, tuple[int, ...]] = {}
        self._prompts = PromptCache(clock, prefill=prefill)
        self._faults: deque[Fault] = deque()
        self._voices: dict[str, Voice] = {
            "/chat/completions": ChatVoice(),
            "/responses": ResponsesVoice(),
            "/messages": MessagesVoice(),
        }
        self._server = Loopback(self._serve)

    @property
    def url(self) -> str:
        """What Anthropic's client takes as its `base_url`."""
        return self._server.url

    @property
    def base_url(self) -> str:
        """What OpenAI's client takes as its `base_url`."""
        return f"{self._server.url}/v1"

    @property
    def calls(self) -> int:
        """Requests so far, failed ones included."""
        return len(self.requests)

    def add(self, fault: Fault, times: int = 1) -> None:
        """Let the next `times` requests go wrong; faults queue up."""
        self._faults.extend([fault] * times)

    def fail(self, status: int = 500, *, retry_after: float | None = None, times: int = 1) -> None:
        self.add(Fault(status=status, retry_after=retry_after), times)

    def cut(self, after: int, times: int = 1) -> None:
        """Break the next stream after so many events."""
        self.add(Fault(cut_after=after), times)

    def garble(self, times: int = 1) -> None:
        """Answer 200 with JSON that stops half-way."""
        self.add(Fault(body=b'{"id": "chatcmpl-1", "choices": [{"mess'), times)

    def gateway_page(self, status: int = 502, times: int = 1) -> None:
        """Answer with the HTML page of a proxy."""
        page = b"<html><head><title>Bad gateway</title></head><body>nginx</body></html>"
        self.add(Fault(status=status, body=page, content_type="text/html"), times)

    def hang(self, times: int = 1) -> None:
        """Do not answer at all until the client or the simulator goes away."""
        self.add(Fault(hang=True), times)

    def close(self) -> None:
        """Leave no thread, socket or connection behind; closing twice is fine."""
        self._server.close()

    def __enter__(self) -> Simulator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _serve(self, request: Incoming) -> Outgoing:
        body = _parsed(request.body)
        self.requests.append((request.path, body if body is not None else {}))
        self.headers.append(dict(request.headers))
        fault = self._faults.popleft() if self._faults else Fault()
        if fault.hang:
            await asyncio.Event().wait()
        if self.latency:
            await asyncio.sleep(self.latency)
        if fault.status is not None or fault.body is not None:
            return _faulty(fault)
        if body is None:
            return _error(400, "We could not parse the JSON body of your request.")
        try:
            return self._answer(request, body, fault)
        except (KeyError, TypeError, IndexError, AttributeError) as missing:
            return _error(400, f"Missing or malformed parameter: {missing}")

    def _answer(self, request: Incoming, body: Json, fault: Fault) -> Outgoing:
        path = request.path.removesuffix("/")
        if path.endswith("/models"):
            return _json({"object": "list", "data": [_model(name) for name in MODELS]})
        if path.endswith("/embeddings"):
            answer = embed(body, self._tokens)
            self.billed.append(Billed(body["model"], Usage(input=answer["usage"]["prompt_tokens"])))
            return _json(answer)
        for ending, voice in self._voices.items():
            if path.endswith(ending):
                return self._spoken(voice, request.path, body, fault)
        return _error(404, f"Unknown request URL: {request.method} {request.path}.")

    def _spoken(self, voice: Voice, path: str, body: Json, fault: Fault) -> Outgoing:
        said = self._say(voice.prompt(body), seed_of(body))
        if not body.get("stream"):
            return _json(voice.answer(said, body), ("x-request-id", f"req_{said.id[:32]}"))
        chunks = self._paced(voice.events(said, body), path, fault.cut_after)
        return Outgoing(headers=(EVENTS, ("x-request-id", f"req_{said.id[:32]}")), chunks=chunks)

    def _say(self, prompt: Prompt, seed: str) -> Said:
        tokens = [token for part in prompt.parts for token in (*self._tokens(part), *[0] * PER_MESSAGE)]
        choices = tuple(
            speak(prompt, seed_of({"n": n, "seed": seed}), self._tokens) for n in range(prompt.choices)
        )
        cached = self._prompts.read(prompt.model, tokens)
        said = Said(seed, prompt.model, choices, len(tokens) + PER_REPLY, cached)
        fresh = said.prompt_tokens - cached
        self.billed.append(
            Billed(said.model, Usage(input=fresh, cache_read=cached, output=said.output_tokens))
        )
        return said

    def _tokens(self, text: str) -> tuple[int, ...]:
        ids = self._ids.get(text)
        if ids is None:
            ids = self._ids[text] = tuple(self._encode(text))
        return ids

    async def _paced(
        self, events: Iterable[bytes], path: str, cut_after: int | None
    ) -> AsyncGenerator[bytes, None]:
        done = False
        try:
            for number, event in enumerate(events):
                if number == cut_after:
                    raise DropError
                if self.chunk_delay:
                    await asyncio.sleep(self.chunk_delay)
                yield event
            done = True
        finally:
            if not done:
                self.cut_off.append(path)


def _parsed(body: bytes) -> Json | None:
    try:
        parsed: Any = json.loads(body or b"{}")
    except ValueError:
        return None
    return cast(Json, parsed) if isinstance(parsed, dict) else None


def _json(body: Json, *headers: tuple[str, str], status: int = 200) -> Outgoing:
    return Outgoing(status, (JSON, *headers), json.dumps(body).encode())


def _error(status: int, message: str, *headers: tuple[str, str]) -> Outgoing:
    """An error body that OpenAI's and Anthropic's clients both read."""
    kind = (
        "rate_limit_error" if status == 429 else "invalid_request_error" if status < 500 else "server_error"
    )
    error = {"message": message, "type": kind, "param": None, "code": None}
    return _json({"type": "error", "error": error}, *headers, status=status)


def _faulty(fault: Fault) -> Outgoing:
    status = fault.status or 200
    after = () if fault.retry_after is None else (("retry-after", f"{fault.retry_after:g}"),)
    if fault.body is not None:
        return Outgoing(status, (("content-type", fault.content_type), *after), fault.body)
    return _error(status, f"Simulated failure {status}", *after)


def _model(name: str) -> Json:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "simulator"}
