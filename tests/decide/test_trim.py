"""The cut as a fold: over any history it keeps its promises, and between cuts the prompt only grows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from costopt import policy
from costopt.decide import trim
from costopt.errors import PromptTooLong
from costopt.types import Turn
from costopt.wire.chat import Chat
from costopt.wire.messages import Messages
from costopt.wire.responses import Responses
from costopt.world import tokenizers

COUNTER = tokenizers.counter()


def _turns(shape: list[tuple[str, int]], same_ids: bool = False) -> list[Turn]:
    """`shape` is (kind, number of calls): a kind is system, user, assistant, or think (an item before a
    call)."""
    turns: list[Turn] = []
    for step, (kind, calls) in enumerate(shape):
        ids = tuple(f"call_{n}" if same_ids else f"call_{step}_{n}" for n in range(calls))
        if kind == "think":
            turns += [
                Turn("assistant", "", f"think {step}"),
                *(Turn("assistant", "", i, calls=(i,)) for i in ids),
            ]
        elif kind == "assistant":
            turns.append(Turn("assistant", "", f"says {step}", calls=ids))
        else:
            turns.append(Turn("system" if kind == "system" else "user", "", f"{kind} {step}"))
        if kind in ("assistant", "think"):
            turns += [Turn("tool", "", f"answer {i}", answers=(i,)) for i in ids]
    return turns


SHAPES = st.lists(
    st.tuples(st.sampled_from(["assistant", "assistant", "assistant", "think", "user"]), st.integers(0, 3)),
    max_size=40,
)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Turn], list[int], int, int, int]:
    turns = _turns([("system", 0), ("user", 0), *draw(SHAPES)], draw(st.booleans()))
    counts = [draw(st.integers(1, 60)) for _ in turns]
    budget = draw(st.integers(150, 1500))
    return turns, counts, draw(st.integers(0, 50)), budget, draw(st.integers(10, budget))


def _ends_request(turns: list[Turn], length: int) -> bool:
    """Whether a client would send this prefix: it ends with a user or with all answers given."""
    open_calls = {call for turn in turns[:length] for call in turn.calls}
    answered = {call for turn in turns[:length] for call in turn.answers}
    return turns[length - 1].role in ("user", "tool") and open_calls == answered


@settings(max_examples=300, deadline=None)
@given(histories())
def test_whatever_the_history_the_cut_fits_and_keeps_what_must_stay(
    history: tuple[list[Turn], list[int], int, int, int],
) -> None:
    turns, counts, fixed, budget, keep = history
    try:
        cut = trim.plan(turns, counts, fixed, budget, keep)
    except PromptTooLong:
        assume(False)
        return
    kept = [turns[index] for index in cut.kept]
    assert cut.before == fixed + sum(counts)
    assert cut.after == fixed + sum(counts[index] for index in cut.kept) <= budget
    assert list(cut.kept) == sorted(set(cut.kept))
    assert cut.kept[:2] == (0, 1), "system and the first user turn stay"
    assert turns[-1] is kept[-1]
    users = [turn for turn in turns if turn.role == "user"]
    assert users[-1] in kept, "what the user asked last stays"
    _no_orphans(kept)


def _no_orphans(kept: list[Turn]) -> None:
    waiting: list[str] = []
    for turn in kept:
        for call in turn.answers:
            assert call in waiting
            waiting.remove(call)
        waiting += turn.calls
    assert not waiting


@settings(max_examples=200, deadline=None)
@given(histories())
def test_between_two_cuts_a_prompt_only_grows(history: tuple[list[Turn], list[int], int, int, int]) -> None:
    turns, counts, fixed, budget, keep = history
    before: trim.Cut | None = None
    for length in range(2, len(turns) + 1):
        if not _ends_request(turns, length):
            continue
        try:
            cut = trim.plan(turns[:length], counts[:length], fixed, budget, keep)
        except PromptTooLong:
            continue
        if before is not None:
            assert set(cut.kept) & set(range(before.kept[-1] + 1)) <= set(before.kept), (
                "what was cut stays cut"
            )
            if cut.cuts == before.cuts:
                assert cut.kept[: len(before.kept)] == before.kept
        before = cut


def test_a_cut_makes_room_for_many_turns() -> None:
    turns = _turns([("system", 0), ("user", 0), *[("assistant", 1)] * 100])
    counts = [10] * len(turns)
    cuts = []
    for length in range(2, len(turns) + 1, 2):
        cut = trim.plan(turns[:length], counts[:length], 0, 400, 200)
        cuts.append(cut.cuts)
        assert cut.after <= 400
    # From 200 tokens up, a cut is due once in every 200 new tokens; there are 2000.
    assert 8 <= max(cuts) <= 10


def test_a_history_within_budget_is_left_alone() -> None:
    turns = _turns([("system", 0), ("user", 0), ("assistant", 2), ("user", 0)])
    cut = trim.plan(turns, [1] * len(turns), 10, 100, 50)
    assert cut == trim.Cut(tuple(range(len(turns))), 10 + len(turns), 10 + len(turns), 0)


def test_what_must_stay_and_does_not_fit_is_refused_with_its_numbers() -> None:
    turns = _turns([("system", 0), ("user", 0), ("assistant", 1)])
    with pytest.raises(
        PromptTooLong, match=r"116 tokens, 116 of them .*\(1 for tools, 100 pinned\).*budget is 110"
    ):
        trim.plan(turns, [50, 50, 5, 10], 1, 110, 50)


def test_parallel_calls_and_their_answers_go_together() -> None:
    turns = _turns([("user", 0), ("assistant", 3), ("assistant", 1), ("user", 0)])
    cut = trim.plan(turns, [10] * len(turns), 0, 70, 50)
    assert [turns[index].raw for index in cut.kept] == ["user 0", "says 2", "answer call_2_0", "user 3"]


def test_reasoning_goes_with_the_call_it_led_to() -> None:
    turns = _turns([("user", 0), ("think", 1), ("think", 1)])
    cut = trim.plan(turns, [10] * len(turns), 0, 60, 60)
    assert [turns[index].raw for index in cut.kept] == ["user 0", "think 2", "call_2_0", "answer call_2_0"]


def test_open_calls_are_not_cut_from_under_their_answers() -> None:
    turns = [
        Turn("user", "", "task"),
        Turn("assistant", "", "before", calls=("x",)),
        Turn("tool", "", "x", answers=("x",)),
        Turn("assistant", "", "asks", calls=("a", "b")),
        Turn("tool", "", "a", answers=("a",)),
        Turn("user", "", "interrupts"),
        Turn("tool", "", "b", answers=("b",)),
    ]
    cut = trim.plan(turns, [10, 30, 10, 10, 10, 10, 10], 0, 75, 30)
    assert cut.kept == (0, 3, 4, 5, 6)


def test_a_late_second_answer_goes_where_its_call_went() -> None:
    turns = _turns([("user", 0), ("assistant", 1), ("assistant", 1), ("user", 0)])
    turns.append(Turn("tool", "", "again", answers=("call_1_0",)))
    cut = trim.plan(turns, [10, 40, 10, 10, 10, 10, 10], 0, 75, 40)
    assert cut.kept == (0, 3, 4, 5)


def test_one_turn_may_answer_several_earlier_ones() -> None:
    turns = [
        Turn("user", "", "task"),
        Turn("assistant", "", "one", calls=("a",)),
        Turn("user", "", "wait"),
        Turn("assistant", "", "two", calls=("b",)),
        Turn("tool", "", "both", answers=("a", "b")),
        Turn("assistant", "", "three", calls=("c",)),
        Turn("tool", "", "c", answers=("c",)),
    ]
    cut = trim.plan(turns, [10] * 7, 0, 65, 50)
    assert cut.kept == (0, 2, 5, 6)


def test_a_conversation_without_tools_drops_its_oldest_exchanges() -> None:
    turns = _turns([("system", 0), *[("user", 0), ("assistant", 0)] * 10, ("user", 0)])
    cut = trim.plan(turns, [10] * len(turns), 0, 150, 100)
    kept = [turns[index] for index in cut.kept]
    assert kept[0].role == "system"
    assert kept[1].raw == "user 1"
    assert kept[-1].role == "user"


def test_long_histories_take_linear_work() -> None:
    turns = _turns([("system", 0), ("user", 0), *[("assistant", 1)] * 20_000])
    cut = trim.plan(turns, [60, 60, *[1] * (len(turns) - 2)], 0, 125, 100)
    assert cut.after <= 125


def _chat(rounds: int, output: str) -> dict[str, Any]:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "You are careful. Ünïcode stays."},
        {"role": "user", "content": "Find the file."},
    ]
    for n in range(rounds):
        call = {"id": f"c{n}", "type": "function", "function": {"name": "ls", "arguments": "{}"}}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call], "odd": {"kept": True}})
        messages.append({"role": "tool", "tool_call_id": f"c{n}", "content": output})
    return {"model": "gpt-4o", "messages": messages, "temperature": 0.5, "unknown": [1]}


def _messages(rounds: int, output: str) -> dict[str, Any]:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Find the file."}]
    for n in range(rounds):
        call = {"type": "tool_use", "id": f"c{n}", "name": "ls", "input": {}}
        answer = {"type": "tool_result", "tool_use_id": f"c{n}", "content": output}
        messages += [{"role": "assistant", "content": [call]}, {"role": "user", "content": [answer]}]
    return {"model": "claude", "system": "You are careful.", "messages": messages, "max_tokens": 10}


def _responses(rounds: int, output: str) -> dict[str, Any]:
    items: list[dict[str, Any]] = [{"role": "user", "content": "Find the file."}]
    for n in range(rounds):
        items += [
            {"type": "reasoning", "id": f"r{n}", "summary": []},
            {"type": "function_call", "call_id": f"c{n}", "name": "ls", "arguments": "{}"},
            {"type": "function_call_output", "call_id": f"c{n}", "output": output},
        ]
    return {"model": "gpt-5", "instructions": "You are careful.", "input": items}


APIS = [(Chat(), _chat), (Messages(), _messages), (Responses(), _responses)]


@pytest.mark.parametrize(("dialect", "make"), APIS, ids=["chat", "messages", "responses"])
def test_real_bodies_are_cut_and_nothing_else_changes(dialect: Any, make: Any) -> None:
    body = make(40, "a file of some length " * 5)
    frozen = json.dumps(body)
    trimmed = trim.apply(dialect, body, policy.Trim(budget=500, keep=250), COUNTER, "gpt-4o")
    assert json.dumps(body) == frozen, "the caller's own body is never touched"
    assert trimmed.before > 500 >= trimmed.after
    assert trimmed.dropped > 0
    again = trim.apply(dialect, trimmed.body, policy.Trim(budget=500, keep=250), COUNTER, "gpt-4o")
    assert again.body is trimmed.body
    assert again.before == again.after == trimmed.after
    _no_orphans(dialect.turns(trimmed.body))
    key = "input" if "input" in body else "messages"
    rest = {name: value for name, value in body.items() if name != key}
    assert {name: value for name, value in trimmed.body.items() if name != key} == rest
    assert all(message in body[key] for message in trimmed.body[key])
    assert trimmed.body[key][-1] == body[key][-1]


@pytest.mark.parametrize(("dialect", "make"), APIS, ids=["chat", "messages", "responses"])
def test_long_tool_outputs_are_shortened_on_arrival(dialect: Any, make: Any) -> None:
    rules = policy.Trim(budget=10_000, keep=5000, tool_output=60)
    long = " ".join(f"line{n}" for n in range(500))
    trimmed = trim.apply(dialect, make(2, long), rules, COUNTER, "gpt-4o")
    assert (trimmed.shortened, trimmed.dropped) == (2, 0)
    assert trimmed.after < trimmed.before
    assert all(
        COUNTER.count_text(t.text, "gpt-4o") <= 60 for t in dialect.turns(trimmed.body) if t.role == "tool"
    )
    longer = trim.apply(dialect, make(3, long), rules, COUNTER, "gpt-4o")
    key = "input" if "input" in trimmed.body else "messages"
    assert longer.body[key][: len(trimmed.body[key])] == trimmed.body[key], "a prefix never changes"


def test_nothing_to_do_gives_the_very_same_body() -> None:
    body = _chat(3, "short")
    trimmed = trim.apply(
        Chat(), body, policy.Trim(budget=9000, keep=4000, tool_output=100), COUNTER, "gpt-4o"
    )
    assert trimmed.body is body
    assert trimmed.before == trimmed.after


def test_too_long_to_trim_is_refused() -> None:
    with pytest.raises(PromptTooLong):
        trim.apply(Chat(), _chat(1, "word " * 2000), policy.Trim(budget=500, keep=250), COUNTER, "gpt-4o")


ROWS = json.dumps([{"id": n, "name": f"row {n}"} for n in range(12)], indent=4)
CAP = COUNTER.count_text(json.dumps(json.loads(ROWS), separators=(",", ":")), "gpt-4o")

#: Bodies in which tools said `ROWS`, each beside text that is not the tool's.
NAMED: list[tuple[Any, dict[str, Any], Any]] = [
    (
        Chat(),
        {"messages": [{"role": "tool", "tool_call_id": "c", "name": "get_user", "content": ROWS}]},
        lambda body: [body["messages"][0]["content"]],
    ),
    (
        Chat(),
        {"messages": [{"role": "function", "name": "get_user", "content": ROWS}]},
        lambda body: [body["messages"][0]["content"]],
    ),
    (
        Messages(),
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "a", "content": ROWS},
                        {
                            "type": "tool_result",
                            "tool_use_id": "b",
                            "content": [{"type": "text", "text": ROWS}],
                        },
                        {"type": "text", "text": "And be quick."},
                    ],
                }
            ]
        },
        lambda body: [
            body["messages"][0]["content"][0]["content"],
            body["messages"][0]["content"][1]["content"][0]["text"],
        ],
    ),
    (
        Responses(),
        {"input": [{"type": "custom_tool_call_output", "call_id": "c", "name": "get_user", "output": ROWS}]},
        lambda body: [body["input"][0]["output"]],
    ),
]


@pytest.mark.parametrize(
    ("dialect", "body", "said"), NAMED, ids=["chat", "function", "messages", "responses"]
)
def test_a_tool_output_is_shortened_by_itself_and_stays_json(dialect: Any, body: Any, said: Any) -> None:
    """A name, another output or a user's words beside it are neither counted with it nor mixed into it."""
    rules = policy.Trim(budget=10_000, keep=5000, tool_output=CAP)
    trimmed = trim.apply(dialect, body, rules, COUNTER, "gpt-4o")
    assert [json.loads(text) for text in said(trimmed.body)] == [json.loads(ROWS)] * len(said(body))
    assert all(COUNTER.count_text(text, "gpt-4o") <= CAP for text in said(trimmed.body))
    assert trimmed.shortened == 1
    assert trim.apply(dialect, trimmed.body, rules, COUNTER, "gpt-4o").body is trimmed.body
