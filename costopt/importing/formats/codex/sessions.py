"""Session logs of the Codex CLI: JSONL under ~/.codex/sessions/YYYY/MM/DD, one "rollout" a session.

What the log has: the items of the conversation, the model of each turn, and the counts OpenAI gave each response.
What it has not: the tool schemas and parameters, so every call is `partial` and the usage is the truth, not the text.

Counted once: a count that is told again, and a conversation that a fork or a subagent copied into its own file, with
new times but old turns, totals and response ids (ccusage #897, #1349, #1460). So a call is known by its response id,
else by its turn and totals, and never by time or place. An answer without any count (old versions, sessions broken
off) is a call whose tokens are counted here and labelled estimated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from costopt.importing.agentlogs import Clock, by_file
from costopt.importing.formats.codex.conversation import Known
from costopt.importing.formats.codex.rollout import Rollout
from costopt.importing.words import Found, Imported, Line, Options, Unusable


def read(lines: Iterable[Line], options: Options) -> Iterator[Found]:
    """The calls of these sessions, one for each response. Holds one conversation and the ids met so far."""
    known, clock = Known(), Clock(options)
    for rollout, item in by_file(lines, lambda path: Rollout(path, known)):
        if isinstance(item, Unusable):
            rollout.own = True
            yield item
            continue
        for call in rollout.close() if item is None else rollout.take(item.value):
            yield _timed(call, clock, options, rollout.path)
        if item is None and not rollout.own:
            yield Unusable(rollout.path, 0, "nothing in it is a line of a Codex session")


def _timed(call: Imported, clock: Clock, options: Options, path: str) -> Found:
    at = call.at or clock.made_up()
    if not at:
        return Unusable(path, 0, "an answer without a time: give one with --start")
    model = call.model or options.model
    tools = {"tools": options.tools} if options.tools else {}
    return replace(
        call, at=at, ended=max(call.ended, at), model=model, body={**call.body, "model": model, **tools}
    )
