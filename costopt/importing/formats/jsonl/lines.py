"""The interchange format: one JSON object a line, one model call each.

    {"request": {the provider's JSON body}, "response": {its JSON answer} | null, "timestamp": "2026-11-01T09:30:00Z",
     "ended": ..., "endpoint": "https://api.openai.com/v1/chat/completions", "provider": "openai", "api": "chat",
     "id": "...", "tags": {"agent": "planner"}, "status": 200, "error": "...", "service_tier": "", "cache_hit": false}

Only `request` and a time are needed (`timestamp`, `created`, or the answer's own `created`): RFC 3339, or unix time in
s, ms, us or ns. `api` is chat, responses, messages, embeddings or completions; where it is missing, endpoint and shapes
tell. What else is read, `entries` says. Lines with a `custom_id` are halves of a provider's batch, see `batchfiles`.

A call is known by its `id` together with its second, request and answer: many loggers number anew in each file, and a
number alone is taken for that of a row. Without one it is known by its answer's id, with time, request and answer; else
by what the line says, and lines of one file that say the same are different calls.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec.structs import replace

from costopt import wire
from costopt.importing import counts, shapes
from costopt.importing.formats.jsonl.batchfiles import Halves, is_half
from costopt.importing.formats.jsonl.entries import Entry, entry_of
from costopt.importing.labels import labelled
from costopt.importing.reading import Item, documents
from costopt.importing.times import moment
from costopt.importing.words import Found, Imported, Line, Options, Unusable
from costopt.tagging import TIMELESS
from costopt.types import Api, Json, Usage
from costopt.wire.loose import items, record, text

NO_TIME = "no timestamp: add `created`, or give the calls times with --start"
NO_REQUEST = "no request in it: neither `request` nor `model` and `messages`"
ONLY_COUNTS = (
    "counts and no request: a line needs `request` (with its `model`, and `messages`, `input` or `prompt`) and"
    " `timestamp`, and for the real bill `response` or `usage`"
)
TRANSCRIPT = "no response beside `messages`, which end with an answer: is it a transcript? (see --list)"
NO_API = "neither endpoint nor request tells which API it is: add `api`"
_COUNT = re.compile(
    r"tokens?|(?:input|output|prompt|context|generated|completion)_?(?:length|len)\b", re.IGNORECASE
)
_sorted = msgspec.json.Encoder(order="sorted").encode


def read(lines: Iterable[Line], options: Options) -> Iterator[Found]:
    reader, halves = _Reader(options), Halves()
    for item in documents(lines):
        whole = halves.join(item) if isinstance(item, Item) and is_half(item.value) else item
        if isinstance(whole, Unusable):
            yield whole
        elif whole is not None:
            yield reader.call(whole)
    yield from halves.alone()


class _Reader:
    """Lines as calls; remembers how many lines of a file said the same, and the last made-up time."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._next = options.start
        self._path = ""
        self._same: Counter[str] = Counter()

    def call(self, item: Item) -> Found:
        entry = entry_of(item.value)
        if not entry.body:
            return _unusable(item, ONLY_COUNTS if _is_counted(item.value) else NO_REQUEST)
        if entry.said is None and entry.flat and _ends_with_an_answer(entry.body):
            return _unusable(item, TRANSCRIPT)
        api = shapes.api_of(entry.api, entry.url, entry.body, entry.said)
        if api is None:
            return _unusable(item, NO_API)
        answer = shapes.answered(api, entry.said, entry.usage)
        logged = moment(entry.started) or _created(answer)
        at = logged or self._made_up()
        if at is None:
            return _unusable(item, NO_TIME)
        return Imported(
            id=self._id(item, entry, answer, logged),
            named=_named(entry),
            at=at,
            ended=moment(entry.ended) or 0,
            api=api,
            provider=shapes.provider_named(entry.provider),
            model=text(entry.body.get("model")) or text(item.value.get("model")),
            endpoint=entry.url,
            body=entry.body,
            answer=answer,
            usage=_usage(api, answer, entry),
            status=entry.status,
            stream=bool(items(entry.said)),
            error=entry.error,
            tags=tags_of(entry.tags) if logged else {**tags_of(entry.tags), **TIMELESS},
            cost=counts.nano(entry.cost),
            hit=entry.hit,
        )

    def _made_up(self) -> int | None:
        at = self._next
        if at is not None:
            self._next = at + self._options.every
        return at

    def _id(self, item: Item, entry: Entry, answer: Json | None, logged: int | None) -> str:
        if name := _named(entry):
            second = "" if logged is None else logged // 10**9  # times of one call differ in their precision
            return f"id {name} {second} {_digest([entry.body, answer])}"
        if told := text((answer or {}).get("id")) or entry.id:
            # why: behind some gateways all answers have one id
            return f"answer {told} {logged} {_digest([entry.body, answer])}"
        return self._by_content(item)

    def _by_content(self, item: Item) -> str:
        if item.path != self._path:
            self._path = item.path
            self._same.clear()
        said = _digest(item.value)
        self._same[said] += 1
        return f"line {said} {self._same[said]}"


def _named(entry: Entry) -> str:
    """The call's id in the log; empty where it has none, or the number of a row."""
    name = text(entry.id)
    return "" if name.isdigit() else name


def _is_counted(line: Json) -> bool:
    """Whether it has numbers of tokens, as traces of workloads do."""
    return any(
        _COUNT.search(name) is not None and isinstance(value, int | float) for name, value in line.items()
    )


def _unusable(item: Item, why: str) -> Unusable:
    return Unusable(item.path, item.number, why)


def _ends_with_an_answer(body: Json) -> bool:
    last = items(body.get("messages"))[-1:]
    return bool(last) and record(last[0]).get("role") == "assistant"


def _digest(value: Any) -> str:
    """The same whatever the order of fields."""
    try:
        data = _sorted(value)
    except UnicodeEncodeError:  # why: halves of surrogate pairs are in real logs
        data = json.dumps(value, sort_keys=True).encode()
    return blake2b(data, digest_size=16).hexdigest()


def _created(answer: Json | None) -> int | None:
    answer = answer or {}
    return moment(answer.get("created")) or moment(answer.get("created_at"))


def _usage(api: Api, answer: Json | None, entry: Entry) -> Usage | None:
    """None leaves it to the answer; counts without an answer, and a service tier that only the log knows, have to be
    said here."""
    if answer is None:
        return counts.told(api, record(entry.usage), entry.tier)
    usage = wire.dialect(api).summary(answer).usage if entry.tier else None
    return replace(usage, service_tier=entry.tier) if usage else None


def tags_of(value: Any) -> Mapping[str, str]:
    """Tags as a log writes them: names and values, or a list of `name=value` and of words, which are all true."""
    pairs = record(value) or labelled(items(value), bare="true")
    return {name: _plain(inner) for name, inner in pairs.items() if isinstance(inner, str | int | float)}


def _plain(value: str | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
