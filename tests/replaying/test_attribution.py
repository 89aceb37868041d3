"""Whatever was recorded and whatever the policy: what levers are credited with is the difference of the bills."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledgers import written
from random_policies import policies
from replay_material import BOOK, SECOND, START, Heard, adds_up, request

from costopt.policy import Policy
from costopt.types import Receipt, Record, Reply, Saving, Usage

PLAIN = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
CHAT_MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-5-nano", "in-house-7b", "auto")
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}

texts = st.sampled_from(["hi", "Capital of France?", "long " * 300, "Füße 漢字 ", "x" * 9000])
counts = st.one_of(st.just(0), st.integers(0, 50_000))
refusals = st.sampled_from(["BudgetExceeded: full", "LimitExceeded: no", "PromptTooLong: 9", "Odd"])
usages = st.builds(
    Usage,
    input=counts,
    cache_read=counts,
    cache_write=st.sampled_from([0, 0, 1500]),
    cache_write_1h=st.sampled_from([0, 0, 2000]),
    output=st.integers(0, 3000),
    estimated=st.booleans(),
    service_tier=st.sampled_from(["", "", "flex"]),
)


@st.composite
def bodies(draw: Any) -> tuple[str, dict[str, Any]]:
    api = draw(
        st.sampled_from(["chat", "chat", "chat", "embeddings", "messages", "responses", "completions"])
    )
    stream: dict[str, Any] = {"stream": True} if draw(st.booleans()) else {}
    text = draw(texts)
    match api:
        case "embeddings":
            return api, {
                "model": "text-embedding-3-small",
                "input": draw(st.sampled_from([text, [text, "b"]])),
            }
        case "messages":
            mark = draw(st.sampled_from([{}, {"cache_control": {"type": "ephemeral"}}]))
            blocks = [{"type": "text", "text": text, **mark}]
            said = [{"role": "user", "content": blocks}]
            return api, {"model": "claude-sonnet-4-5", "max_tokens": 500, "messages": said, **stream}
        case "responses":
            return api, {"model": draw(st.sampled_from(CHAT_MODELS)), "input": text, **stream}
        case "completions":
            return api, {"model": "gpt-3.5-turbo-instruct", "prompt": text}
        case _:
            return api, {"model": draw(st.sampled_from(CHAT_MODELS)), **draw(chats(text)), **stream}


@st.composite
def chats(draw: Any, text: str) -> dict[str, Any]:
    system = {"role": "system", "content": "You are terse. " * draw(st.sampled_from([1, 400]))}
    said: list[dict[str, Any]] = [system, {"role": "user", "content": text}]
    for turn in range(draw(st.integers(0, 3))):
        call = {"id": f"c{turn}", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        said.append({"role": "assistant", "content": None, "tool_calls": [call]})
        said.append({"role": "tool", "tool_call_id": f"c{turn}", "content": draw(texts)})
    more = st.sampled_from([{}, {"temperature": 0}, {"tools": [TOOL]}, {"response_format": SCHEMA}])
    return {"messages": said, **draw(more), **draw(st.sampled_from([{}, {"max_tokens": 200}]))}


@st.composite
def records(draw: Any, n: int, outcomes: Any, levers: bool) -> Record:
    api, body = draw(bodies())
    at = START + draw(st.sampled_from([0, 0, 1, SECOND, 40 * SECOND, 3600 * SECOND, 90_000 * SECOND]))
    sent = request(
        body,
        n,
        api=api,
        tags=draw(st.sampled_from([{}, {"user": "ann"}, {"user": "bob", "session": "s1"}])),
        tenant=draw(st.sampled_from(["", "t1"])),
        control=draw(st.sampled_from(["on", "on", "off", "refresh"])) if levers else "on",
    )
    outcome = draw(outcomes)
    ended = at + draw(st.sampled_from([0, 1, SECOND, 100 * SECOND]))
    if outcome == "refused":
        return Record(sent, None, outcome, at, ended, sent.model, None, draw(refusals))
    if outcome == "error" and draw(st.booleans()):
        return Record(sent, draw(failures()), outcome, at, ended, sent.model, None, "HTTP 500")
    bill = draw(receipts(sent, outcome, at, levers))
    reply = Reply(
        body=b'{"n": %d}' % n,
        model=bill.model,
        usage=bill.usage,
        finish=draw(st.sampled_from(["stop", "stop", "tool", "length", "empty", "unknown"])),
        tier=draw(st.sampled_from(["memory", "disk", "flight"])) if outcome == "hit" else "",
        first_ns=draw(st.sampled_from([0, at])),
    )
    error = "ConnectionError" if outcome == "error" else ""
    return Record(sent, reply, outcome, at, ended, sent.model, bill, error)


def failures() -> st.SearchStrategy[Reply | None]:
    after = (("retry-after", "2"),)
    return st.sampled_from([None, Reply(500, finish="error"), Reply(429, after, finish="error")])


@st.composite
def receipts(draw: Any, sent: Any, outcome: str, at: int, levers: bool) -> Receipt:
    usage = draw(usages)
    model = "gpt-4o" if sent.model == "auto" else sent.model
    cost = BOOK.cost(model, usage, sent.provider, at)
    own = draw(st.booleans())
    if own and cost is not None:
        cost += draw(st.integers(0, 5000))
    revision = "of another day" if own else BOOK.revision
    if outcome == "hit":
        saved = () if cost is None else (Saving("cache", cost, "derived", "the stored call paid again"),)
        return Receipt(model, usage, None if cost is None else 0, revision, saved)
    if not levers:
        return Receipt(model, usage, cost, revision)
    tried = Receipt("gpt-5-nano", usage, BOOK.cost("gpt-5-nano", usage, "openai", at), revision)
    attempts = draw(st.sampled_from([(), (), (tried,)]))
    if cost is not None:
        cost += sum(each.cost or 0 for each in attempts)
    some = st.sampled_from([Saving("route", 700, "estimated", "x"), Saving("trim", -90, "assumed", "y")])
    savings = tuple(draw(st.lists(some, max_size=2)))
    return Receipt(model, usage, cost, revision, savings, attempts, draw(st.sampled_from([0, 0, 50])))


@st.composite
def ledgers(draw: Any, levers: bool = True) -> list[Record]:
    some = ["ok", "ok", "ok", "error", "left", "hit", "refused"] if levers else ["ok", "ok", "error", "left"]
    size = draw(st.integers(1, 14))
    return [draw(records(n, st.sampled_from(some), levers)) for n in range(size)]


@PLAIN
@given(ledgers(), policies)
def test_levers_add_up_to_the_difference_of_the_bills(calls: list[Record], policy: Policy) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = written(Path(folder), calls)
        first, second = Heard(source, policy), Heard(source, policy)
    adds_up(first, [call.request.id for call in calls])
    assert first.bytes == second.bytes
    assert first.order == second.order


@PLAIN
@given(ledgers(levers=False))
def test_under_a_policy_that_only_observes_nothing_changes(calls: list[Record]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        told = Heard(written(Path(folder), calls), Policy())
    adds_up(told, [call.request.id for call in calls])
    for call in calls:
        change = told.changes[call.request.id]
        assert change.before == change.after, change
        assert (change.shares, change.answer, change.lever) == ((), "", "")
    assert told.outcome.outcomes == {
        outcome: sum(call.outcome == outcome for call in calls)
        for outcome in {call.outcome for call in calls}
    }
