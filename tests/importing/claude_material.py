"""Sessions as Claude Code writes them, and the calls read from them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from costopt.importing.formats.claude_code.sessions import read
from costopt.importing.words import Imported, Line, Options, Unusable
from costopt.types import Json

START = 1_790_000_000


def moment(second: float) -> str:
    whole = START + int(second)
    day, rest = divmod(whole - 1_789_948_800, 86_400)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}.{int(second * 1000) % 1000:03}"
    return f"2026-09-{21 + day:02}T{clock}Z"


def ns(second: float) -> int:
    return START * 10**9 + int(second * 1000) * 10**6


def usage_of(fresh: int = 3, read_: int = 0, wrote: int = 0, out: int = 1, **more: Any) -> Json:
    return {
        "input_tokens": fresh,
        "cache_read_input_tokens": read_,
        "cache_creation_input_tokens": wrote,
        "cache_creation": {"ephemeral_5m_input_tokens": wrote, "ephemeral_1h_input_tokens": 0},
        "output_tokens": out,
        "service_tier": "standard",
        **more,
    }


class Log:
    """A session as Claude Code writes it: each line hangs on the line before."""

    def __init__(self, session: str = "s1", **extra: Any) -> None:
        self.lines: list[Json] = []
        self.session = session
        self.extra = extra
        self.second = 0.0
        self.last: str | None = None

    def line(self, kind: str, message: Json | None = None, **more: Any) -> str:
        self.second += 1
        uuid = f"{self.session}-{len(self.lines)}"
        line = {
            "type": kind,
            "uuid": uuid,
            "parentUuid": self.last,
            "sessionId": self.session,
            "timestamp": moment(self.second),
            "cwd": "/home/me/shop",
            "gitBranch": "main",
            "version": "2.1.63",
            "isSidechain": False,
            **self.extra,
            **({} if message is None else {"message": message}),
            **more,
        }
        self.lines.append({key: value for key, value in line.items() if value != "-"})
        self.last = uuid
        return uuid

    def user(self, content: Any, **more: Any) -> str:
        return self.line("user", {"role": "user", "content": content}, **more)

    def result(self, tool: str, content: str = "done", **more: Any) -> str:
        return self.user([{"type": "tool_result", "tool_use_id": tool, "content": content}], **more)

    def says(self, name: str, block: Json, usage: Json | None, stop: str | None = None, **more: Any) -> str:
        message = {
            "id": f"msg_{name}",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-5",
            "content": [block],
            "stop_reason": stop,
            **({} if usage is None else {"usage": usage}),
            **more.pop("message", {}),
        }
        return self.line("assistant", message, **{"requestId": f"req_{name}", **more})


def block(said: str) -> Json:
    return {"type": "text", "text": said}


def tool(name: str) -> Json:
    return {"type": "tool_use", "id": name, "name": "Bash", "input": {"command": name}}


def lines_of(files: Iterable[tuple[str, list[Any]]]) -> Iterator[Line]:
    for path, lines in files:
        for number, line in enumerate(lines, 1):
            yield Line(path, number, line if isinstance(line, bytes) else json.dumps(line).encode())


def found(*files: list[Any], options: Options | None = None) -> tuple[list[Imported], list[Unusable]]:
    named = [(f"{n}.jsonl", lines) for n, lines in enumerate(files)]
    found = list(read(lines_of(named), options or Options()))
    return [f for f in found if isinstance(f, Imported)], [f for f in found if isinstance(f, Unusable)]


def calls_in(*files: list[Any]) -> list[Imported]:
    calls, lost = found(*files)
    assert not lost
    assert len({call.id for call in calls}) == len(calls)
    return calls


def sums(calls: Iterable[Imported]) -> tuple[int, int, int]:
    usages = [call.usage for call in calls if call.usage]
    return len(usages), sum(u.prompt for u in usages), sum(u.output for u in usages)


def session_of(name: str = "s1") -> Log:
    """Three calls: one answered with two parallel tools, one with one, one with text."""
    log = Log(name)
    log.user("hello")
    log.says(f"{name}a", {"type": "thinking", "thinking": "hm", "signature": "x"}, usage_of(10, 0, 500, 2))
    one = log.says(f"{name}a", tool("t1"), usage_of(10, 0, 500, 2))
    log.says(f"{name}a", tool("t2"), usage_of(10, 0, 500, 90), "tool_use")
    two = log.last
    log.result("t1", "first", parentUuid=one)
    log.result("t2", "second", parentUuid=two)
    log.says(f"{name}b", tool("t3"), usage_of(4, 510, 60, 20), "tool_use")
    log.result("t3", "third")
    log.says(f"{name}c", block("all done"), usage_of(2, 570, 30, 7), "end_turn")
    return log
