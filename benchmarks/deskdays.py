"""Two days at the demo's support desk, in virtual time, through the real async SDK.

Agents with tools whose prompts grow, customers in conversations that pause, questions that repeat, a probe that asks
the same every four minutes (and so keeps the handbook in the provider's prompt cache), documents to embed; most of
it one after another, and once an hour five tickets and six questions at the same moment. Who is refused gives up.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterator
from random import Random
from typing import Any

import openai

from benchmarks.virtual import until
from costopt import tags
from costopt.demo import desk
from costopt.demo.workload import EMBEDDING, LARGE, MAX_STEPS, SMALL, system, user
from costopt.types import Json
from costopt.world.recorded import EventClock

SECOND = 10**9
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
#: 2025-10-09 08:00 UTC.
START = 1_759_996_800 * SECOND
HOURS = (0, 1, 4, 24, 25)
SYSTEM = desk.SYSTEM + " Be brief, be kind, and never promise what the handbook does not." * 8


class Days:
    """The desk's work. `failed` counts sessions that ended early, by the kind of error."""

    def __init__(self, client: openai.AsyncOpenAI, clock: EventClock) -> None:
        self.failed: dict[str, int] = {}
        self._client = client
        self._clock = clock

    async def run(self) -> None:
        plan = sorted(self._plan(), key=lambda session: session[0])
        await asyncio.gather(*(self._at(at, name, work) for at, name, work in plan))

    def _plan(self) -> Iterator[tuple[int, str, Coroutine[Any, Any, None]]]:
        random = Random(4)
        for hour in HOURS:
            start = START + hour * HOUR
            for number in range(15):
                yield start + number * 4 * MINUTE, "monitor", self.ask(desk.QUESTIONS[0], "monitor")
            for _ in range(4):
                yield self._ticket(start + random.randrange(55 * MINUTE), random.randrange(101, 113))
            for number in range(5):
                yield self._ticket(start + 30 * MINUTE + number * SECOND // 10, 101 + (hour + number) % 12)
            for number in range(6):
                asked = self.ask(desk.QUESTIONS[number // 2], f"burst-{number}")
                yield start + 30 * MINUTE, f"burst-{number}", asked
            for number in range(8):
                who = f"visitor-{random.randrange(40)}"
                asked = self.ask(desk.QUESTIONS[random.randrange(8)], who, stream=number % 3 == 0)
                yield start + random.randrange(HOUR), who, asked
            for _ in range(2):
                who = f"caller-{random.randrange(1000)}"
                yield start + random.randrange(20 * MINUTE), who, self.talk(who)
            yield start + 10 * MINUTE, "index", self.index(hour)

    def _ticket(self, at: int, ticket: int) -> tuple[int, str, Coroutine[Any, Any, None]]:
        return at, f"T-{ticket}", self.work(ticket)

    async def _at(self, at: int, customer: str, work: Coroutine[Any, Any, None]) -> None:
        await until(self._clock, at)
        with tags(customer=customer, session=f"{customer}-{at // SECOND}"):
            try:
                await work
            except openai.OpenAIError as error:
                name = type(error).__name__
                self.failed[name] = self.failed.get(name, 0) + 1

    async def work(self, ticket: int) -> None:
        """Sort the ticket, then the agent loop: call, run the tool (it takes its time), call with all so far."""
        labels = f"Sort the ticket. Answer with one of: {', '.join(desk.LABELS)}"
        await self._chat("sort", LARGE, [system(labels), user(desk.message_of(ticket))], max_tokens=5)
        messages = [system(SYSTEM), user(f"Please see to ticket T-{ticket}.")]
        pause = Random(ticket)
        for _ in range(MAX_STEPS):
            message = await self._chat("ticket", LARGE, messages, tools=desk.tool_schemas())
            if not message.tool_calls:
                return
            messages.append(message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"}))
            for call in message.tool_calls:
                output = desk.output_of(call.function.name, ticket)
                messages.append(
                    {"role": "tool", "tool_call_id": call.id, "content": json.dumps(output, indent=2)}
                )
            await self._pause(pause.choice((3, 8, 20, 45, 400)))

    async def ask(self, question: str, customer: str, *, stream: bool = False) -> None:
        model = LARGE if customer == "monitor" else SMALL
        await self._chat("question", model, [system(SYSTEM), user(question)], stream=stream)

    async def talk(self, customer: str) -> None:
        """A conversation that grows; its customer takes a break of more than five minutes in the middle."""
        random = Random(customer)
        messages = [system(SYSTEM)]
        for turn in range(7):
            topic = random.choice(sorted(desk.HANDBOOK))
            messages.append(user(f"I am {customer}. My {turn + 1}. question is about {topic}."))
            message = await self._chat("talk", LARGE, messages)
            messages.append({"role": "assistant", "content": message.content})
            await self._pause(420 if turn == 3 else random.randrange(20, 120))

    async def index(self, hour: int) -> None:
        pages = desk.documents()
        with tags(agent="index"):
            for start in range(0, len(pages), 5):
                texts = [f"{text} (as of hour {hour // 2})" for text in pages[start : start + 5]]
                await self._client.embeddings.create(model=EMBEDDING, input=texts)

    async def _chat(self, agent: str, model: str, messages: list[Any], **asked: Any) -> Any:
        create: Any = self._client.chat.completions.create
        body: Json = {"max_tokens": 400, "temperature": 0, **asked, "model": model, "messages": messages}
        with tags(agent=agent):
            if not body.pop("stream", False):
                return (await create(**body)).choices[0].message
            async for _ in await create(**body, stream=True, stream_options={"include_usage": True}):
                pass
        return None

    async def _pause(self, seconds: float) -> None:
        await until(self._clock, self._clock.now() + int(seconds * SECOND))
