"""What a reader of a replay must know about how a policy met these calls, in one sentence each. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

from costopt.decide.modelnames import spellings
from costopt.policy import Policy
from costopt.types import Nano


def remarks(policy: Policy, answered: Iterable[str], asked: Container[str]) -> Iterator[str]:
    """`answered` are the models that answered the calls then, `asked` those asked for, with and without provider."""
    if policy.route is None and all(rule.on_exceed != "downgrade" for rule in policy.budgets):
        return
    if new := _strangers(policy, answered):
        them, their = ("it", "its") if len(new) == 1 else ("they", "their")
        named = ", ".join(new)
        yield f"the policy names {named}: {them} answered none of these calls, so {their} answers are estimated"
    if policy.route is not None:
        routed = (policy.route.alias, *policy.route.downgrade)
        if not any(name in asked for name in routed):
            yield f"route leaves all of these calls alone: none asks for {' or '.join(map(repr, routed))}"


def cautions(calls: int, failed: int, timeless: int, before: Nano, attempts: int) -> Iterator[str]:
    """`failed` of the `calls` ended in an error or were refused then; the times of `timeless` were made up; the policy
    makes `attempts`."""
    if failed and attempts > 1:
        yield f"{failed:,} calls failed then and fail again: what another attempt would have got, nobody knows"
    if failed == calls and not before:
        yield "every one of these calls failed then, so there was nothing to pay and nothing to save"
    if timeless:
        yield (
            f"the times of {timeless:,} calls were made up when they were imported; limits, budgets, lifetimes and "
            "prompt caches go by them"
        )


def _strangers(policy: Policy, answered: Iterable[str]) -> list[str]:
    known = {name for model in answered for name in _names(model)}
    return [model.name for model in policy.models if known.isdisjoint(_names(model.name))]


def _names(model: str) -> set[str]:
    """With and without provider and snapshot."""
    return {form for name in (model, model.partition("/")[2]) if name for form in spellings(name)}
