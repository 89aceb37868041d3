"""What a limit counts for a call, and for which models."""

from __future__ import annotations

import pytest
from flow_material import failing
from msgspec.structs import replace
from scripted import World, request, serve

from costopt import effects as ask
from costopt.errors import UpstreamError
from costopt.policy import Limit, Policy, Retry
from costopt.types import Reply


def test_each_attempt_waits_for_the_limit_and_a_429_closes_the_gate() -> None:
    world = World(failing(UpstreamError(Reply(status=429), retry_after_s=2.0)))
    rules = Policy(retry=Retry(attempts=2), limits=(Limit("openai", requests=5),))
    serve(request(), rules, world)
    assert len(world.did(ask.Admit)) == 2
    assert [cooled.seconds for cooled in world.did(ask.Cool)] == [2.0]
    assert [corrected.tokens for corrected in world.did(ask.Correct)] == [0, 15]


@pytest.mark.parametrize(("provider", "kept"), [("openai", True), ("azure", True), ("anthropic", False)])
def test_a_limit_keeps_the_output_bound_where_the_provider_does(provider: str, kept: bool) -> None:
    world = World()
    sent = replace(request(max_tokens=4000), provider=provider)
    serve(sent, Policy(limits=(Limit(provider, tokens=5000),)), world)
    (admitted,) = world.did(ask.Admit)
    (corrected,) = world.did(ask.Correct)
    assert (admitted.tokens > 4000) is kept
    assert corrected.tokens == (admitted.tokens if kept else 15)


@pytest.mark.parametrize(("bound", "most"), [(64_000, 600), (200, 250)])
def test_a_limit_expects_no_more_than_usual_where_only_what_is_used_counts(bound: int, most: int) -> None:
    world = World()
    sent = replace(request(max_tokens=bound), provider="anthropic")
    serve(sent, Policy(limits=(Limit("anthropic", tokens=40_000),)), world)
    (admitted,) = world.did(ask.Admit)
    assert admitted.tokens < most


@pytest.mark.parametrize(
    ("pattern", "provider", "model", "limited"),
    [
        ("gpt-4o", "openai", "gpt-4o", True),
        ("gpt-4*", "openai", "gpt-4o", True),
        ("openai/gpt-4*", "openai", "gpt-4o", True),
        ("gpt-4", "openai", "gpt-4o", False),
        ("openai/*", "groq", "openai/gpt-oss-20b", False),
        ("openai/gpt-oss-20b", "groq", "openai/gpt-oss-20b", True),
        ("groq/*", "groq", "openai/gpt-oss-20b", True),
    ],
)
def test_a_limit_names_models_with_their_provider_or_without(
    pattern: str, provider: str, model: str, limited: bool
) -> None:
    world = World()
    sent = replace(request(model=model), provider=provider)
    serve(sent, Policy(limits=(Limit("mine", requests=5, models=(pattern,)),)), world)
    assert bool(world.did(ask.Admit)) is limited
