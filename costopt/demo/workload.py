"""A day at a support desk, as calls to a model: the work that `costopt demo` runs twice.

What is in it, in order: every ticket is sorted by a one-word classification, then worked on by an agent with
tools whose message list grows with each step; customers ask common questions on the help page; documents are
embedded for search; one long stock audit runs in a single conversation.

What repeats, and why: help-page questions come from buttons, so eight questions make up all 32; every fifth
ticket is worked on again after its worker was restarted; every seventh classification is sent again because
the client timed out; documents quote each other. `share_repeated` counts 24% of the calls. Your own traffic
will differ: take the demo as a proof that the arithmetic works, and `costopt report` as the figure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

from costopt.demo import desk
from costopt.errors import Refused
from costopt.tagging import tags
from costopt.types import Json

if TYPE_CHECKING:
    from openai import OpenAI

LARGE, SMALL, EMBEDDING = "gpt-4o", "gpt-4o-mini", "text-embedding-3-small"
TICKETS = range(101, 121)
MAX_STEPS = 10
#: Model calls of one `run` and of one `run_small`.
CALLS, CALLS_SMALL = 202, 8


class Answered(Struct, frozen=True):
    """One call that came back, with the usage object of the SDK (None where a stream had none, or the call was
    refused)."""

    kind: str
    model: str
    usage: Any


OnCall: TypeAlias = Callable[[Answered], None]


class Desk:
    """The desk's workers. `on_call` hears of each call after it was answered or refused; a worker whose call is refused
    leaves that piece of work and goes on with the next."""

    def __init__(self, client: OpenAI, on_call: OnCall | None = None) -> None:
        self._client = client
        self._on_call: OnCall = on_call or (lambda _: None)

    def classify(self, ticket: int) -> None:
        """An easy question to a dear model: what a cheaper one could do."""
        labels = f"Sort the ticket. Answer with one of: {', '.join(desk.LABELS)}"
        messages = [system(labels), user(desk.message_of(ticket))]
        self._chat("classify", model=LARGE, messages=messages, temperature=0, max_tokens=5)

    def work(self, ticket: int) -> None:
        """The agent loop: call, run the tool it asks for, call again with everything so far."""
        self._loop("ticket", f"Please see to ticket T-{ticket}.", lambda tool: desk.output_of(tool, ticket))

    def audit(self) -> None:
        """One long conversation: a tool output after another, none of which can be forgotten safely."""
        stops = iter(TICKETS[:8])

        def output(tool: str) -> Json:
            number = next(stops, None)
            following = {"next_step": "list_orders" if number else None}
            return (desk.output_of("list_orders", number) if number else {}) | following

        self._loop("audit", "Audit the orders of ticket T-101 and its neighbours for wrong prices.", output)

    def ask(self, question: str, *, stream: bool = False) -> None:
        """A common question on the help page; some pages show the answer as it is written."""
        messages = [system(desk.SYSTEM), user(question)]
        self._chat("question", model=SMALL, messages=messages, temperature=0, stream=stream)

    def greet(self, question: str, model: str, *, stream: bool) -> None:
        """The same without the handbook, for a model that could not read it."""
        messages = [user(question)]
        self._chat("question", model=model, messages=messages, temperature=0, max_tokens=120, stream=stream)

    def index(self, texts: Sequence[str]) -> None:
        """Embed documents for search."""
        embedded: Any = None
        with tags(agent="index"), suppress(Refused):
            embedded = self._client.embeddings.create(model=EMBEDDING, input=list(texts))
        self._on_call(Answered("embed", EMBEDDING, embedded and embedded.usage))

    def _chat(self, kind: str, *, stream: bool = False, **asked: Any) -> Any:
        """The message of the answer; None where there is none."""
        create: Any = self._client.chat.completions.create
        answer: Any = None
        with tags(agent=kind), suppress(Refused):
            if stream:
                asked |= {"stream": True, "stream_options": {"include_usage": True}}
                with create(**asked) as chunks:
                    answer = list(chunks)[-1]
            else:
                answer = create(**asked)
        self._on_call(Answered(kind, asked["model"], answer and answer.usage))
        return answer.choices[0].message if answer and answer.choices else None

    def _loop(self, kind: str, task: str, output: Callable[[str], Json]) -> None:
        messages = [system(desk.SYSTEM), user(task)]
        for _ in range(MAX_STEPS):
            message = self._chat(
                kind, model=LARGE, messages=messages, tools=desk.tool_schemas(), temperature=0
            )
            if not (message and message.tool_calls):
                return
            messages.append(message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"}))
            for call in message.tool_calls:
                content = json.dumps(output(call.function.name), indent=2)
                messages.append({"role": "tool", "tool_call_id": call.id, "content": content})


def system(text: str) -> Any:
    return {"role": "system", "content": text}


def user(text: str) -> Any:
    return {"role": "user", "content": text}


def run(client: OpenAI, on_call: OnCall | None = None) -> None:
    """All of it, in the same order each time; `client` is a plain client or a wrapped one."""
    worker = Desk(client, on_call)
    for number, ticket in enumerate(TICKETS):
        worker.classify(ticket)
        if number % 7 == 6:
            worker.classify(ticket)  # the client timed out and asked again
        worker.work(ticket)
        worker.ask(desk.QUESTIONS[number % 4])
    for ticket in TICKETS[::5]:
        worker.work(ticket)  # its worker was restarted
    for number, question in enumerate(desk.QUESTIONS + desk.QUESTIONS[:4]):
        worker.ask(question, stream=number % 4 == 0)
    for batch in batches(desk.documents(), 6):
        worker.index(batch)
    worker.index(desk.documents()[:6])  # one page was saved again without a change
    worker.audit()


def run_small(client: OpenAI, on_call: OnCall | None = None, model: str = SMALL) -> None:
    """Eight calls that a very small model can bear; three are repeats, one of them streamed."""
    worker = Desk(client, on_call)
    for number in (0, 1, 2, 3, 4, 1, 0, 4):
        worker.greet(desk.SMALL_TALK[number], model, stream=number in (0, 3))


def batches(texts: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (texts[start : start + size] for start in range(0, len(texts), size))


def share_repeated(bodies: Iterable[Json]) -> float:
    """Which share of these requests (0 to 1) is the same as an earlier one, whether it streams or not."""
    keys = [json.dumps(_asked(body), sort_keys=True) for body in bodies]
    return 1 - len(set(keys)) / len(keys) if keys else 0.0


def _asked(body: Json) -> Json:
    return {name: value for name, value in body.items() if name not in ("stream", "stream_options")}
