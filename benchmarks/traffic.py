"""A month of agent traffic as ledger records: made here, the same every time, no network and no clock.

Sessions of a support agent: a system prompt, tools, and a conversation that grows by two messages a call. A quarter of
the calls are those of an earlier session at the same step, word for word. Four bytes are a token, and the prompt cache
is the simulated one, so that the recorded usage looks like a provider's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from random import Random

from costopt.decide.promptcache import PromptCache, pieces_of, rules
from costopt.types import Receipt, Record, Reply, Request, Usage
from costopt.world.ledger import Ledger
from costopt.world.pricemap import load

SECOND = 10**9
#: Records of one write.
BATCH = 500
#: Calls of a session.
STEPS = 8
START = 1_760_000_000 * SECOND
MONTH = 30 * 86_400 * SECOND
MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-4.1")
WORDS = (
    "order", "refund", "status", "ticket", "customer", "please", "check", "the",
    "address", "of", "parcel", "and", "price", "when", "not", "found",
)  # fmt: skip
TOOLS = [
    {
        "type": "function",
        "function": {"name": f"tool_{n}", "description": "Look up one record. " * 4, "parameters": {}},
    }
    for n in range(6)
]
ENDPOINT = "https://api.openai.com/v1/chat/completions"


def write(folder: Path, calls: int) -> None:
    """A ledger of `calls` calls in `folder`, written in batches as the live writer does."""
    ledger, batch = Ledger(folder), list[Record]()
    for record in records(calls):
        batch.append(record)
        if len(batch) == BATCH:
            ledger.write(batch)
            batch = []
    if batch:
        ledger.write(batch)
    ledger.close()


def records(calls: int) -> Iterator[Record]:
    """By start time; sessions overlap, the steps of each are in order."""
    book, cache = load(), PromptCache()
    for number, (at, session, step) in enumerate(_schedule(calls)):
        messages, model = _conversation(session, step), MODELS[session % len(MODELS)]
        body = {"model": model, "messages": messages, "tools": TOOLS, "temperature": 0}
        said = {"role": "assistant", "content": _text(Random(f"{session}-{step}-said"), 30)}
        prompt, output = len(json.dumps(body)) // 4, len(said["content"]) // 4
        rule = rules(book.find(model, "openai"), "openai", model, body)
        split = cache.send(rule, model, pieces_of("chat", body), prompt, at)
        usage = Usage(input=split.uncached, cache_read=split.read, output=output)
        answer = json.dumps(
            {"model": model, "choices": [{"message": said, "finish_reason": "stop"}]}
        ).encode()
        request = Request(
            id=f"{at:016x}{number:08x}", api="chat", model=model, body=body, endpoint=ENDPOINT, provider="openai",
            tenant="t", tags={"agent": "desk", "session": str(session)}, at=at,
        )  # fmt: skip
        receipt = Receipt(model, usage, book.cost(model, usage, "openai", at), book.revision)
        reply = Reply(
            body=answer, model=model, usage=usage, finish="stop", receipt=receipt, first_ns=at + SECOND
        )
        yield Record(request, reply, "ok", at, at + 2 * SECOND, model, receipt)


def _schedule(calls: int) -> list[tuple[int, int, int]]:
    """(start, session, step) by start; the calls of a session are 20 s apart."""
    random = Random(0)
    sessions = -(-calls // STEPS)
    starts = sorted(START + random.randrange(MONTH) for _ in range(sessions))
    planned = [
        (
            start + step * 20 * SECOND,
            session if random.random() > 0.25 else random.randrange(session + 1),
            step,
        )
        for session, start in enumerate(starts)
        for step in range(STEPS)
    ]
    return sorted(planned)[:calls]


def _conversation(session: int, step: int) -> list[dict[str, str]]:
    return _talk(session)[: 2 * (step + 1)]


@lru_cache(maxsize=1024)
def _talk(session: int) -> list[dict[str, str]]:
    """All of a session: system prompt, then user and assistant in turn."""
    words = Random(session)
    messages = [
        {"role": "system", "content": "You are the agent of a support desk. " + "Be exact and kind. " * 150}
    ]
    for turn in range(STEPS):
        messages.append({"role": "user", "content": f"{session}/{turn} {_text(words, 60)}"})
        messages.append({"role": "assistant", "content": _text(Random(f"{session}-{turn}-said"), 30)})
    return messages


def _text(random: Random, words: int) -> str:
    return " ".join(random.choices(WORDS, k=words))
