"""The policy file, key by key: what each may hold and becomes. Reader and JSON schema come from here."""

from __future__ import annotations

from typing import Any

from costopt import policy
from costopt.policyfile import patterns
from costopt.policyfile.block import Block, Field
from costopt.policyfile.kinds import (
    BAD,
    COUNT,
    DURATION,
    MONEY,
    OFF,
    POSITIVE,
    RATE,
    SIZE,
    SPEND,
    ZERO,
    Choice,
    Flag,
    Later,
    ListOf,
    MapOf,
    Off,
    Share,
    Text,
    Unless,
)
from costopt.policyfile.kinds import number as number_of
from costopt.policyfile.tree import Log, Node
from costopt.policyfile.units import Wrong, say_count
from costopt.types import Json, Nano

VERSION = 1
MODEL_NAME = Text("a model name", "openai/gpt-5-mini", r"\S+")
WORD = Text("a word", "small", r"[A-Za-z0-9][A-Za-z0-9_.:-]*")
TIMES = ("minute", "hour", "day", "week", "month")
#: What `cache`, `limit`, `budget` and `embeddings` refuse, for the schema.
NO_TIME: Json = {"anyOf": [{"const": 0}, {"type": "string", "pattern": patterns.NO_DURATION}]}
NO_RATE: Json = {"type": "string", "pattern": ZERO}
ONE: Json = {
    "anyOf": [{"const": 1}, {"type": "string", "pattern": r"^(1(\.0+)?|0\.0010*[kK]|0\.0000010*M)$"}]
}
TAG = Text("the name of a tag", "user", r"[A-Za-z][A-Za-z0-9_.-]*")


def trim(budget: int, keep: int, tool_output: int | None = None) -> policy.Trim:
    if keep >= budget:
        raise Wrong(
            f"keep ({say_count(keep)}) must be smaller than budget ({say_count(budget)})",
            f"write keep: {say_count(budget // 2)}, half of the budget",
            "keep",
        )
    return policy.Trim(budget, keep, tool_output)


def cache(semantic: None = None, **known: Any) -> policy.Cache:
    made = policy.Cache(**known)
    if made.ttl == 0:
        raise Wrong("a ttl of 0 keeps nothing", "write a time such as 7d, or cache: off", "ttl")
    if not (made.memory or made.disk or made.share):
        raise Wrong("has no room and shares nothing", "write memory: 256MB, or cache: off", "memory")
    return made


def semantic(**_: Any) -> None:
    """Nothing yet: only `enabled: false` gets here."""


def limit(
    group: str,
    requests: tuple[int, float] | None = None,
    tokens: tuple[int, float] | None = None,
    models: tuple[str, ...] = (),
) -> policy.Limit:
    rates = [rate for rate in (requests, tokens) if rate]
    if not rates:
        raise Wrong("limits nothing", "add requests: 500/min or tokens: 200k/min")
    if any(number == 0 for number, _ in rates):
        raise Wrong("a limit of 0 would stop every call", "write at least 1, or remove the limit")
    if len({window for _, window in rates}) > 1:
        raise Wrong(
            "requests and tokens are counted over different times", "write two limits of the same group"
        )
    return policy.Limit(
        group, requests[0] if requests else None, tokens[0] if tokens else None, rates[0][1], models
    )


def budget(limit: tuple[Nano, Any], per: str = "", **known: Any) -> policy.Budget:
    if per in TIMES:
        raise Wrong(
            f"per: {per} is a time, and per names a tag", f"write the time in the limit: $5/{per}", "per"
        )
    return policy.Budget(limit=limit[0], window=limit[1], per=per, **known)


def embeddings(max_size: int, **known: Any) -> policy.Batch:
    if max_size == 1:
        raise Wrong("one input at a time is no merging", "write at least 2, or embeddings: off", "max_size")
    return policy.Batch(max_size, **known)


def batch(embeddings: policy.Batch | None = None) -> policy.Batch:
    return embeddings or policy.Batch()


MODEL = Block(
    policy.Model,
    {
        "name": Field(
            MODEL_NAME,
            "provider/model; without a provider, a model of the provider that the call goes to.",
            required=True,
        ),
        "tier": Field(WORD, "A word of your own for this rung, such as small."),
    },
)
CASCADE = Block(
    policy.Cascade,
    {
        "check": Field(
            Choice(("json", "json_schema", "non_empty", "none")),
            "What an answer must pass; one that fails is asked again of the next model.",
        )
    },
)
ROUTE = Block(
    policy.Route,
    {
        "alias": Field(WORD, "The model name that means: choose for me. Default auto."),
        "strategy": Field(Choice(("rules", "cheapest", "strongest")), "How to choose. Default rules."),
        "downgrade": Field(
            ListOf(MODEL_NAME), "Models, as calls name them, that a cheaper one of `models` may replace."
        ),
        "long_prompt": Field(POSITIVE, "Tokens above which `rules` goes to a stronger model. Default 4000."),
        "task": Field(
            MapOf(Text("a model or a tier", "small")), "Value of the tag `task`: model name or tier."
        ),
        "cascade": Field(CASCADE, "Ask the cheap model first, the next one when the check fails."),
        "quality_loss": Field(Later(Off(Share()), lambda value: value is None), "Tolerated loss of quality."),
        "confidence": Field(Later(Off(Share()), lambda value: value is None), "Confidence in that bound."),
    },
)
TRIM = Block(
    trim,
    {
        "budget": Field(POSITIVE, "Tokens above which whole tool groups are cut.", required=True),
        "keep": Field(POSITIVE, "Tokens that a cut leaves; smaller than budget.", required=True),
        "tool_output": Field(Off(POSITIVE), "Tokens above which a tool output is shortened; off: never."),
    },
)
SEMANTIC = Block(
    semantic,
    {
        "enabled": Field(Later(Flag()), "Default false."),
        "error": Field(Share(), "Tolerated share of wrong answers."),
        "of": Field(Choice(("requests", "hits")), "What the share is of."),
    },
)
CACHE = Block(
    cache,
    {
        "ttl": Field(Unless(DURATION, NO_TIME), "How long an answer may be given again. Default 7d."),
        "scope": Field(Choice(("tenant", "shared")), "Whose calls share answers. Default tenant."),
        "memory": Field(SIZE, "Bytes of answers kept in this process; 0 is off. Default 256MiB."),
        "disk": Field(SIZE, "Bytes of answers kept on disk; 0 is off. Default 0."),
        "sampled": Field(Flag(), "Also store answers sampled at temperature above 0 or unset. Default true."),
        "tool_calls": Field(Flag(), "Also store answers that call tools. Default false."),
        "share": Field(Flag(), "Equal calls made at the same time wait for one answer. Default true."),
        "semantic": Field(Off(SEMANTIC), "Answer similar questions alike."),
    },
)
LIMIT = Block(
    limit,
    {
        "group": Field(
            WORD,
            "Quota group: calls that share a key share one. A provider's name by default covers its models.",
            True,
        ),
        "requests": Field(Unless(RATE, NO_RATE), "Requests per time, such as 500/min."),
        "tokens": Field(Unless(RATE, NO_RATE), "Tokens per time, such as 200k/min."),
        "models": Field(
            ListOf(Text("a model pattern", "openai/*", r"\S+")),
            "Models that count; default: those of the provider `group`.",
        ),
    },
)
BUDGET = Block(
    budget,
    {
        "limit": Field(
            SPEND, "Money per calendar time, such as $5/day; /total is once and for all.", required=True
        ),
        "per": Field(
            Unless(TAG, {"enum": list(TIMES)}),
            "Tag whose values each have the limit to themselves. Default: one limit for everybody.",
        ),
        "on_exceed": Field(Choice(("reject", "downgrade"), later=("queue",)), "Default reject."),
        "on_unknown_price": Field(
            Choice(("reject", "allow")),
            "For a call without a known price, or without a bound on its output or web searches. Default reject.",
        ),
    },
)
RETRY = Block(
    policy.Retry,
    {
        "attempts": Field(POSITIVE, "Attempts in all; 1 leaves retrying to the client. Default 1."),
        "base": Field(DURATION, "Wait before the second attempt; doubles after. Default 500ms."),
        "cap": Field(DURATION, "Longest wait. Default 8s."),
    },
)
EMBEDDINGS = Block(
    embeddings,
    {
        "max_size": Field(Unless(COUNT, ONE), "Inputs merged into one call; 0 is off.", required=True),
        "max_wait": Field(DURATION, "How long the first one waits for others. Default 20ms."),
    },
)
BATCH = Block(
    batch,
    {
        "embeddings": Field(Off(EMBEDDINGS), "Merge embedding calls made at about the same time."),
        "deadline": Field(
            Later(Off(DURATION), off=(*OFF, NO_TIME)),
            "Calls that may wait this long go to the provider's batch API.",
        ),
    },
)
LEDGER = Block(
    policy.Ledger,
    {
        "path": Field(Text("a folder", "~/.costopt"), "Folder of the ledger. Default ~/.costopt."),
        "content": Field(Choice(("full", "hashed")), "Keep messages, or their hashes only. Default full."),
        "archive_after": Field(
            Off(DURATION),
            "Age at which `costopt archive run --policy FILE` compresses calls; off: never. Default 30d.",
        ),
        "keep": Field(Later(Off(DURATION), off=(*OFF, NO_TIME)), "Age at which calls are deleted."),
    },
)
PRICE = Block(
    policy.Price,
    {
        "input": Field(MONEY, "Per million tokens, such as $0.50.", required=True),
        "output": Field(MONEY, "Per million tokens.", required=True),
        "cache_read": Field(MONEY, "Per million tokens read from the provider's prompt cache."),
        "cache_write": Field(MONEY, "Per million tokens written to it."),
        "cache_write_1h": Field(MONEY, "Per million tokens written to it for an hour."),
    },
)


class Version:
    """The number of the file format."""

    def read(self, node: Node, key: str, log: Log) -> Any:
        number = number_of(node)
        if number == VERSION:
            return VERSION
        newer = number is not None and number > VERSION
        hint = f"upgrade costopt, or write version: {VERSION}" if newer else f"write version: {VERSION}"
        said = node.said if number is None else node.text
        log.add(node.line, key, f"{said} is not supported", hint)
        return BAD

    def schema(self) -> Json:
        return {"const": VERSION}


POLICY = Block(
    policy.Policy,
    {
        "version": Field(Version(), "Version of this file format.", required=True),
        "models": Field(ListOf(MODEL), "The ladder that `route` chooses from, cheapest first."),
        "route": Field(Off(ROUTE), "Choose the model. Absent: off."),
        "trim": Field(Off(TRIM), "Keep prompts within a token budget. Absent: off."),
        "cache": Field(Off(CACHE), "Answer repeated calls from a store. Absent: off."),
        "limits": Field(ListOf(LIMIT), "Wait rather than pass a rate."),
        "budgets": Field(ListOf(BUDGET), "Refuse, or go cheaper, rather than pass a sum."),
        "retry": Field(RETRY, "Try failed calls again."),
        "batch": Field(Off(BATCH, policy.Batch()), "Merge calls."),
        "ledger": Field(Off(LEDGER), "Where calls are recorded. Absent: ~/.costopt; off: nowhere."),
        "prices": Field(MapOf(PRICE), "Prices of your own, by model name; they override the price map."),
        "strict": Field(
            Flag(), "Trouble with cache or ledger fails the call. Default false: it goes through."
        ),
    },
)


def schema() -> Json:
    """The file as JSON schema (draft 7, which editors' YAML servers read)."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "costopt policy",
        **POLICY.schema(),
    }
