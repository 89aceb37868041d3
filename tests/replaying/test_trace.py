"""Every effect has words, and none of them is a text of a prompt or an answer."""

from __future__ import annotations

from typing import Any

import pytest

from costopt import effects as ask
from costopt.effects import Effect
from costopt.errors import BudgetExceeded, Interrupted, UpstreamError
from costopt.replaying.trace import Step, Trace
from costopt.types import Entry, Receipt, Record, Reply, Request, Saving, Usage

SECRET = "secret"
USAGE = Usage(input=92, cache_read=1920, output=40)
REPLY = Reply(body=SECRET.encode(), model="gpt-4o", usage=USAGE, finish="stop", tier="disk")
REQUEST = Request(
    id="a",
    api="chat",
    model="gpt-4o",
    body={"messages": [{"role": "user", "content": SECRET}]},
    endpoint="https://api.example.test/v1/chat/completions",
    provider="openai",
    tokens=2012,
)
ENTRY = Entry(REPLY, 0, 86_400 * 10**9)
QUOTA = ask.Quota("openai", 500, None, 60.0)
TICKET = ask.Ticket(1, (QUOTA,), 1234)
CLAIM = ask.Claim("day:user=42", 5_000_000_000, 0, 1)
HOLD = ask.Hold("h", (CLAIM,), 300_000_000)
HEAD = ask.Head(1, (REQUEST, REQUEST))
RECEIPT = Receipt("gpt-4o", USAGE, 421_000, savings=(Saving("cache", 5000, "derived", "x"),))
RECORD = Record(REQUEST, REPLY, "ok", 0, 1, "gpt-4o", RECEIPT)

TOLD: list[tuple[Effect[Any], Any, str]] = [
    (ask.Now(), 0, "1970-01-01 00:00:00"),
    (ask.Random(), 0.5, "0.5"),
    (ask.Sleep(1.5), None, "1.5 s -> awake"),
    (ask.Lookup("0123456789abcdef"), None, "key 0123456789ab -> miss"),
    (ask.Store("k", ENTRY), None, "key k, expires 1970-01-02 00:00:00"),
    (
        ask.Join("k", 2.0),
        ask.Lead("k", 1),
        "calls in flight with key k, for 2 s at most -> the first: it asks",
    ),
    (ask.Join("k"), ENTRY, "the leader's answer"),
    (ask.Join("k"), None, "no answer came: it asks itself"),
    (ask.Land(ask.Lead("k", 1), ENTRY), None, "the answer for those who wait"),
    (ask.Land(ask.Lead("k", 1), None), None, "no answer for those who wait"),
    (ask.Gather("b", REQUEST, 1, 512, 0.02), HEAD, "1 input, up to 512 within 0.02 s -> calls for 2 calls"),
    (ask.Gather("b", REQUEST, 2, 512, 0.02), REPLY, "2 inputs, up to 512 within 0.02 s -> got its part"),
    (ask.Gather("b", REQUEST, 2, 512, 0.02), None, "goes alone"),
    (ask.Scatter(HEAD, (REPLY, REPLY)), None, "parts to 2 calls"),
    (ask.Scatter(HEAD, None), None, "nothing to 2 calls"),
    (ask.Reserve("a", (CLAIM,), HOLD.nano), HOLD, "$0.30 in day:user=42 (limit $5) -> set aside"),
    (ask.Reserve("a", (CLAIM,), 1), BudgetExceeded("no room"), "-> BudgetExceeded: no room"),
    (ask.Settle(HOLD, 421_000), None, "$0.000421 of $0.30 set aside"),
    (ask.Admit((QUOTA, QUOTA), 1234), TICKET, "1,234 tokens through openai -> let through"),
    (ask.Correct(TICKET, 99), None, "1,234 tokens expected, 99 used"),
    (ask.Cool(("openai",), 2.0), None, "openai for 2 s"),
    (
        ask.Call(REQUEST),
        REPLY,
        "gpt-4o at openai, a prompt of 2,012 tokens by our count -> "
        "200, 2,012 prompt tokens (1,920 read from cache), 40 output, ended with stop",
    ),
    (ask.Call(REQUEST), UpstreamError(Reply(status=429)), "-> UpstreamError: HTTP 429"),
    (ask.Call(REQUEST), Interrupted(None), "-> Interrupted: the caller left"),
    (ask.Write(RECORD), None, "ok, $0.000421, cache +$0.000005"),
]


def steps(*heard: tuple[int, str, Effect[Any], Any]) -> list[Step]:
    trace = Trace("a")
    for one in heard:
        trace(*one)
    return trace.steps


@pytest.mark.parametrize(("effect", "answer", "words"), TOLD)
def test_an_effect_in_words(effect: Effect[Any], answer: Any, words: str) -> None:
    (step,) = steps((0, "a", effect, answer))
    told = " -> ".join(part for part in (step.what, step.answer) if part)
    assert words in told if "->" not in words[:2] else told.endswith(words)
    assert step.effect == type(effect).__name__
    assert SECRET not in told


def test_every_effect_is_here() -> None:
    known = [each.__name__ for each in Effect.__subclasses__()]  # pyright: ignore[reportUnknownVariableType] - why: of any answer
    assert {type(effect).__name__ for effect, _, _ in TOLD} == set(known)


def test_times_count_from_the_start_of_the_call() -> None:
    told = steps(
        (5, "b", ask.Now(), 5), (7, "a", ask.Now(), 7), (8, "b", ask.Now(), 8), (9, "a", ask.Random(), 0.5)
    )
    assert [(step.at_ns, step.waited_ns) for step in told] == [(0, 0), (2, 2)]
