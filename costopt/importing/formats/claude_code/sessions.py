"""Session logs of Claude Code: JSONL under ~/.claude/projects, one file a session, subagents in files of their own.

What the log has: each message of the conversation, the model, and what Anthropic counted. What it has not: the system
prompt, the tool schemas and the parameters, so every call is `partial` and the usage is the truth, not the text.

Counted once: a call written as several lines, copied by a resumed or forked session, or logged again by a subagent
(see `claude_calls`); `/btw` logs earlier answers again under new request ids, with the moment and the usage they had
(ccusage #913). Counted as calls of their own: the advisor's, which `usage.iterations` has and the sums beside it do
not (ccusage #1115). Not counted: messages Claude Code made itself.

Memory holds one file, the ids met so far, and at most `_HELD` calls that the end of a file cut in two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from costopt.importing import counts
from costopt.importing.agentlogs import Clock, by_file
from costopt.importing.formats.claude_code.calls import Call, Session
from costopt.importing.formats.claude_code.lines import Node, is_own
from costopt.importing.words import Found, Imported, Line, Options, Unusable
from costopt.tagging import TIMELESS
from costopt.types import Finish, Json, Nano, Usage
from costopt.wire import tally
from costopt.wire.loose import records, text

_HELD = 16


def read(lines: Iterable[Line], options: Options) -> Iterator[Found]:
    """The calls of these sessions, one for each answer Claude gave."""
    reader = _Reader(options)
    for session, item in by_file(lines, Session):
        if item is None:
            yield from reader.close(session)
        elif isinstance(item, Unusable):
            session.own = True
            yield item
        elif is_own(item.value):
            session.own = True
            session.add(Node(item))
    yield from reader.rest()


class _Draft(Struct):
    """A call as far as it is known: its answer's lines, what was asked, and when (0: unknown)."""

    path: str
    call: Call
    messages: list[Json]
    asked: int


class _Reader:
    def __init__(self, options: Options) -> None:
        self._options = options
        self._clock = Clock(options)
        self._met: set[str] = set()
        self._echoes: set[int] = set()
        self._held: dict[str, _Draft] = {}

    def close(self, session: Session) -> Iterator[Found]:
        """The calls of a file that is read to its end."""
        if not session.own:
            yield Unusable(session.path, 0, "nothing in it is a line of a Claude Code session")
        for call in session.calls.values():
            if call.key not in self._met:
                yield from self._take(_Draft(session.path, call, *session.asked(call)), session.is_cut(call))

    def rest(self) -> Iterator[Found]:
        for draft in list(self._held.values()):
            yield from self._made(draft)

    def _take(self, draft: _Draft, cut: bool) -> Iterator[Found]:
        other = self._held.pop(draft.call.key, None)
        whole = _joined(draft, other) if other else draft
        if not cut:
            yield from self._made(whole)
            return
        self._held[whole.call.key] = whole
        if len(self._held) > _HELD:
            yield from self._made(self._held.pop(next(iter(self._held))))

    def _made(self, draft: _Draft) -> Iterator[Found]:
        self._met.add(draft.call.key)
        if self._is_echo(draft.call):
            return
        tags, first = draft.call.best.tags, draft.call.first or draft.asked
        if not first:
            tags, first = {**tags, **TIMELESS}, self._clock.made_up()
        if first:
            yield from _found(draft, first, tags, self._options)
        else:
            yield Unusable(
                draft.path, draft.call.nodes[0].number, "an answer without a time: give one with --start"
            )

    def _is_echo(self, call: Call) -> bool:
        best = call.best
        if not best.id or not call.first or not any(best.prompt):
            return False
        mark = hash((best.id, call.first, best.prompt, best.tags.get("session")))
        if mark in self._echoes:
            return True
        self._echoes.add(mark)
        return False


def _joined(one: _Draft, two: _Draft) -> _Draft:
    """Two parts of one call. The part that knows more of the conversation says what was asked."""
    call = Call(one.call.key)
    lines = {node.uuid: node for node in (*one.call.nodes, *two.call.nodes)}
    call.nodes = sorted(lines.values(), key=lambda node: node.at)
    known = max(one, two, key=lambda draft: len(draft.messages))
    return _Draft(known.path, call, known.messages, known.asked)


def _found(draft: _Draft, first: int, tags: Mapping[str, str], options: Options) -> Iterator[Found]:
    call, best = draft.call, draft.call.best
    at = min(draft.asked, first) if draft.asked else first
    model = text(best.message.get("model")) or options.model
    body: Json = {"model": model, "messages": draft.messages}
    if options.tools:
        body["tools"] = options.tools
    usage = _usage(best.usage)
    yield Imported(
        id=call.key,
        at=at,
        ended=max(call.last, at),
        api="messages",
        provider=_provider(model),
        model=model,
        body=body,
        answer=_answer(call, usage is not None),
        usage=usage,
        raw_usage=best.usage or None,
        finish=_finish(call),
        stream=True,
        tags=tags,
        cost=_nano([node.cost for node in call.nodes]),
        partial=True,
    )
    yield from _advice(call, at, tags, draft.messages)


def _advice(call: Call, at: int, tags: Mapping[str, str], messages: list[Json]) -> Iterator[Imported]:
    """Calls to the advisor model inside this one; it is sent the whole conversation."""
    said = records(call.best.usage.get("iterations"))
    asides = [each for each in said if each.get("type") == "advisor_message"]
    for number, aside in enumerate(asides, 1):
        model, usage = text(aside.get("model")), _usage(aside)
        if model and usage:
            yield Imported(
                id=f"{call.key}:advisor:{number}",
                at=at,
                ended=max(call.last, at),
                api="messages",
                provider=_provider(model),
                model=model,
                body={"model": model, "messages": messages},
                usage=usage,
                raw_usage=aside,
                tags={**tags, "advisor": "true"},
                partial=True,
            )


def _answer(call: Call, counted: bool) -> Json:
    """The answer as Anthropic would have sent it whole."""
    best = call.best
    return {
        "id": best.id,
        "type": "message",
        "role": "assistant",
        "model": best.message.get("model"),
        "content": call.message["content"],
        "stop_reason": _stopped(call.nodes),
        "stop_sequence": best.message.get("stop_sequence"),
        **({"usage": best.usage} if counted else {}),
    }


def _stopped(nodes: Sequence[Node]) -> str | None:
    stops = [text(node.message.get("stop_reason")) for node in nodes]
    return next((stop for stop in reversed(stops) if stop), None)


def _finish(call: Call) -> Finish | None:
    """Some versions never say why the model stopped; a tool that was called says it all the same."""
    if _stopped(call.nodes):
        return None
    return (
        "tool"
        if any(block.get("type") == "tool_use" for block in records(call.message["content"]))
        else "unknown"
    )


def _usage(raw: Json) -> Usage | None:
    """None where there is none, or all of it is 0: gateways write zeros for what they do not know."""
    usage = tally.anthropic(raw)
    return usage if usage.prompt or usage.output else None


def _provider(model: str) -> str:
    """Only a name of Claude itself says who was asked; behind a gateway it could be anyone."""
    return "anthropic" if model.startswith("claude-") else ""


def _nano(costs: Iterable[Any]) -> Nano | None:
    """`costUSD` of old versions."""
    return max((nano for cost in costs if (nano := counts.nano(cost)) is not None), default=None)
