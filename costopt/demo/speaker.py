"""What the simulated model says: a pure function of the request.

It follows instructions only as far as a demo needs. Offered tools and asked by a user, it calls the first
one; a tool output that names a `next_step` is followed; otherwise it answers in plain words. Asked for "one
of: a, b" it picks one, asked for a JSON schema it fills it. How *much* it says depends on the last message
alone, *what* on all of it.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Literal, TypeAlias, cast

from msgspec import Struct

from costopt.types import Json

#: Each is one token of o200k_base with its leading space, so a text of n words costs n tokens.
WORDS = (
    "the", "order", "was", "sent", "today", "and", "will", "arrive", "soon", "we", "have",
    "checked", "your", "account", "it", "shows", "one", "open", "case", "please", "keep", "this",
    "message", "for", "later", "our", "team", "can", "help", "you", "with", "that", "if", "need",
    "be", "a", "new", "part", "is", "on", "its", "way", "there", "no", "extra", "cost", "refund",
    "takes", "some", "time", "after", "return", "item", "reaches", "store", "thank", "for",
    "waiting",
)  # fmt: skip
LABELS = re.compile(r"\bone of: ([\w-]+(?:, [\w-]+)*)")
NEXT_STEP = re.compile(r'"next_step": ?"(\w+)"')
#: Token ids of a text.
Encode: TypeAlias = Callable[[str], Sequence[int]]
REFERENCE = re.compile(r"\b[A-Z]{1,3}-\d+\b")


def lexemes(text: str) -> list[int]:
    """Stand-in for a tokenizer: one id per word or mark. Within 20% of o200k_base on English prose."""
    return [zlib.crc32(piece.encode()) for piece in pieces(text)]


class Tool(Struct, frozen=True):
    name: str
    parameters: Json = {}


class Prompt(Struct, frozen=True):
    """A request as the simulated model reads it. `parts` is all of it in the order of the prompt cache.

    `said` are the texts of its messages. `force` is a tool that must be called, "" leaves the choice.
    """

    model: str
    parts: tuple[str, ...]
    said: tuple[str, ...]
    last_role: str
    tools: tuple[Tool, ...] = ()
    force: str = ""
    schema: Json | None = None
    max_output: int | None = None
    choices: int = 1

    @property
    def last(self) -> str:
        return self.said[-1] if self.said else ""


class ToolCall(Struct, frozen=True):
    id: str
    name: str
    arguments: str


class Choice(Struct, frozen=True):
    text: str
    calls: tuple[ToolCall, ...]
    finish: Literal["stop", "tool_calls", "length", "content_filter"]
    tokens: int


class Said(Struct, frozen=True):
    """A finished answer with the usage that a provider would report for it."""

    id: str
    model: str
    choices: tuple[Choice, ...]
    prompt_tokens: int
    cached_tokens: int

    @property
    def output_tokens(self) -> int:
        return sum(choice.tokens for choice in self.choices)


def seed_of(body: Json) -> str:
    """Hex sha256 of a request; whether it streams does not change the answer."""
    asked = {name: value for name, value in body.items() if name not in ("stream", "stream_options")}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def speak(prompt: Prompt, seed: str, encode: Encode) -> Choice:
    """One choice. `encode` gives the token ids of a text."""
    call = _tool_to_call(prompt)
    if call is not None:
        arguments = json.dumps(fill(call.parameters, prompt, Random(seed)))
        return Choice(
            "",
            (ToolCall(f"call_{seed[:24]}", call.name, arguments),),
            "tool_calls",
            len(encode(arguments)) + 8,
        )
    text = _text(prompt, seed)
    tokens = pieces(text)
    if prompt.max_output is not None and len(encode(text)) > prompt.max_output:
        return Choice("".join(tokens[: prompt.max_output]), (), "length", prompt.max_output)
    return Choice(text, (), "stop", len(encode(text)))


def pieces(text: str) -> list[str]:
    """A text as the chunks it is streamed in: about one token each."""
    return re.findall(r"\s*(?:\w+|[^\w\s])|\s+$", text)


def _tool_to_call(prompt: Prompt) -> Tool | None:
    named = {tool.name: tool for tool in prompt.tools}
    if not named:
        return None
    if prompt.force:
        return named.get(prompt.force, prompt.tools[0])
    if prompt.last_role == "user":
        return prompt.tools[0]
    step = NEXT_STEP.search(prompt.last)
    return named.get(step[1]) if step else None


def _text(prompt: Prompt, seed: str) -> str:
    if prompt.schema is not None:
        return json.dumps(fill(prompt.schema, prompt, Random(seed)))
    for said in prompt.said:
        if labels := LABELS.search(said):
            return str(Random(prompt.last).choice(labels[1].split(", ")))
    return prose(Random(seed), Random(prompt.last).randint(60, 220))


def prose(random: Random, words: int) -> str:
    """`words` words and full stops."""
    text: list[str] = []
    while len(text) < words - 1:
        sentence = [random.choice(WORDS) for _ in range(min(random.randint(6, 14), words - 1 - len(text)))]
        text += [sentence[0].capitalize(), *sentence[1:], "."]
    return " ".join(text).replace(" .", ".")


def fill(schema: Json, prompt: Prompt, random: Random) -> Any:
    """A value that fits a JSON schema (the common part of it); texts are taken from the conversation."""
    if "enum" in schema:
        return random.choice(schema["enum"])
    if "const" in schema:
        return schema["const"]
    if isinstance(branches := schema.get("anyOf"), list):
        return fill(cast(Json, branches[0]), prompt, random)
    if "$ref" in schema:
        return fill(_lookup(schema["$ref"], prompt.schema or {}), prompt, random)
    match schema.get("type", "object"):
        case "string":
            return _words_for(prompt)
        case "integer" | "number":
            return max(random.randint(1, 9), int(schema.get("minimum", 1)))
        case "boolean":
            return random.random() < 0.5
        case "array":
            return [fill(schema.get("items", {"type": "string"}), prompt, random)]
        case "null":
            return None
        case _:
            parts: Json = schema.get("properties", {})
            return {name: fill(part, prompt, random) for name, part in parts.items()}


def _lookup(pointer: str, root: Json) -> Json:
    found: Json = root
    for name in pointer.removeprefix("#/").split("/"):
        found = found.get(name, {})
    return found


def _words_for(prompt: Prompt) -> str:
    """The last reference (like T-104) anybody wrote, else the beginning of the last message."""
    for said in reversed(prompt.said):
        if found := REFERENCE.findall(said):
            return str(found[-1])
    return " ".join(prompt.last.split()[:6])
