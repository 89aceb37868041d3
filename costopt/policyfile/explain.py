"""A policy in plain words, one sentence a line: what `costopt policy check` prints."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

from costopt.money import exact
from costopt.policy import Budget, Limit, Policy, Route
from costopt.policyfile.check import has_price, is_pattern
from costopt.policyfile.read import presets
from costopt.policyfile.units import say_count, say_duration, say_rate, say_size
from costopt.types import Nano

#: Input and output price of a model, nano-USD per million tokens; None where it has none.
Prices: TypeAlias = Callable[[str], tuple[Nano, Nano] | None]
#: What a model is for where no call can be routed to it, such as "embedding"; "" for all others.
OtherUse: TypeAlias = Callable[[str], str]
#: Whether a limit's pattern, or name, is for any known model.
Matches: TypeAlias = Callable[[str], bool]


def explain(
    policy: Policy,
    prices: Prices | None = None,
    other_use: OtherUse | None = None,
    matches: Matches | None = None,
) -> list[str]:
    """What the policy will do, in the order a call meets it."""
    lines = [
        *_ledger(policy),
        *_cache(policy),
        *_models(policy, prices),
        *_unfit(policy, other_use),
        *_route(policy.route),
        *_trim(policy),
        *(line for budget in policy.budgets for line in _budget(budget)),
        *map(_limit, policy.limits),
        *_idle(policy, matches),
        *_strange(policy, prices, matches),
        *_retry(policy),
        *_batch(policy),
        *_prices(policy),
        *_strict(policy),
    ]
    if policy.ledger and not (policy.cache or changes(policy)):
        lines.append("It changes no call: requests go out and answers come back as they are.")
    return lines


def changes(policy: Policy) -> bool:
    """Whether any lever but the cache is on."""
    levers = (policy.route, policy.trim, policy.limits, policy.budgets, policy.batch.max_size)
    return any(levers) or policy.retry.attempts > 1


def _ledger(policy: Policy) -> Iterator[str]:
    ledger = policy.ledger
    if ledger is None:
        yield "Record nothing: there will be no report and no replay."
        return
    what = (
        "every call with its messages"
        if ledger.content == "full"
        else "every call, of its messages only hashes"
    )
    yield f"Record {what} in {ledger.path}."
    if ledger.archive_after is not None:
        age = say_duration(ledger.archive_after)
        yield f"Compress calls older than {age} when `costopt archive run {_named(policy, age)}` runs."


def _named(policy: Policy, age: str) -> str:
    """How the command is told of this policy; what no file holds, of its age."""
    if not policy.source:
        return f"--older-than {age}"
    is_preset = presets().get(policy.name) == Path(policy.source)
    return f"--policy {policy.name if is_preset else shlex.quote(policy.source)}"


def _cache(policy: Policy) -> Iterator[str]:
    cache = policy.cache
    if cache is None:
        return
    where = [f"{say_size(cache.memory)} of memory"] * bool(cache.memory)
    where += [f"{say_size(policy.disk)} of disk"] * bool(policy.disk)
    if where:
        room, ttl = " and ".join(where), say_duration(cache.ttl)
        yield f"Answer an exactly repeated call from up to {room}, for {ttl} after it was first answered."
    yield (
        "Repeat sampled answers (temperature above 0 or unset) too."
        if cache.sampled
        else ("Store only answers asked for with temperature 0.")
    )
    yield "Share answers " + ("between all tenants." if cache.scope == "shared" else "within a tenant only.")
    if cache.disk and not policy.disk:
        yield "Keep no answers on disk: the ledger's content is hashed, and answers are text."
    if cache.tool_calls:
        yield "Store answers that call tools too."
    if cache.share:
        yield "Let equal calls made at the same time wait for one answer."


def _models(policy: Policy, prices: Prices | None) -> Iterator[str]:
    if not policy.models:
        return
    names = [_model(policy, model.name, model.tier, prices) for model in policy.models]
    yield f"Choose from {len(names)} models, weakest first: {'; '.join(names)}."
    yield from _dearer(policy, prices)


def _unfit(policy: Policy, other_use: OtherUse | None) -> Iterator[str]:
    uses = ((model.name, other_use(model.name)) for model in policy.models) if other_use else ()
    yield from (f"Note: {name} is for {use}, so no call is routed to it." for name, use in uses if use)


def _dearer(policy: Policy, prices: Prices | None) -> Iterator[str]:
    """A ladder goes up in strength, and so in price; a dearer model below a cheaper one is never chosen."""
    known = [(model.name, price) for model in policy.models if (price := _price(policy, model.name, prices))]
    for (below, dear), (above, cheap) in pairwise(known):
        if sum(dear) > sum(cheap):
            yield f"Note: {below} costs more than {above}, which stands above it, so it is not chosen."


def _price(policy: Policy, name: str, prices: Prices | None) -> tuple[Nano, Nano] | None:
    own = policy.prices.get(name)
    return (own.input, own.output) if own else prices(name) if prices else None


def _model(policy: Policy, name: str, tier: str, prices: Prices | None) -> str:
    price = _price(policy, name, prices)
    words = [tier] * bool(tier)
    if price:
        words.append(f"{exact(price[0])} in and {exact(price[1])} out per million tokens")
    elif prices:
        words.append("price unknown")
    return f"{name} ({', '.join(words)})" if words else name


STRATEGIES = {
    "rules": "by rules (what the request needs, its task tag, its length)",
    "cheapest": "as the cheapest one that can serve the request",
    "strongest": "as the strongest one",
}


def _route(route: Route | None) -> Iterator[str]:
    if route is None:
        return
    also = f", and calls to {', '.join(route.downgrade)}," * bool(route.downgrade)
    yield f'Choose the model of calls that ask for "{route.alias}"{also} {STRATEGIES[route.strategy]}.'
    if route.strategy == "rules":
        yield f"Treat prompts above {say_count(route.long_prompt)} tokens as hard ones."
    for task, target in route.task.items():
        yield f"Send calls tagged task={task} to {target}."
    if route.cascade.check != "none":
        yield f"Ask the next stronger model when an answer fails the {route.cascade.check} check."


def _trim(policy: Policy) -> Iterator[str]:
    if policy.trim is None:
        return
    budget, keep = say_count(policy.trim.budget), say_count(policy.trim.keep)
    yield f"Cut a prompt above {budget} tokens down to {keep}, oldest tool groups first."
    yield "Never cut the system prompt, the tools or the first user message."
    if policy.trim.tool_output is not None:
        yield f"Shorten tool outputs longer than {say_count(policy.trim.tool_output)} tokens."


def _budget(budget: Budget) -> Iterator[str]:
    window = "in all" if budget.window == "total" else f"a {budget.window}"
    who = f"for each {budget.per}" if budget.per else "for everybody together"
    then = (
        "refuse the call"
        if budget.on_exceed == "reject"
        else "go to a cheaper model, and refuse if none fits"
    )
    yield f"Spend at most {exact(budget.limit)} {window} {who}; beyond that, {then}."
    if budget.on_unknown_price == "allow":
        yield "Let calls without a known price, or without a bound, pass that budget; it counts what is known of them."


def _limit(limit: Limit) -> str:
    rates = [f"{say_rate(limit.requests, limit.window)} requests"] if limit.requests is not None else []
    rates += [f"{say_rate(limit.tokens, limit.window)} tokens"] if limit.tokens is not None else []
    of = ", ".join(limit.models) or f"{limit.group} models"
    return f"Let calls to {of} wait rather than pass {' or '.join(rates)}."


def _idle(policy: Policy, matches: Matches | None) -> Iterator[str]:
    """Patterns of limits that are for no model anybody knows of."""
    if matches is None:
        return
    own = [*policy.prices, *(model.name for model in policy.models)]
    for pattern in (name for limit in policy.limits for name in limit.models if is_pattern(name)):
        if not (matches(pattern) or any(fnmatchcase(name, pattern) for name in own)):
            yield f"Note: no known model matches {pattern}; unless one of yours does, that holds nothing back."


def _strange(policy: Policy, prices: Prices | None, matches: Matches | None) -> Iterator[str]:
    """Names of models to limit that only the user can know."""
    if prices is None or matches is None:
        return
    limited = [name for limit in policy.limits for name in limit.models if not is_pattern(name)]
    for name in dict.fromkeys(limited):
        if not (has_price(name, policy.prices) or prices(name) or matches(name)):
            yield f"Note: no price map knows {name}; it is taken for a name of your own, such as a deployment's."


def _retry(policy: Policy) -> Iterator[str]:
    retry = policy.retry
    if retry.attempts > 1:
        waits = f"waiting {say_duration(retry.base)} at first and {say_duration(retry.cap)} at most"
        yield f"Try a failed call up to {retry.attempts} times, {waits}."


def _batch(policy: Policy) -> Iterator[str]:
    if policy.batch.max_size:
        size, wait = policy.batch.max_size, say_duration(policy.batch.max_wait)
        yield f"Merge embedding calls up to {size} inputs; the first one waits up to {wait} for others."


def _prices(policy: Policy) -> Iterator[str]:
    if policy.prices:
        yield f"Price {', '.join(policy.prices)} as this file says."


def _strict(policy: Policy) -> Iterator[str]:
    if policy.strict:
        yield "Fail the call when the cache or the ledger is in trouble."
    elif policy.ledger or policy.cache:
        yield "When the cache or the ledger is in trouble, warn, and let the call through."
