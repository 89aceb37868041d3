"""What the provider reported is the truth; the simulated prompt cache tells only what a policy changed of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledgers import written
from replay_material import BOOK, SECOND, START, Heard, adds_up, chat, heard, recorded
from studio import Ask, Studio

from costopt.decide.promptcache import Split
from costopt.policy import Cache, Limit, Policy, Trim
from costopt.types import Record, Usage
from costopt.world.ledger import Reader
from costopt.world.recorded.past import usage_now

MINUTE = 60 * SECOND
RULES = "The rules of this house are these, word by word. " * 400  # some 4,000 tokens
counts = st.integers(0, 5000)
splits = st.builds(Split, counts, counts, counts, counts)
usages = st.builds(
    Usage, counts, counts, counts, counts, output=counts, audio_input=counts, image_input=counts
)


def asked(n: int, minute: float, text: str, usage: Usage, **fields: Any) -> Record:
    body = chat("", **fields)
    body["messages"] = [{"role": "system", "content": RULES}, {"role": "user", "content": text}]
    return recorded(n, START + int(minute * MINUTE), body=body, usage=usage)


COLD, WARM = Usage(input=4020, output=10), Usage(input=180, cache_read=3840, output=10)
READ = (BOOK.cost("gpt-4o-mini", COLD, "openai") or 0) - (BOOK.cost("gpt-4o-mini", WARM, "openai") or 0)


@pytest.mark.parametrize(
    "usage", [COLD, WARM, Usage(cache_read=4020), Usage(input=9, cache_read=7, output=1)]
)
def test_what_was_reported_stands_whatever_the_rules_say(usage: Usage, tmp_path: Path) -> None:
    told = heard(tmp_path, [asked(n, n, f"q{n}", usage) for n in range(4)], Policy(cache=Cache()))
    assert told.outcome.after == told.outcome.before
    assert told.outcome.levers == ()


@pytest.mark.parametrize("name", ["xai/grok-4.3", "deepseek/deepseek-chat", "openai/gpt-4o"])
def test_reads_of_a_prompt_too_short_to_simulate_stand_too(name: str, tmp_path: Path) -> None:
    usage = Usage(input=40, cache_read=60, output=5)
    provider, _, model = name.partition("/")
    body = chat("q", model=model)
    calls = [
        recorded(n, START + n * SECOND, body={**body, "seed": n}, usage=usage, provider=provider)
        for n in range(3)
    ]
    told = heard(tmp_path, calls, Policy(cache=Cache()))
    assert told.outcome.priced == 3
    assert (told.outcome.saved, told.outcome.levers) == (0, ())


def warmed(*minutes: float, last: str = "other") -> list[Record]:
    """A question again and again, each warming the provider's cache for the next, then another one."""
    calls = [asked(n, minute, "q", WARM if n else COLD) for n, minute in enumerate(minutes[:-1])]
    return [*calls, asked(len(calls), minutes[-1], last, WARM)]


def test_a_hit_that_no_longer_warms_the_providers_cache_pays_for_it(tmp_path: Path) -> None:
    """Kept for five idle minutes: the calls at 4 and 8 had kept it warm for the one at 11."""
    told = heard(tmp_path, warmed(0, 4, 8, 11), Policy(cache=Cache()))
    assert told.answers == ["", "from the cache", "from the cache", ""]
    (loss,) = told.changes["call-000003"].shares
    assert (loss.lever, loss.basis, loss.nano) == ("cache", "assumed", -READ)
    assert READ > 0
    adds_up(told, told.changes)
    assert told.levers == {"cache": told.outcome.saved}


def test_a_hit_while_the_cache_stays_warm_costs_nobody_anything(tmp_path: Path) -> None:
    told = heard(tmp_path, warmed(0, 1, 2, 4), Policy(cache=Cache()))
    assert told.changes["call-000003"].shares == ()


def test_a_limit_that_pulls_calls_apart_cools_the_providers_cache(tmp_path: Path) -> None:
    """Sent six minutes after each other instead of one: nothing is read any more, and no other lever is blamed."""
    calls = [asked(n, n, f"q{n}", WARM if n else COLD) for n in range(4)]
    told = heard(tmp_path, calls, Policy(limits=(Limit("openai", requests=1, window=360),)))
    assert told.levers == {"prompt cache": -3 * READ}
    assert told.answers == [""] * 4


def test_what_was_never_asked_of_a_provider_is_simulated_whole(tmp_path: Path) -> None:
    """Recorded as hits; without the cache the same prompts come a minute apart, and are read from the provider's."""
    policy = Policy(cache=Cache())
    ids = Studio(tmp_path, policy).record(
        [Ask(asked(0, 0, "q", COLD).request.body, at=n * MINUTE) for n in range(3)]
    )
    told = Heard(tmp_path, Policy())
    assert told.answers == ["", "asked anew", "asked anew"]
    first, *others = [told.changes[call].after or 0 for call in ids]
    assert others[0] == others[1] < first


def conversation(turns: int, words: int) -> list[Ask]:
    said: list[dict[str, Any]] = [{"role": "system", "content": RULES}, {"role": "user", "content": "go"}]
    asks: list[Ask] = []
    for turn in range(turns):
        body = {"model": "gpt-4o-mini", "messages": list(said)}
        asks.append(Ask(body, at=turn * 10 * SECOND, cached=100_000 if turn else 0))
        call = {"id": f"c{turn}", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        said.append({"role": "assistant", "content": None, "tool_calls": [call]})
        said.append({"role": "tool", "tool_call_id": f"c{turn}", "content": f"shelf {turn} " * words})
    return asks


def test_a_trim_that_moves_the_prefix_is_charged_for_what_is_read_no_more(tmp_path: Path) -> None:
    """The provider had read all but the newest turn from its cache. A cut takes turns out of the middle, and what
    comes after them is paid in full again: more than the cut saves."""
    Studio(tmp_path, Policy()).record(conversation(16, 100))
    told = Heard(tmp_path, Policy(trim=Trim(7000, 6700)))
    cut = [change for change in told.changes.values() if change.lever == "trim"]
    assert cut
    assert all({share.lever for share in change.shares} == {"trim"} for change in cut)
    assert set(told.levers) <= {"trim"}
    assert min(change.saved for change in cut) < 0
    adds_up(told, told.changes)


def claude(n: int, minute: float, usage: Usage, ttl: str = "5m", text: str = "q") -> Record:
    control = {"type": "ephemeral", "ttl": ttl}
    body = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 100,
        "system": [{"type": "text", "text": RULES, "cache_control": control}],
        "messages": [{"role": "user", "content": f"{text}"}],
    }
    return recorded(n, START + int(minute * MINUTE), body=body, usage=usage, api="messages")


def test_a_breakpoint_whose_writer_is_gone_is_written_by_the_next(tmp_path: Path) -> None:
    """A hit in our cache at minute 4 leaves the provider's to expire at 5: the call at 8 writes it again."""
    write_, read = Usage(input=20, cache_write=4000, output=9), Usage(input=20, cache_read=4000, output=9)
    calls = [claude(0, 0, write_), claude(1, 4, read), claude(2, 8, read, text="other")]
    told = heard(tmp_path, calls, Policy(cache=Cache()))
    again = BOOK.cost("claude-sonnet-4-5", write_, "anthropic")
    # the prompt's own number of tokens is known, where its breakpoint stands is estimated
    assert told.changes["call-000002"].after == pytest.approx(again, rel=0.002)
    (loss,) = told.changes["call-000002"].shares
    assert (loss.lever, loss.nano < 0) == ("cache", True)


def test_an_hours_breakpoint_lives_an_hour(tmp_path: Path) -> None:
    write_, read = Usage(input=20, cache_write_1h=4000, output=9), Usage(input=20, cache_read=4000, output=9)
    calls = [claude(0, 0, write_, "1h"), claude(1, 4, read, "1h"), claude(2, 50, read, "1h", text="other")]
    told = heard(tmp_path, calls, Policy(cache=Cache()))
    assert told.changes["call-000002"].shares == ()
    calls[2] = claude(2, 62, read, "1h", text="other")
    told = heard(tmp_path / "later", calls, Policy(cache=Cache()))
    assert told.changes["call-000002"].after == pytest.approx(
        BOOK.cost("claude-sonnet-4-5", write_, "anthropic"), rel=0.003
    )


def test_the_simulation_is_held_against_what_was_reported(tmp_path: Path) -> None:
    result = Heard(written(tmp_path, warmed(0, 1, 2, 30)), Policy()).result
    found = result.prompt_cache
    assert found is not None
    assert (found.calls, found.reported) == (4, 3 * 3840)
    assert found.simulated == 2 * 3968  # 31 steps of 128; nothing after half an hour
    assert found.error == pytest.approx((2 * 128 + 3840) / (4 * 4020))


@given(usages, splits)
def test_usage_is_verbatim_where_the_simulation_sees_no_change(then: Usage, split: Split) -> None:
    assert usage_now(then, then.prompt, split, split) is then


@given(usages, counts, st.none() | splits, splits)
def test_whatever_changes_the_buckets_hold_the_prompt(
    then: Usage, prompt: int, before: Split | None, now: Split
) -> None:
    usage = usage_now(then, prompt, before, now)
    assert usage.prompt == prompt
    assert min(usage.input, usage.cache_read, usage.cache_write, usage.cache_write_1h) >= 0
    assert usage.audio_input <= max(usage.input, then.audio_input)
    assert usage.output == then.output


def test_two_tenants_share_no_prompt_cache(tmp_path: Path) -> None:
    """What a call had read was kept alive by its own tenant; the other's hit changes nothing about it."""
    Studio(tmp_path, Policy()).record(
        [
            Ask(
                asked(0, 0, text, COLD).request.body,
                at=n * MINUTE,
                cached=3840 * (n > 1),
                fields={"tenant": who},
            )
            for n, (who, text) in enumerate([("a", "q"), ("b", "q"), ("a", "q"), ("b", "other")])
        ]
    )
    told = Heard(tmp_path, Policy(cache=Cache()))
    assert told.answers == ["", "", "from the cache", ""]
    assert told.changes["call-000003"].shares == ()
    with Reader(tmp_path) as reader:
        assert {fact.tenant for fact in reader.facts()} == {"a", "b"}
