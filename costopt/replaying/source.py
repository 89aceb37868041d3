"""Recorded calls as a replay needs them: the request as it came in, without reading more of it than the policy does."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from functools import partial
from hashlib import blake2b
from typing import Any, cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from costopt.decide import admit
from costopt.decide.keys import IGNORED
from costopt.decide.promptcache import Cut, Piece, pieces_from_parts, pieces_of
from costopt.errors import LedgerError, PromptTooLong
from costopt.plan import Plan
from costopt.policy import Cache, Policy
from costopt.replaying.sessions import session
from costopt.types import Api, Control, Json, Reply, Request
from costopt.world.ledger.parts import Outline, decode
from costopt.world.ledger.read import Reader
from costopt.world.ledger.words import Fact, Selection
from costopt.world.recent import Recent
from costopt.world.recorded import Past, model_then

#: What is remembered of parts, keys and cuts, each.
REMEMBERED = 50_000
#: Bytes a token stands for where neither the provider nor a text tells its prompt's length.
BYTES_PER_TOKEN = 4
#: Where prompts stand in a body.
TEXTS = frozenset({"messages", "input", "prompt", "system", "instructions"})
_canonical = msgspec.json.Encoder(order="sorted").encode
#: Bytes of a part that is compared as a whole: fewer than 128 tokens, the step in which OpenAI caches.
ATOM = 512
#: Below this many prompt tokens no provider caches, so nobody asks what the prompt consists of.
LEAST_CACHED = 512


class Needs(Struct, frozen=True):
    """What a policy must see of a call. `text`: the prompt itself; `count`: its length as the live call counted it;
    `answer`: the answer's text, always; `cache`: where these rules ask for it before they keep one. `shared`: its cache
    does not tell tenants apart. `inputs`: what is to be embedded."""

    text: bool
    count: bool
    answer: bool
    cache: Cache | None
    shared: bool
    inputs: bool

    def reads(self, request: Request, finish: str) -> bool:
        """Whether the policy reads the answer to `request`, which ended with `finish`."""
        return self.answer or (self.cache is not None and admit.checks(request, finish, self.cache))

    @classmethod
    def of(cls, policy: Policy) -> Needs:
        text = bool(
            policy.trim or policy.route or any(rule.on_exceed == "downgrade" for rule in policy.budgets)
        )
        checks = policy.route is not None and policy.route.cascade.check != "none"
        shared = policy.cache is not None and policy.cache.scope == "shared"
        return cls(
            text, bool(policy.budgets or text), checks, policy.cache, shared, policy.batch.max_size > 1
        )


class Source:
    """Reads the calls of one ledger in order of time. `plan` counts what nobody has counted."""

    def __init__(self, reader: Reader, plan: Plan, needs: Needs) -> None:
        self.reader = reader
        self._plan = plan
        self.needs = needs
        self._keys: MutableMapping[str, str] = Recent(REMEMBERED)
        self._cuts: MutableMapping[tuple[str, bytes], Cut] = Recent(REMEMBERED)
        self._parameters: MutableMapping[bytes, Any] = Recent(REMEMBERED)

    def calls(self, wanted: Selection) -> Iterator[Past]:
        facts = self.reader.facts(
            wanted.since, wanted.until, model=wanted.model, tags=wanted.tags, decisions=False
        )
        return map(self.past, facts)

    def past(self, fact: Fact) -> Past:
        outline = self.reader.outline(fact)
        body = self._body(fact) if self.needs.text or self.needs.count else None
        request = self._request(fact, self._skeleton(fact, outline) if body is None else body)
        whole = self._whole(fact, request, body)
        counted = whole if body is None else self._plan.prompt_tokens(request)
        pieces = self._pieces(fact, outline) if whole >= LEAST_CACHED else ()
        return Past(
            fact=fact,
            session=session(fact),
            request=replace(request, key=self._key(fact, outline), tokens=counted),
            whole=whole,
            texts=body is not None,
            pieces=pieces,
            then=(pieces and fact.trimmed and self._sent(fact, request)) or pieces,
            size=sum(self.reader.sizes([key for key in (fact.reply_body, fact.reply_events) if key])),
            read=partial(self._answer, fact) if self.needs.reads(request, fact.finish) else None,
        )

    def _request(self, fact: Fact, body: Json) -> Request:
        return Request(
            id=fact.id,
            api=cast("Api", fact.api),
            model=fact.asked,
            body=body,
            endpoint=fact.endpoint,
            provider=fact.provider,
            stream=fact.stream,
            tenant="" if self.needs.shared else fact.tenant,
            variant=fact.variant,
            tags=fact.tags,
            control=Control(cast("Any", fact.control)),
            notes=[],
        )

    def _whole(self, fact: Fact, request: Request, body: Json | None) -> int:
        """The length of the whole prompt: the provider's word, else a count, else an estimate from its bytes."""
        if fact.usage is not None:
            return fact.usage.prompt + fact.trimmed
        body = self._body(fact) if body is None else body
        if body is not None:
            return self._plan.prompt_tokens(replace(request, body=body))
        return sum(sum(self.reader.sizes(group)) for group in fact.parts) // BYTES_PER_TOKEN

    def _sent(self, fact: Fact, request: Request) -> tuple[Piece, ...]:
        """What was left of a prompt by the trim then, if this policy's trim takes out as much; else nobody knows."""
        try:
            cut, removed = self._plan.trim(
                replace(request, model=model_then(fact, self._plan.book), notes=[])
            )
        except PromptTooLong:
            return ()
        return tuple(pieces_of(cut.api, cut.body)) if removed == fact.trimmed else ()

    def _body(self, fact: Fact) -> Json | None:
        """The request body; None where its text was not kept."""
        try:
            return self.reader.body(fact)
        except LedgerError:
            return None

    def _answer(self, fact: Fact) -> Reply | None:
        try:
            return self.reader.answer(fact)
        except LedgerError:
            return None

    def _skeleton(self, fact: Fact, outline: Outline) -> Json:
        """The body with its parameters and tools, and blanks where its texts stand."""
        body = dict(outline.values)
        for key, parts in outline.named(fact.parts):
            if fact.api == "embeddings" and key == "input":
                inputs = list(map(self._input, parts))
                body[key] = inputs if key in outline.lists else inputs[0]
            elif key in TEXTS and (key != "prompt" or fact.api == "completions"):
                body[key] = []
            else:
                body[key] = self._parameter(key, parts[0], outline)
        return body

    def _input(self, part: bytes) -> Any:
        """What is to be embedded; blanks where it was withheld or does not matter."""
        data = self.reader.kept(part) if self.needs.inputs else None
        return " " * max(0, self.reader.sizes([part])[0] - len('""')) if data is None else decode(data)

    def _parameter(self, key: str, part: bytes, outline: Outline) -> Any:
        """The value of a large parameter; shared between calls, as nobody changes a body."""
        if part not in self._parameters:
            self._parameters[part] = self._read_parameter(key, part, outline)
        return self._parameters[part]

    def _read_parameter(self, key: str, part: bytes, outline: Outline) -> Any:
        """Where it was withheld, something as different from others as it was, and the types of tools."""
        data = self.reader.kept(part)
        if data is not None:
            return decode(data)
        return [{"type": kind} for kind in outline.kinds] if key == "tools" else {"withheld": part.hex()}

    def _key(self, fact: Fact, outline: Outline) -> str:
        """What tells this request from any other: its cache key where it has one, else a hash of its parts.

        A call that was recorded without a key is the same as one with it when all their parts are.
        """
        rows: dict[str, Any] = dict(outline.values)
        rows |= {name: b"".join(parts).hex() for name, parts in outline.named(fact.parts)}
        for name in IGNORED:
            rows.pop(name, None)
        tenant = "" if self.needs.shared else fact.tenant
        where = (tenant, fact.api, fact.endpoint, fact.variant, fact.asked)
        own = blake2b(_canonical((where, rows)), digest_size=16).hexdigest()
        known = fact.cache_key and not self.needs.shared
        return self._keys.setdefault(fact.cache_key, own) if known else own

    def _pieces(self, fact: Fact, outline: Outline) -> tuple[Piece, ...]:
        named = outline.named(fact.parts)
        groups = [(key, [self._part(fact.api, key, part) for part in parts]) for key, parts in named]
        return tuple(pieces_from_parts(fact.api, groups, outline.values, self._cuts))

    def _part(self, api: str, key: str, part: bytes) -> tuple[bytes, int, bytes | None]:
        """Hash, size and text of a part; no text where it is not needed: known already, or shorter than a step of a
        prompt cache and without breakpoints. (Where a policy edits prompts, edited and recorded ones must compare.)"""
        if (key, part) in self._cuts:
            return part, 0, None
        (size,) = self.reader.sizes([part])
        atom = size <= ATOM and api != "messages" and not self.needs.text
        return part, size, None if atom else self.reader.kept(part)
