"""What several benchmarks run on: a provider in memory, a prompt of about 2,000 tokens, and our policies."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import openai

from costopt import Optimizer
from costopt.policy import Cache, Policy

LIBRARY: Any = importlib.import_module("httpx2" if int(openai.VERSION.split(".")[0]) >= 3 else "httpx")
MODEL = "gpt-4o-mini"
CACHING = Policy(name="bench", cache=Cache(disk=256 * 1024**2, sampled=True))
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": MODEL,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "The parcel left the depot this morning. " * 8},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 2000, "completion_tokens": 64, "total_tokens": 2064},
}
_ENCODED = msgspec.json.encode(ANSWER)
_LINE = "Order {0} was shipped on day {0} and the customer asked where parcel {0} is. "
_SYSTEM = "".join(_LINE.format(at) for at in range(84))
_numbers = count()


def prompt(*, unique: bool) -> list[dict[str, str]]:
    """A system prompt of about 2,000 tokens and a question; `unique` makes it one nobody has asked before."""
    question = f"Where is parcel {next(_numbers)}?" if unique else "Where is my parcel?"
    return [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": question}]


def handler(_: Any) -> Any:
    return LIBRARY.Response(200, content=_ENCODED, headers={"content-type": "application/json"})


def client() -> openai.OpenAI:
    """The real SDK on an in-memory transport."""
    return openai.OpenAI(
        api_key="sk-test", http_client=LIBRARY.Client(transport=LIBRARY.MockTransport(handler))
    )


def ask(through: Any, *, unique: bool = False) -> Any:
    return through.chat.completions.create(model=MODEL, messages=prompt(unique=unique))


@contextmanager
def optimizer(policy: Policy = CACHING) -> Iterator[Optimizer]:
    with tempfile.TemporaryDirectory() as folder, Optimizer(policy, ledger=Path(folder)) as made:
        yield made
