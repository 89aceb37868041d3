"""One Codex session file (a "rollout") read from top to bottom: the conversation, and the calls in it.

A line is `{timestamp, type, payload}`. `response_item` is an item of the conversation in the Responses API's JSON,
`turn_context` names model and turn, `compacted` puts a shorter conversation in place of the old one. A call shows by
its count: `event_msg`/`token_count` has `last_token_usage` (that call) and `total_token_usage` (all so far);
newer versions add `token_usage_record` with the response's id, for compactions too, which no `token_count` has
(codex #47003). Counts are told again without a call (ccusage #1288): the same total is the same call. The items the
model wrote since the last count are the answer; versions of 2025 wrote the count first and the items after it.
"""

from __future__ import annotations

from collections.abc import Iterator

from costopt.importing.agentlogs import folder, moment, said
from costopt.importing.formats.codex.answer import Answer, is_written
from costopt.importing.formats.codex.conversation import Conversation, Known
from costopt.importing.formats.codex.counts import Counts, born, counts, digest, tier, uuid_in
from costopt.importing.words import Imported
from costopt.types import Json
from costopt.wire.loose import count, record, records, text

#: Lines of the conversation that are never sent to a model.
_UNSENT = frozenset({"ghost_snapshot", "compaction_trigger", "other"})
_TYPES = frozenset({"session_meta", "turn_context", "response_item", "event_msg", "compacted"})


class Rollout:
    """The state of one file. `take` gives a call when it is complete, `close` what is left at the end."""

    def __init__(self, path: str, known: Known) -> None:
        self.path = path
        self.own = False
        self._known = known
        self._session = uuid_in(path) or path
        self._has_meta = self._forked = self._any_count = False
        self._tags: dict[str, str] = {}
        self._fixed: Json = {}
        self._provider = self._model = self._turn = self._tier = ""
        self._now = 0
        self._talk = Conversation()
        self._total = Counts()
        self._last: Counts | None = None
        self._answer: Answer | None = None
        self._uncounted: list[Answer] = []
        self._open: Answer | None = None
        self._latest: Answer | None = None

    # lines

    def take(self, line: Json) -> Iterator[Imported]:
        self._now = moment(line.get("timestamp")) or self._now
        kind, payload = text(line.get("type")), record(line.get("payload"))
        self.own = self.own or kind in _TYPES
        if kind == "response_item":
            yield from self._item(payload)
        elif kind == "event_msg":
            yield from self._event(payload)
        elif kind == "token_usage_record":
            yield from self._record(payload)
        elif kind == "compacted":
            yield from self._compacted(payload)
        elif kind == "turn_context":
            self._turn_begins(payload)
        elif kind == "session_meta":
            self._meta(payload)
        elif not payload:
            yield from self._old(line)

    def close(self) -> Iterator[Imported]:
        """The last call, and answers nobody counted: all in a session without a single count (versions before
        September 2025), else one that the session broke off at. Those of a conversation copied from another
        session belong to that one."""
        yield from self._emit()
        answers = (
            [*self._uncounted, self._answer] if not (self._any_count or self._forked) else [self._answer]
        )
        for answer in answers:
            if answer and answer.items and not (self._forked and not self._is_new(answer.turn)):
                parts = (self._scope(answer.turn), answer.start, answer.items)
                answer.key = f"uncounted:{digest(parts)}"
                yield from self._call(answer)

    def _old(self, line: Json) -> Iterator[Imported]:
        """Lines of mid-2025: the items themselves, after a first line with the session."""
        if "id" in line and "timestamp" in line and "type" not in line:
            self.own = True
            self._meta(line)
        elif line.get("type") == "message" or is_written(line) or text(line.get("type")).endswith("_output"):
            self.own = self.own or "role" in line or "call_id" in line
            yield from self._item(line)

    def _meta(self, payload: Json) -> None:
        """The first is the session's own; the others came with a conversation copied from its ancestors."""
        session = text(payload.get("id")) or text(payload.get("session_id"))
        if parent := text(payload.get("forked_from_id")):
            self._known.parents[session] = parent
            self._forked = True
        if self._has_meta:
            self._forked = self._forked or session != self._session
            return
        self._has_meta = True
        self._session = session or self._session
        self._provider = "openai" if payload.get("model_provider") in (None, "openai") else ""
        instructions = record(payload.get("base_instructions")).get("text") or payload.get("instructions")
        self._fixed = said(instructions=text(instructions))
        self._now = self._now or moment(payload.get("timestamp"))
        self._tags = said(
            session=self._session,
            project=folder(payload.get("cwd")),
            branch=text(record(payload.get("git")).get("branch")),
            version=text(payload.get("cli_version")),
            sidechain="true" if "subagent" in record(payload.get("source")) else "",
        )

    def _turn_begins(self, payload: Json) -> None:
        turn = text(payload.get("turn_id"))
        if turn != self._turn or not turn:
            self._talk.begin_turn()
        self._turn = turn
        self._model = text(payload.get("model")) or self._model
        effort = text(payload.get("effort"))
        self._fixed = {**self._fixed, "reasoning": {"effort": effort}} if effort else self._fixed

    def _event(self, payload: Json) -> Iterator[Imported]:
        kind = payload.get("type")
        if kind == "token_count":
            yield from self._token_count(record(payload.get("info")))
        elif kind == "thread_rolled_back":
            yield from self._emit()
            self._talk.roll_back(count(payload.get("num_turns")), self._now)
        elif kind == "thread_settings_applied":
            self._tier = tier(record(payload.get("thread_settings")), self._tier)

    # the conversation

    def _item(self, item: Json) -> Iterator[Imported]:
        if text(item.get("type")) in _UNSENT:
            return
        if not is_written(item):
            yield from self._emit()
            self._talk.ask(item, self._now)
            return
        if self._open and self._open.early:
            self._open.write(item, self._now)
        else:
            yield from self._emit()
            if self._answer is None or self._talk.asked_since:
                self._uncounted += [self._answer] if self._answer else []
                self._answer = self._begun()
            self._answer.write(item, self._now)
        self._talk.items.append(item)

    def _begun(self) -> Answer:
        history, start, asked = self._talk.begin_answer()
        return Answer(history, start, asked, self._model, self._turn, self._tier, [])

    def _compacted(self, payload: Json) -> Iterator[Imported]:
        yield from self._emit()
        history = payload.get("replacement_history")
        summary = {"type": "output_text", "text": text(payload.get("message"))}
        message = {"type": "message", "role": "assistant", "content": [summary]}
        self._talk.replace(records(history) if isinstance(history, list) else [message], self._now)

    # counts

    def _token_count(self, info: Json) -> Iterator[Imported]:
        total, last = counts(info.get("total_token_usage")), counts(info.get("last_token_usage"))
        if total is None and last is None:
            return
        again = self._is_told_again(total, last)
        if total is not None:
            last = total.since(self._total) if last is None else last
            self._total = total
        if not again and last and not self._is_recorded(last):
            parts = (self._scope(self._turn), total or (len(self._talk.items), self._written()), last)
            yield from self._counted(digest(parts), last)

    def _is_told_again(self, total: Counts | None, last: Counts | None) -> bool:
        if total is None:
            again = last == self._last and not self._written()
            self._last = last
            return again
        totals = self._known.totals(self._session)
        again = total in totals
        totals.add(total)
        return again

    def _is_recorded(self, last: Counts) -> bool:
        """Whether a `token_usage_record` has counted this call already."""
        before = self._latest
        if (self._session, self._turn) in self._known.recorded:
            return True
        return bool(before and before.response and before.counted == last and not self._written())

    def _record(self, payload: Json) -> Iterator[Imported]:
        used, response = counts(payload.get("usage")), text(payload.get("response_id"))
        if not used:
            return
        turn = text(payload.get("turn_id")) or self._turn
        self._known.recorded.add((self._session, turn))
        key = digest((response or self._scope(turn), turn, used))
        before = self._latest
        if before and not before.response and before.counted == used and not self._written():
            before.key, before.response = key, response
            return
        yield from self._counted(key, used, response)

    def _counted(self, key: str, used: Counts, response: str = "") -> Iterator[Imported]:
        self._any_count = True
        answer = self._answer or self._stolen() or self._begun()
        yield from self._emit()
        answer.key, answer.response, answer.counted = key, response, used
        answer.early = not answer.items
        answer.last = answer.last or self._now
        self._open, self._latest, self._answer = answer, answer, None
        self._uncounted.clear()

    def _stolen(self) -> Answer | None:
        """The items after an early count, if another count comes with nothing asked between: they are of this
        one, and the early count was of a call that wrote nothing."""
        opened = self._open
        if not (opened and opened.early and opened.items):
            return None
        answer = self._begun()
        answer.start, answer.items = opened.start, opened.items
        answer.first, answer.last = opened.first, opened.last
        opened.items = []
        return answer

    def _written(self) -> list[Json]:
        """What the model wrote since the last count."""
        if self._answer:
            return self._answer.items
        return self._open.items if self._open and self._open.early else []

    # calls

    def _emit(self) -> Iterator[Imported]:
        answer, self._open = self._open, None
        if answer:
            yield from self._call(answer)

    def _call(self, answer: Answer) -> Iterator[Imported]:
        if answer.key in self._known.calls:
            return
        self._known.calls.add(answer.key)
        at, ended = self._times(answer)
        yield answer.call(at, ended, self._provider, self._fixed, self._tags)

    def _times(self, answer: Answer) -> tuple[int, int]:
        """When it was asked and when it had been answered. A fork writes the copied lines anew with the time of the
        fork (ccusage #1370); there the turn's id still knows when the turn began."""
        first = answer.first or answer.last or self._now
        at = min(answer.asked, first) if answer.asked else first
        if self._forked and not self._is_new(answer.turn):
            at = min(at, born(answer.turn) or at)
            return at, at
        return at, max(answer.last, at)

    def _is_new(self, turn: str) -> bool:
        """Whether a turn of a fork is its own. Ids are UUIDv7, so they say which came first (agentsview PR #657)."""
        made = born(self._session)
        return bool(made) and born(turn) >= made

    def _scope(self, turn: str) -> str:
        """What a count is unique in: the turn, or where turns only have numbers, the session all forks began as."""
        return turn if born(turn) else f"{self._known.root(self._session)}:{turn}"
