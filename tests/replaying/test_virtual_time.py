"""Time in a replay is the record's: what overlaps, what has expired and who waits follows from it to the nanosecond."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ledgers import written
from replay_material import DAY, SECOND, START, Heard, adds_up, chat, heard, recorded

from costopt.effects import Call
from costopt.policy import Batch, Budget, Cache, Limit, Policy, Retry
from costopt.types import Record, Reply, Usage

CACHE = Policy(cache=Cache(ttl=100))


def at(*times: int, **fields: Any) -> list[Record]:
    """The same question at each of these times (ns)."""
    return [recorded(n, START + time, **({"body": chat("q")} | fields)) for n, time in enumerate(times)]


def details(told: Heard) -> list[str]:
    return [told.changes[call].detail for call in sorted(told.changes)]


def test_overlap_decides_between_a_miss_a_share_and_a_hit(tmp_path: Path) -> None:
    told = heard(tmp_path, at(0, 5 * SECOND, 12 * SECOND, 13 * SECOND, took=10 * SECOND), CACHE)
    assert details(told) == ["", "flight", "memory", "memory"]
    assert [lever.calls for lever in told.outcome.levers] == [2, 1]
    assert set(told.levers) == {"cache", "share"}


def test_without_sharing_a_call_in_flight_helps_nobody(tmp_path: Path) -> None:
    told = heard(tmp_path, at(0, 5 * SECOND, 12 * SECOND, took=10 * SECOND), Policy(cache=Cache(share=False)))
    assert details(told) == ["", "", "memory"]


def test_a_stream_shares_with_nobody_and_is_kept(tmp_path: Path) -> None:
    streamed = chat("q", stream=True)
    told = heard(tmp_path, at(0, 5 * SECOND, 12 * SECOND, took=10 * SECOND, body=streamed), CACHE)
    assert details(told) == ["", "", "memory"]


@pytest.mark.parametrize(("after", "answer"), [(-1, "from the cache"), (0, ""), (1, "")])
def test_an_answer_expires_to_the_nanosecond(after: int, answer: str, tmp_path: Path) -> None:
    told = heard(tmp_path, at(0, 100 * SECOND + after), CACHE)
    assert told.answers == ["", answer]


def test_a_life_counts_from_the_call_not_from_its_answer_or_its_last_use(tmp_path: Path) -> None:
    told = heard(tmp_path, at(0, 99 * SECOND, 101 * SECOND, took=60 * SECOND), CACHE)
    assert told.answers == ["", "from the cache", ""]


def test_an_answer_that_comes_when_a_call_does_is_there_for_it(tmp_path: Path) -> None:
    told = heard(tmp_path, at(0, 10 * SECOND - 1, 10 * SECOND, took=10 * SECOND), CACHE)
    assert details(told) == ["", "flight", "memory"]


@pytest.mark.parametrize("backwards", [False, True])
def test_calls_of_one_instant_go_in_the_order_they_were_written(backwards: bool, tmp_path: Path) -> None:
    calls = at(*[0] * 5)[:: -1 if backwards else 1]
    told = heard(tmp_path, calls, CACHE)
    (asked,) = [call for call, change in told.changes.items() if not change.answer]
    assert asked == calls[0].request.id
    assert told.order == [call.request.id for call in calls]


def test_a_limit_moves_calls_and_with_them_everything_else(tmp_path: Path) -> None:
    """One call in ten seconds: the third goes at 20, so a repeat at 15 finds it still waiting, and shares."""
    calls = [recorded(n, START, body=chat(f"q{n}")) for n in range(3)]
    calls += [recorded(3, START + 15 * SECOND, body=chat("q2"))]
    policy = Policy(cache=Cache(), limits=(Limit("openai", requests=1, window=10),))
    told = heard(tmp_path, calls, policy)
    assert details(told) == ["", "", "", "flight"]
    assert told.outcome.waited_s == pytest.approx(30, abs=1e-6)
    assert told.outcome.saved == told.changes["call-000003"].before


def test_what_limits_held_back_then_is_not_waited_for_again(tmp_path: Path) -> None:
    calls = [recorded(n, START, body=chat("q"), waited=n * 50 * SECOND) for n in range(2)]
    calls += [recorded(2, START + 20 * SECOND, body=chat("q"))]
    ends: list[int] = []

    def watch(time: int, call: str, effect: Any, answer: Any) -> None:
        if isinstance(effect, Call):
            ends.append(time - START)

    told = Heard(written(tmp_path, calls), Policy(), watch=watch)
    assert ends == [SECOND, SECOND, 21 * SECOND]
    assert told.outcome.waited_s == 0


def test_a_budget_begins_anew_each_day(tmp_path: Path) -> None:
    calls = [recorded(n, START + n * DAY // 4, body=chat(f"q{n}", max_tokens=100)) for n in range(12)]
    cost = calls[0].receipt.cost if calls[0].receipt else 0
    policy = Policy(budgets=(Budget(5 * (cost or 0), "day"),))
    told = heard(tmp_path, calls, policy)
    days = [told.answers[day : day + 4] for day in range(0, 12, 4)]
    assert days[0] == days[1] == days[2]
    assert days[0].count("refused") in (1, 2, 3)
    assert days[0][0] == ""


def test_who_is_refused_at_midnight_is_decided_by_when_the_call_came_in(tmp_path: Path) -> None:
    calls = at(DAY - 2 * SECOND, DAY - SECOND, DAY, took=SECOND // 2, body=chat("q", max_tokens=10))
    policy = (
        Policy(budgets=(Budget((calls[0].receipt.cost or 0) + 1, "day"),)) if calls[0].receipt else Policy()
    )
    told = heard(tmp_path, calls, policy)
    assert told.answers == ["", "refused", ""]


def test_embeddings_wait_for_company_as_long_as_the_policy_says(tmp_path: Path) -> None:
    body = {"model": "text-embedding-3-small", "input": ["a"]}
    times = [0, SECOND, 2 * SECOND - 1, 2 * SECOND]
    calls = [
        recorded(n, START + t, body=body, api="embeddings", usage=Usage(input=5)) for n, t in enumerate(times)
    ]
    merged: list[int] = []

    def watch(time: int, call: str, effect: Any, answer: Any) -> None:
        if isinstance(effect, Call):
            merged.append(len(effect.request.body["input"]))

    told = Heard(written(tmp_path, calls), Policy(batch=Batch(10, 2.0)), watch=watch)
    assert merged == [3, 1]
    adds_up(told, [call.request.id for call in calls])
    assert told.outcome.before == told.outcome.after


def test_a_failed_leader_sends_its_followers_on(tmp_path: Path) -> None:
    """The failure takes as long as it took then; the next in line asks when it has come."""
    failed = at(0)[0]
    sent = failed.request
    error = Reply(500, finish="error")
    first = Record(sent, error, "error", START, START + 30 * SECOND, sent.model, None, "HTTP 500")
    told = heard(tmp_path, [first, *at(0, 20 * SECOND, 29 * SECOND, 30 * SECOND)[1:]], CACHE)
    assert details(told) == ["", "", "flight", "flight"]
    assert told.outcome.outcomes == {"error": 1, "hit": 2, "ok": 1}


def test_whoever_is_parked_comes_to_an_end(tmp_path: Path) -> None:
    """Limits, company, flights and pauses at once, with failures among them."""
    calls: list[Record] = []
    for n in range(60):
        call = recorded(n, START + n % 3, body=chat(f"q{n % 7}"), took=(1 + n % 5) * SECOND)
        if n % 4 == 0:
            call = Record(
                call.request,
                Reply(429, (("retry-after", "7"),)),
                "error",
                START + n % 3,
                START + 9,
                "m",
                None,
                "x",
            )
        calls.append(call)
    for n in range(60, 80):
        body = {"model": "text-embedding-3-small", "input": "a" * n}
        calls.append(recorded(n, START, body=body, api="embeddings", usage=Usage(input=9)))
    policy = Policy(
        cache=Cache(),
        limits=(Limit("all", requests=4, tokens=900, window=30, models=("*",)),),
        budgets=(Budget(10**9, "hour", on_unknown_price="allow"),),
        retry=Retry(3),
        batch=Batch(3, 5.0),
    )
    told = heard(tmp_path, calls, policy)
    adds_up(told, [call.request.id for call in calls])


def test_ten_thousand_calls_of_one_instant(tmp_path: Path) -> None:
    calls = [recorded(n, START, body=chat(f"q{n % 2500}")) for n in range(10_000)]
    policy = Policy(cache=Cache(), limits=(Limit("openai", requests=1000, window=60),))
    told = heard(tmp_path, calls, policy)
    assert told.outcome.outcomes == {"hit": 7500, "ok": 2500}
    assert told.outcome.saved * 4 == told.outcome.before * 3
    assert told.outcome.waited_s > 0
    adds_up(told, [call.request.id for call in calls])


def agent(*times: int, session: str = "") -> list[Record]:
    """One conversation that grows by two messages a call, each answered after a second."""
    said = [
        {"role": "user" if n % 2 == 0 else "assistant", "content": f"turn {n}"} for n in range(2 * len(times))
    ]
    tags = {"session": session} if session else {}
    return [
        recorded(
            n, START + time, body={"model": "gpt-4o", "messages": said[: 2 * n + 1]}, took=SECOND, tags=tags
        )
        for n, time in enumerate(times)
    ]


def begun(tmp_path: Path, calls: list[Record], policy: Policy) -> list[int]:
    """When each call came in, in seconds after the first."""
    seen: dict[str, int] = {}
    written(tmp_path, calls)
    Heard(tmp_path, policy, watch=lambda at, call, effect, answer: seen.setdefault(call, at))
    return [(seen[call.request.id] - START) // SECOND for call in calls]


@pytest.mark.parametrize("session", ["", "s"])
def test_a_step_of_an_agent_waits_for_the_step_before(session: str, tmp_path: Path) -> None:
    """One call in ten seconds: the second step, recorded at 3, goes at 10 and ends at 11; the third comes 2 s later."""
    policy = Policy(limits=(Limit("openai", requests=1, window=10),))
    assert begun(tmp_path, agent(0, 3 * SECOND, 6 * SECOND, session=session), policy) == [0, 3, 13]


def test_what_ran_side_by_side_or_came_long_after_does_not_wait(tmp_path: Path) -> None:
    policy = Policy(limits=(Limit("openai", requests=1, window=10),))
    times = (0, SECOND // 2, 2 * DAY)
    assert begun(tmp_path, agent(*times, session="s"), policy) == [0, 0, 2 * 86_400]


def test_an_equal_prompt_of_somebody_else_does_not_wait(tmp_path: Path) -> None:
    policy = Policy(limits=(Limit("openai", requests=1, window=10),))
    calls = at(0, 3 * SECOND, 6 * SECOND, took=SECOND)
    assert begun(tmp_path, calls, policy) == [0, 3, 6]
