"""Sessions as Codex writes them, and the calls read from them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from costopt.importing.formats.codex.sessions import read
from costopt.importing.words import Imported, Line, Options, Unusable
from costopt.types import Json

START = 1_790_000_000_000
"""ms"""


def uuid(ms: int, tail: int = 1) -> str:
    stamp = f"{START + ms:012x}"
    return f"{stamp[:8]}-{stamp[8:]}-7{tail:03x}-8000-{tail:012x}"


def moment(second: float) -> str:
    rest = START // 1000 + int(second) - 1_789_948_800
    return f"2026-09-{21 + rest // 86_400}T{rest // 3600 % 24:02}:{rest // 60 % 60:02}:{rest % 60:02}.000Z"


def ns(second: float) -> int:
    return START * 10**6 + int(second) * 10**9


def tokens(sent: int, cached: int, out: int, reasoning: int = 0) -> Json:
    return {
        "input_tokens": sent,
        "cached_input_tokens": cached,
        "output_tokens": out,
        "reasoning_output_tokens": reasoning,
        "total_tokens": sent + out,
    }


class Rollout:
    """A session as Codex writes it."""

    def __init__(self, session: str, **meta: Any) -> None:
        self.lines: list[Json] = []
        self.second = 0.0
        self.totals = [0, 0, 0, 0]
        payload = {
            "id": session,
            "cwd": "/home/me/shop",
            "cli_version": "0.140.0",
            "model_provider": "openai",
        }
        self.line(
            "session_meta",
            {**payload, "git": {"branch": "main"}, "base_instructions": {"text": "Be brief."}, **meta},
        )

    def line(self, kind: str, payload: Json) -> None:
        self.second += 1
        self.lines.append({"timestamp": moment(self.second), "type": kind, "payload": payload})

    def turn(self, turn: str, model: str = "gpt-5-codex") -> None:
        self.line("turn_context", {"turn_id": turn, "model": model, "cwd": "/home/me/shop", "effort": "high"})

    def user(self, said: str) -> None:
        self.line("response_item", message("user", said))

    def says(self, said: str) -> None:
        self.line("response_item", message("assistant", said))

    def calls(self, name: str) -> None:
        call = {"type": "function_call", "name": "shell", "arguments": "{}", "call_id": name}
        self.line("response_item", call)

    def output(self, name: str) -> None:
        self.line("response_item", {"type": "function_call_output", "call_id": name, "output": "done"})

    def count(self, *numbers: int, again: bool = False, last: bool = True, total: bool = True) -> None:
        counted = [*numbers, *[0] * (4 - len(numbers))]
        if not again:
            self.totals = [a + b for a, b in zip(self.totals, counted, strict=True)]
        info: Json = {"model_context_window": 272_000}
        info |= {"total_token_usage": tokens(*self.totals)} if total else {}
        info |= {"last_token_usage": tokens(*counted)} if last else {}
        self.line("event_msg", {"type": "token_count", "info": info, "rate_limits": {}})

    def record(self, response: str, turn: str, *numbers: int) -> None:
        counted = [*numbers, *[0] * (4 - len(numbers))]
        ids = {"thread_id": "t", "turn_id": turn, "response_id": response}
        self.line(
            "token_usage_record",
            {**ids, "usage": tokens(*counted), "turn_token_usage": tokens(9999, 0, 9999)},
        )


def message(role: str, said: str) -> Json:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": said}]}


def session_of(start: int = 0, tail: int = 1) -> Rollout:
    """Three calls in two turns: a tool, what came of it, an answer with reasoning by another model."""
    rollout = Rollout(uuid(start, tail))
    rollout.turn(uuid(start + 10, tail))
    rollout.user("fix it")
    rollout.line("response_item", {"type": "reasoning", "summary": [], "encrypted_content": "xyz"})
    rollout.calls("c1")
    rollout.count(1000, 0, 50, 20)
    rollout.output("c1")
    rollout.count(1000, 0, 50, 20, again=True)
    rollout.says("fixed")
    rollout.count(1100, 900, 30)
    rollout.turn(uuid(start + 9000, tail), "gpt-5.5")
    rollout.user("and now?")
    rollout.says("nothing")
    rollout.count(1200, 1100, 7)
    rollout.count(1200, 1100, 7, again=True)
    return rollout


def lines_of(files: Iterable[tuple[str, list[Any]]]) -> Iterator[Line]:
    for path, lines in files:
        for number, line in enumerate(lines, 1):
            yield Line(path, number, line if isinstance(line, bytes) else json.dumps(line).encode())


def named(
    *files: tuple[str, list[Any]], options: Options | None = None
) -> tuple[list[Imported], list[Unusable]]:
    found = list(read(lines_of(files), options or Options()))
    calls = [f for f in found if isinstance(f, Imported)]
    assert len({call.id for call in calls}) == len(calls)
    return calls, [f for f in found if isinstance(f, Unusable)]


def calls_in(*files: list[Any]) -> list[Imported]:
    calls, lost = named(*((f"{n}.jsonl", lines) for n, lines in enumerate(files)))
    assert not lost
    return calls


def sums(calls: Iterable[Imported]) -> tuple[int, int, int]:
    usages = [call.usage for call in calls if call.usage]
    return len(usages), sum(u.prompt for u in usages), sum(u.output for u in usages)
