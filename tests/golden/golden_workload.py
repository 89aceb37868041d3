"""The workload of the golden tests, made up here: four days at a village library, as interchange JSONL.

A desk agent with tools whose prompts grow (once begun again after a crash), readers' questions that repeat (some at the
same moment, some streamed), books embedded for search, an Anthropic session with `cache_control`, calls that ask for
the alias `auto`, one JSON schema, errors, a house model nobody knows a price of, a call without a usage, a hit of
another tool's cache. Token counts are four characters a token; cached ones go by a rule of thumb of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

DAY, HOUR, MINUTE = 86_400, 3_600, 60
#: 2026-09-01 08:00 UTC.
START = 1_788_249_600
SHELVES = ("poetry", "maps", "cooking", "ships", "weather", "music", "birds", "chess", "rivers", "clocks")
RULES = " ".join(
    f"Books of the shelf {shelf} are lent for {10 + n} days and cost {n + 3} cents a day after that; the copy at "
    f"the window stays in the house, and whoever loses one of them pays {n + 11} euros or brings another."
    for n, shelf in enumerate((SHELVES * 3)[:24])
)
SYSTEM = f"You are the desk of a village library. Be short and kind. {RULES}"
QUESTIONS = (
    "How long may I keep a book about ships?",
    "What does a lost map cost?",
    "When are you open on Saturday?",
    "May I borrow the chess clock?",
    "Is there a quiet room?",
)
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": what,
            "parameters": {"type": "object", "properties": {"number": {"type": "string"}}},
        },
    }
    for name, what in (("find_reader", "Who has this card."), ("list_loans", "All loans of a reader."))
]
CHAT = "https://api.openai.com/v1/chat/completions"
EMBED = "https://api.openai.com/v1/embeddings"
MESSAGES = "https://api.anthropic.com/v1/messages"
Line = dict[str, Any]


def lines() -> list[Line]:
    made = sorted(_lines(), key=lambda line: (line["timestamp"], line["id"]))
    return _with_cached_tokens(made)


def _lines() -> Iterator[Line]:
    for number, at in enumerate((0, 40 * MINUTE, DAY + 20 * MINUTE)):
        yield from _agent(f"loan-{number}", number, START + at)
    yield from _agent("loan-1-again", 1, START + 55 * MINUTE)
    yield from _questions()
    yield from _books()
    yield from _claude(START + 2 * DAY + HOUR)
    yield from _sorted_mail(START + 2 * DAY + 4 * HOUR)
    yield from _odd(START + 3 * DAY)


def _agent(session: str, case: int, at: int) -> Iterator[Line]:
    """Five calls, each with a long tool output more, twenty seconds apart; the last pause is longer than five
    minutes."""
    said: list[Any] = [_system(), _user(f"Reader R-{case} asks what is due and what it costs.")]
    for step in range(5):
        body = {
            "model": "gpt-4o",
            "messages": list(said),
            "tools": TOOLS,
            "temperature": 0,
            "max_tokens": 300,
        }
        tags = {"agent": "loans", "session": session, "user": f"u{case}"}
        begun = at + step * 20 + (400 if step == 4 else 0)
        if step == 4:
            yield _chat(
                f"{session}-{step}", begun, body, "Two books are due on Friday; it is 42 cents.", tags
            )
            return
        call = {"id": f"call_{case}_{step}", "type": "function"}
        call["function"] = {
            "name": TOOLS[step % 2]["function"]["name"],
            "arguments": f'{{"number":"R-{case}"}}',
        }
        yield _chat(f"{session}-{step}", begun, body, None, tags, [call])
        said.append({"role": "assistant", "content": None, "tool_calls": [call]})
        said.append({"role": "tool", "tool_call_id": call["id"], "content": _found(case, step)})


def _found(case: int, step: int) -> str:
    """What a tool says: indented JSON."""
    random = Random(case * 10 + step)
    loans = [
        {"book": f"{random.choice(SHELVES)}-{random.randrange(900)}", "due_in_days": random.randrange(30)}
        for _ in range(14)
    ]
    return json.dumps({"reader": f"R-{case}", "step": step, "loans": loans}, indent=2)


def _questions() -> Iterator[Line]:
    """Two an hour on the first three days, one of five; at noon three readers ask the same at the same moment."""
    random = Random(7)
    for number in range(24):
        day, hour = divmod(number, 8)
        asked = QUESTIONS[random.randrange(5)]
        at = START + day * DAY + hour * HOUR + random.randrange(HOUR)
        yield _question(f"question-{number}", at, asked, stream=number % 4 == 0, sampled=number % 5 == 0)
    for number in range(3):
        yield _question(f"noon-{number}", START + DAY + 4 * HOUR, QUESTIONS[2])
    for number in range(4):
        yield _question(
            f"keen-{number}", START + 4 * HOUR + number * 2, f"Who wrote the book on shelf {number}?"
        )


def _question(name: str, at: int, asked: str, *, stream: bool = False, sampled: bool = False) -> Line:
    body: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [_system(), _user(asked)], "max_tokens": 200}
    body |= {} if sampled else {"temperature": 0}
    body |= {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    tags = {"agent": "questions", "user": f"u{len(name) % 3}"}
    return _chat(name, at, body, f"{asked} Yes, and the desk will gladly tell you more.", tags)


def _books() -> Iterator[Line]:
    """Eight calls in an hour, four of them at once; the last two say again what the first two said."""
    for number in range(8):
        shelf = number % 6
        texts = [f"{SHELVES[shelf]}: a book of {page} pages" for page in (90 + shelf, 200 + shelf)]
        tokens = sum(len(text) // 4 for text in texts)
        rows = [{"object": "embedding", "index": n, "embedding": [0.5, 0.25, n]} for n in range(2)]
        answer = {"object": "list", "model": "text-embedding-3-small", "data": rows}
        answer["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
        at = START + DAY + 6 * HOUR + (0 if number < 4 else number * 300)
        body = {"model": "text-embedding-3-small", "input": texts}
        yield _line(f"book-{number}", at, EMBED, body, answer, 1, {"agent": "search"})


def _claude(at: int) -> Iterator[Line]:
    """A conversation of six calls with two breakpoints; a pause of ten minutes after the third."""
    rules = {"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral"}}
    said: list[Any] = []
    before, words = 0, len(SYSTEM) // 4
    for turn in range(6):
        text = f"Chapter {turn + 1}: who is the keeper of the lighthouse, and what does he read there?"
        part = {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}
        body = {"model": "claude-sonnet-4-5", "max_tokens": 300, "system": [rules]}
        body["messages"] = [*said, {"role": "user", "content": [part]}]
        answer = f"In chapter {turn + 1} he reads of storms, and writes down each ship that comes by."
        prompt = words + 40 * (turn + 1)
        read = 0 if turn == 3 else before
        usage = {"input_tokens": 4, "cache_read_input_tokens": read}
        usage |= {"cache_creation_input_tokens": prompt - read, "output_tokens": len(answer) // 4}
        reply = {
            "id": f"msg_{turn}",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-5-20250929",
        }
        reply |= {"content": [{"type": "text", "text": answer}], "stop_reason": "end_turn", "usage": usage}
        tags = {"agent": "reading", "session": "lighthouse", "user": "u9"}
        begun = at + turn * 45 + (600 if turn > 2 else 0)
        yield _line(f"reading-{turn}", begun, MESSAGES, body, reply, 3, tags)
        plain = {"type": "text", "text": text}
        said += [{"role": "user", "content": [plain]}, {"role": "assistant", "content": answer}]
        before = prompt


def _sorted_mail(at: int) -> Iterator[Line]:
    """Short calls that leave the model to a gateway."""
    for number in range(6):
        body: dict[str, Any] = {"model": "auto", "temperature": 0, "max_tokens": 20}
        body["messages"] = [
            _user(f"Sort letter {number % 5} into: loans, gifts, other. It says: {SHELVES[number]}.")
        ]
        said = '{"kind": "gifts"}' if number == 4 else "loans"
        if number == 4:
            schema = {"type": "object", "properties": {"kind": {"type": "string"}}, "required": ["kind"]}
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "mail", "schema": schema},
            }
        tags = {"agent": "mail", "task": "classify" if number < 4 else "extract"}
        yield _chat(f"mail-{number}", at + number * 30, body, said, tags, answered="gpt-4o-mini")


def _odd(at: int) -> Iterator[Line]:
    """What goes wrong, and what is not known."""
    body = {"model": "gpt-4o", "messages": [_system(), _user(QUESTIONS[1])], "temperature": 0}
    failed = _chat("busy", at, body, "", {"agent": "questions", "user": "u1"})
    error = {"error": {"message": "Too many requests", "type": "rate_limit_error"}}
    yield {**failed, "status": 429, "response": error, "error": "rate_limit_error: Too many requests"}
    broken = _chat("broken", at + 20, body, "", {"agent": "questions", "user": "u1"})
    yield {**broken, "status": 500, "response": None, "error": "server_error"}
    yield _chat(
        "busy-again", at + 40, body, "A lost map costs 12 euros.", {"agent": "questions", "user": "u1"}
    )
    house = {"model": "house-7b", "messages": [_user("Translate: the library is closed.")]}
    for number in range(2):
        yield _chat(
            f"house-{number}", at + HOUR + number, house, "La biblioteko estas fermita.", {"agent": "signs"}
        )
    uncounted = _chat("uncounted", at + 2 * HOUR, body, "A lost map costs 12 euros.", {"agent": "questions"})
    yield {**uncounted, "response": {**uncounted["response"], "usage": None}}
    cached = _chat("cached", at + 3 * HOUR, body, "A lost map costs 12 euros.", {"agent": "questions"})
    yield {**cached, "cache_hit": True}


# one line


def _chat(
    name: str,
    at: int,
    body: Line,
    said: str | None,
    tags: dict[str, str],
    calls: list[Any] | None = None,
    answered: str = "",
) -> Line:
    message: Line = {"role": "assistant", "content": said} | ({"tool_calls": calls} if calls else {})
    output = len(json.dumps(calls or said)) // 4
    prompt = sum(len(json.dumps(body.get(key, ""))) for key in ("tools", "messages")) // 4
    reply: Line = {"id": f"chatcmpl-{name}", "object": "chat.completion", "created": at}
    reply["model"] = answered or body["model"]
    reply["choices"] = [{"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}]
    reply["usage"] = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
    return _line(name, at, CHAT, body, reply, 2, tags)


def _line(name: str, at: int, url: str, body: Line, reply: Line, seconds: int, tags: dict[str, str]) -> Line:
    times = {"timestamp": at, "ended": at + seconds}
    return {
        "id": name,
        **times,
        "endpoint": url,
        "status": 200,
        "tags": tags,
        "request": body,
        "response": reply,
    }


def _with_cached_tokens(made: list[Line]) -> list[Line]:
    """OpenAI's answers say how much of the prompt was read from its cache: what an earlier prompt of the same model
    began with, of the last five minutes and answered by then, from 1,024 tokens on in steps of 128."""
    seen: dict[str, tuple[int, int]] = {}
    for line in made:
        body, reply = line["request"], line["response"]
        if "chat" not in line["endpoint"] or not reply or not reply.get("usage"):
            continue
        read = 0
        for end in range(1, len(body["messages"]) + 1):
            prefix = json.dumps([reply["model"], body.get("tools"), body["messages"][:end]])
            since, used = seen.get(prefix, (line["ended"], 0))
            alive = line["timestamp"] - used < 300
            tokens = len(prefix) // 4
            if alive and since <= line["timestamp"] and tokens >= 1024:
                read = min(tokens, reply["usage"]["prompt_tokens"]) // 128 * 128
            seen[prefix] = (since if alive else line["ended"], line["timestamp"])
        reply["usage"]["prompt_tokens_details"] = {"cached_tokens": read}
    return made


def _system() -> Line:
    return {"role": "system", "content": SYSTEM}


def _user(text: str) -> Line:
    return {"role": "user", "content": text}
