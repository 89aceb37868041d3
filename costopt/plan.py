"""Everything a layer may ask before it decides: one policy, one price book, one token counter. Pure.

`Plan` joins the decisions of `decide/` with the view of a request that its wire dialect gives. Every method is a
function of its arguments and the plan.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from msgspec import Struct
from msgspec.structs import replace

from costopt import wire
from costopt.decide import admit, batch, keys, receipts, route, trim
from costopt.decide.budget import scope
from costopt.decide.prices import PriceBook
from costopt.decide.tokens import TokenCounter
from costopt.decide.worst import Worst, worst_case
from costopt.effects import Hold, Quota, Ticket
from costopt.errors import BudgetExceeded, Unanswered
from costopt.policy import Limit, Policy
from costopt.types import Basis, Entry, Nano, Receipt, Reply, Request, Saving, Tier, Usage

#: APIs whose requests are conversations: they can be routed and trimmed.
CONVERSATIONS = frozenset({"chat", "responses", "messages"})
#: Where a tokenizer is only like the model's own, budgets hold back this much more.
ESTIMATE_MARGIN = 1.5
#: Output tokens a limiter expects from a call, where its bound is no lower and is not what the provider counts.
EXPECTED_OUTPUT = 512
#: Providers that count a call's whole output bound against its token limit when it is asked, and give back nothing
#: of it (rate limit guides of OpenAI and Azure OpenAI). The others count what was used.
CHARGED_WHEN_ASKED = frozenset({"openai", "azure"})


class Plan:
    """What the layers decide with."""

    def __init__(self, policy: Policy, book: PriceBook, counter: TokenCounter) -> None:
        self.policy = policy
        self.book = book
        self.counter = counter
        self.checks = bool(policy.route and policy.route.cascade.check != "none")

    # cache

    def keyed(self, request: Request, at: int) -> Request:
        """`request` as it came in at `at` (ns), with its cache key if it may be cached. A key it came with is kept."""
        rules = self.policy.cache
        if rules is None:
            return replace(request, at=at, key="")
        if why := admit.cacheable(request, rules):
            request.note("cache", f"off: {why}")
            return replace(request, at=at, key="")
        return replace(request, at=at, key=request.key or keys.key(request))

    def shares(self, request: Request) -> bool:
        """Whether `request` may wait for an identical one. Not a stream: it comes as fast as its reader reads, and
        who waits for it may be that reader."""
        rules = self.policy.cache
        wanted = request.key and rules and rules.share and request.control.cache == "on"
        return bool(wanted) and not request.stream

    @staticmethod
    def patience(request: Request, now: int) -> float | None:
        """Seconds that the caller of `request` still waits for an answer; None is as long as it takes."""
        if request.patience_s is None:
            return None
        return max(0.0, request.patience_s - (now - request.at) / 1e9)

    def admits(self, request: Request, reply: Reply) -> bool:
        assert self.policy.cache is not None
        why = admit.storable(request, reply, self.policy.cache)
        request.note("cache", f"not stored: {why}" if why else "stored")
        return not why

    def entry(self, request: Request, reply: Reply) -> Entry:
        """`reply` as it is stored. It names the tier `memory`, where most hits come from: who finds it elsewhere says
        so afterwards."""
        assert self.policy.cache is not None
        receipt = reply.receipt and receipts.kept(reply.receipt)
        headers = admit.lasting(reply.headers)
        kept = replace(reply, headers=headers, tier="memory", receipt=receipt, waited_ns=0)
        return Entry(kept, request.at, request.at + int(self.policy.cache.ttl * 1e9))

    def hit(self, request: Request, entry: Entry, tier: Tier = "") -> Reply:
        """The stored answer, at no cost; it saves what its call would have cost without costopt: the answer's own
        price, and what other levers had made of that. Both are unknown where that price is."""
        found = tier or entry.reply.tier or "memory"
        lever = "share" if found == "flight" else "cache"
        request.note(lever, "answered by a call in flight" if found == "flight" else f"hit in {found}")
        paid = entry.reply.receipt
        if paid is None or paid.cost is None:  # nobody knows what it saves, so it is no more priced either
            return replace(entry.reply, tier=found)
        basis: Basis = "estimated" if paid.usage.estimated else "derived"
        savings = (Saving(lever, paid.cost, basis, "the stored call paid again"), *paid.savings)
        return replace(entry.reply, tier=found, receipt=replace(paid, cost=0, savings=savings))

    # route

    def ladder(self, request: Request) -> Ladder:
        """Models to try in order: the choice and where it may escalate to, and cheaper ones a full budget allows.

        Empty where this call goes to the model it names. Raises NoModel.
        """
        if request.api not in CONVERSATIONS:
            return Ladder()
        up = self._chosen(request)
        if not any(rule.on_exceed == "downgrade" for rule in self.policy.budgets):
            return Ladder(up)
        up = up or (request.model,)
        down = route.cheaper(self.policy, self._asked(request), up[0], self.book)
        return Ladder(up, tuple([model for model in down if model not in up]))

    def _chosen(self, request: Request) -> tuple[str, ...]:
        rules = self.policy.route
        names = {request.model, f"{request.provider}/{request.model}"}
        if rules is None or (request.model != rules.alias and names.isdisjoint(rules.downgrade)):
            return ()
        choice = route.ladder(self.policy, self._asked(request), self.book)
        request.note("route", f"{choice.models[0]}: {choice.why}")
        return choice.models

    def _asked(self, request: Request) -> route.Asked:
        needs = wire.dialect(request.api).needs(request.body)
        prompt = self.prompt_tokens(request)
        return route.Asked(request.model, request.provider, request.api, needs, prompt, request.tags)

    def attempt(self, request: Request, model: str, hold: bool = False) -> Request:
        """`request` sent to `model` of the ladder, named as in the policy."""
        if _is_asked(request, model):
            return replace(request, hold=hold)
        provider, name = route.placed(model, request.provider)
        body = wire.dialect(request.api).with_model(request.body, name)
        at = wire.with_deployment(request.endpoint, name)
        return replace(request, model=name, provider=provider, body=body, endpoint=at, raw=b"", hold=hold)

    def accepts(self, request: Request, reply: Reply) -> bool:
        if not self.checks or self.policy.route is None:
            return True
        if reply.finish == "tool":
            return True
        if reply.finish not in ("stop", "empty"):
            return False
        return admit.passes(request, reply, self.policy.route.cascade.check)

    def downgrades(self, request: Request, full: BudgetExceeded) -> bool:
        """Whether the budget that is full lets a cheaper model try."""
        rules = self.policy.budgets
        return any(
            rule.on_exceed == "downgrade" and scope(rule, request.tags) == full.scope for rule in rules
        )

    def routed(self, request: Request, reply: Reply, failed: list[Reply], model: str = "") -> Reply:
        """`reply` of `model` with the cost of failed attempts and what the choice of model saved, against the model
        asked for or, for the alias, the strongest of the ladder."""
        receipt = reply.receipt
        if receipt is None or (not failed and model and _is_asked(request, model)):
            return reply
        attempts = tuple(each.receipt for each in failed if each.receipt)
        receipt = receipts.bearing(receipt, attempts)
        baseline, provider = self._baseline(request)
        before = self.book.cost(baseline, receipt.usage, provider, request.at)
        if before is None or receipt.cost is None or (before == receipt.cost and not attempts):
            return replace(reply, receipt=receipt)
        wasted = sum(each.cost or 0 for each in attempts)
        saving = Saving("route", before - receipt.cost, "estimated", f"the same tokens on {baseline}")
        if wasted:
            request.note("route", f"{len(attempts)} failed attempt(s) cost {wasted} nano-USD")
        return replace(reply, receipt=replace(receipt, savings=(*receipt.savings, saving)))

    def _baseline(self, request: Request) -> tuple[str, str]:
        """The model a choice is measured against, and its provider ("" where the name says it)."""
        if self.policy.route is None or request.model != self.policy.route.alias:
            return request.model, request.provider
        best = route.strongest(self.policy, self._asked(request), self.book)
        return best, "" if "/" in best else request.provider

    # trim

    def trim(self, request: Request) -> tuple[Request, int]:
        """The request within its token budget, and how many prompt tokens that took out. Raises PromptTooLong."""
        rules = self.policy.trim
        if rules is None or request.api not in CONVERSATIONS:
            return request, 0
        cut = trim.apply(wire.dialect(request.api), request.body, rules, self.counter, request.model)
        if cut.before == cut.after:
            return request, 0
        request.note(
            "trim", f"{cut.before} to {cut.after} tokens: {cut.dropped} turns cut, {cut.shortened} shortened"
        )
        removed = cut.before - cut.after
        left = None if request.tokens is None else max(0, request.tokens - removed)
        return replace(request, body=cut.body, raw=b"", tokens=left), removed

    def credited(self, request: Request, reply: Reply, removed: int) -> Reply:
        """`reply` with what was trimmed and what that saved: the removed tokens at the cheapest price they could
        have had here."""
        if reply.receipt is None:
            return reply
        receipt = replace(reply.receipt, trimmed=removed)
        reply = replace(reply, receipt=receipt)
        if receipt.cost is None:
            return reply
        tier = receipt.usage.service_tier
        uncached, cached = (
            Usage(input=removed, service_tier=tier),
            Usage(cache_read=removed, service_tier=tier),
        )
        prices = [
            self.book.cost(receipt.model, usage, request.provider, request.at) for usage in (uncached, cached)
        ]
        known = [price for price in prices if price is not None]
        if not known:
            return reply
        saving = Saving("trim", min(known), "assumed", "the untrimmed prompt, read from the provider's cache")
        return replace(reply, receipt=replace(receipt, savings=(*receipt.savings, saving)))

    # batch

    def bucket(self, request: Request) -> str:
        """Which micro-batch `request` may join, or "". Calls with other tags never share one."""
        if self.policy.batch.max_size <= 1 or request.api != "embeddings":
            return ""
        bucket = batch.bucket(request)
        return f"{bucket} {sorted(request.tags.items())}" if bucket else ""

    # limits, budgets

    def quotas(self, request: Request) -> tuple[Quota, ...]:
        return tuple(
            Quota(limit.group, limit.requests, limit.tokens, limit.window)
            for limit in self.policy.limits
            if _applies(limit, request)
        )

    def expected_tokens(self, request: Request) -> int:
        """What the call counts against its limits until its answer is there. A high bound that only used tokens
        count against tells nothing of them: whoever must name one, names a high one."""
        if request.api == "embeddings":
            return self.prompt_tokens(request)
        bound = wire.dialect(request.api).max_output(request.body) or EXPECTED_OUTPUT
        counted = request.provider in CHARGED_WHEN_ASKED
        return self.prompt_tokens(request) + (bound if counted else min(bound, EXPECTED_OUTPUT))

    def worst_case(self, request: Request) -> Worst:
        """The most this call can cost, or what is missing to know it. Azure asks the deployment that the URL names,
        whatever model the body does: the dearer of the two, where it is called like a model that has a price."""
        prompt = self.prompt_tokens(request)
        margin = 1.0 if self.counter.exact(request.model) else ESTIMATE_MARGIN
        worst = worst_case(request, prompt, margin, self.book)
        there = wire.deployment(request.endpoint)
        if worst.nano is None or there in ("", request.model):
            return worst
        other = worst_case(replace(request, model=there), prompt, margin, self.book)
        return worst if other.nano is None or other.nano < worst.nano else other

    def booked(self, request: Request, reply: Reply, hold: Hold) -> Nano:
        """What budgets book for `reply`: its cost, without the fee of searches where the price map names none. All
        that was held where more than that is unknown."""
        receipt = reply.receipt
        if receipt is None:
            return 0
        if receipt.cost is not None:
            return receipt.cost
        if not receipt.usage.searches:
            return hold.nano
        known = replace(receipt.usage, searches=0)
        rest = self.book.cost(receipt.model, known, request.provider, request.at)
        return hold.nano if rest is None else rest

    @staticmethod
    def forfeited(failure: Unanswered, hold: Hold) -> Nano:
        """What budgets book for a call that came to no whole answer: what it cost where the provider has told its
        usage to the end or has itself ended it with an error, and else all that was held: nobody knows how much it
        went on to say."""
        partial = failure.partial
        if partial is None or partial.receipt is None:
            return 0
        cost, usage = partial.receipt.cost, partial.receipt.usage
        if cost is not None and (partial.finish == "error" or not usage.estimated):
            return cost
        return max(hold.nano, cost or 0)

    # money

    def prompt_tokens(self, request: Request) -> int:
        if request.tokens is not None:
            return request.tokens
        view = wire.dialect(request.api)
        return self.counter.count_prompt(
            view.turns(request.body), view.tools_text(request.body), request.model
        )

    def priced(self, request: Request, reply: Reply) -> Reply:
        """`reply` with its receipt, at the prices of the moment the call came in. Usage the provider did not send, or
        not of all that came, is counted here and says so; an answer that is still being made has no cost yet. The price
        is that of the model that answered (a deployment or an alias may have been asked for), unless only the one asked
        for has a price of the user's own; where the model asked for costs the same, the receipt carries its name."""
        usage = reply.usage
        if usage is None or usage.estimated:
            usage = self._counted(request, reply)
            if _runs_on(request, reply):
                return replace(reply, receipt=Receipt(request.model, usage, None, self.book.revision))
        asked = answered = self.book.cost(request.model, usage, request.provider, request.at)
        if reply.model not in ("", request.model) and not self._own(request, reply):
            answered = self.book.cost(reply.model, usage, request.provider, request.at)
        if answered is None or answered == asked:
            return replace(reply, receipt=Receipt(request.model, usage, asked, self.book.revision))
        return replace(reply, receipt=Receipt(reply.model, usage, answered, self.book.revision))

    def _own(self, request: Request, reply: Reply) -> bool:
        """Whether the user priced the model asked for, and not the one that answered."""
        asked, answered = (self.book.owns(each.model, request.provider) for each in (request, reply))
        return asked and not answered

    def bear(self, request: Request, failure: Unanswered, failed: list[Reply]) -> None:
        """Let `failure` say which model was chosen, and carry what answers had cost that could not be used."""
        shown = failure.shown or Reply(finish="incomplete")
        attempts = tuple(each.receipt for each in failed if each.receipt)
        if shown.receipt is not None:
            failure.shown = self.routed(request, shown, failed)
        elif attempts:
            failure.shown = replace(shown, receipt=receipts.wasted(attempts))

    def _counted(self, request: Request, reply: Reply) -> Usage:
        """Usage with what is counted here: all of it, or, where a stream broke off, its output. Counts that were made
        before stay."""
        if reply.usage is not None and reply.raw_usage is None:
            return reply.usage
        came = reply.body or reply.events
        text = wire.written_text(request.api, reply) if came else ""
        output = self.counter.count_text(text, request.model) if text else 0
        if reply.usage is not None:
            return replace(reply.usage, output=max(reply.usage.output, output))
        told = wire.uncounted(request.api, reply) if came else Usage()
        return replace(told, input=self.prompt_tokens(request), output=output, estimated=True)

    @staticmethod
    def delayed(request: Request, reply: Reply, ticket: Ticket) -> Reply:
        """`reply` saying how long after it came in limits had let its request go; 0 where they held nothing back."""
        return replace(reply, waited_ns=ticket.at - request.at) if ticket.waited_ns else reply

    @classmethod
    def held(cls, request: Request, failure: Unanswered, ticket: Ticket) -> None:
        """The same for a call that failed or was left."""
        if failure.shown is not None:
            failure.shown = cls.delayed(request, failure.shown, ticket)

    def tokens(self, request: Request, reply: Reply, expected: int) -> int:
        """What the call counts against its limits now that `reply` is there; `expected` was counted before."""
        if reply.receipt is None or not reply.receipt.usage.prompt:
            return expected
        used = reply.receipt.usage.prompt + reply.receipt.usage.output
        bound = wire.dialect(request.api).max_output(request.body)
        kept = request.provider in CHARGED_WHEN_ASKED and bound is not None
        return max(used, expected) if kept else used


class Ladder(Struct, frozen=True):
    """Models of one call, named as in the policy. `up` holds the choice and where it may escalate to, `down` cheaper
    ones, for a choice that a budget has no room for."""

    up: tuple[str, ...] = ()
    down: tuple[str, ...] = ()


def _runs_on(request: Request, reply: Reply) -> bool:
    """Whether the provider goes on with the answer, and bills it, whoever listens: a response in the background."""
    if request.api != "responses" or reply.finish != "incomplete":
        return False
    in_background = request.body.get("background") is True
    return in_background or (not request.stream and wire.unfinished(request.api, reply))


def _is_asked(request: Request, model: str) -> bool:
    """Whether `model`, named as in the policy, is the one that `request` asks for."""
    return model in (request.model, f"{request.provider}/{request.model}")


def _applies(limit: Limit, request: Request) -> bool:
    if not limit.models:
        return limit.group == request.provider
    return any(_names(pattern, request) for pattern in limit.models)


def _names(pattern: str, request: Request) -> bool:
    """Whether `pattern` is for the model of `request`, named with its provider or without. One with a slash begins
    with a provider, unless it is a model's own name to the letter."""
    if fnmatchcase(f"{request.provider}/{request.model}", pattern) or pattern == request.model:
        return True
    return "/" not in pattern and fnmatchcase(request.model, pattern)
