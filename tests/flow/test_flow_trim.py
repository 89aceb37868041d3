"""What is trimmed from a prompt, what that saves, and what cannot be brought to fit."""

from __future__ import annotations

from typing import Any

import pytest
from flow_material import bill
from scripted import World, request, serve

from costopt.errors import PromptTooLong
from costopt.policy import Policy, Trim

TRIMMING = Policy(trim=Trim(budget=1000, keep=500))


def long_talk() -> list[dict[str, Any]]:
    told = [("system", "Be brief."), ("user", "Sum up the log.")]
    for turn in range(40):
        told += [("assistant", f"step {turn} " * 50), ("user", f"go on with {turn}")]
    return [{"role": role, "content": content} for role, content in told]


def test_trim_brings_the_prompt_under_budget_and_says_what_it_assumed() -> None:
    messages = long_talk()
    world = World()
    sent = request(messages=messages)
    reply = serve(sent, TRIMMING, world)
    trimmed = world.calls[0].body["messages"]
    assert trimmed[:2] == messages[:2]
    assert trimmed[-1] == messages[-1]
    assert len(trimmed) < len(messages)
    assert [(saving.lever, saving.basis) for saving in bill(reply).savings] == [("trim", "assumed")]
    assert bill(reply).trimmed > 0
    assert len(sent.body["messages"]) == len(messages), "the caller's own list is untouched"


def test_a_prompt_that_cannot_fit_is_refused_before_anything_is_paid() -> None:
    world = World()
    with pytest.raises(PromptTooLong):
        serve(request("word " * 5000), TRIMMING, world)
    assert world.calls == []
