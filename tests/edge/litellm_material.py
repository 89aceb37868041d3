"""The real litellm, imported once without its network look-up of prices, and a loopback provider to ask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

import litellm

import costopt
from costopt.demo.simulator import Simulator
from costopt.policy import Cache, Policy
from costopt.world.ledger import Reader
from costopt.world.ledger.words import Fact

litellm.suppress_debug_info = True
MODEL = "openai/gpt-4o-mini"
CACHING = Policy(name="test", cache=Cache(disk=64 * 1024**2))


class Desk:
    """An Optimizer, a provider, and the calls between them."""

    def __init__(self, provider: Simulator, optimizer: costopt.Optimizer, folder: Path) -> None:
        self.provider = provider
        self.optimizer = optimizer
        self.folder = folder
        self.completion: Any = optimizer.wrap(litellm.completion)
        self.acompletion: Any = optimizer.wrap(litellm.acompletion)
        self.embedding: Any = optimizer.wrap(litellm.embedding)
        self.aembedding: Any = optimizer.wrap(litellm.aembedding)

    def ask(self, text: str = "Where is my order?", **more: Any) -> dict[str, Any]:
        messages = [{"role": "user", "content": text}]
        return {"model": MODEL, "messages": messages, **self.there(), **more}

    def there(self) -> dict[str, Any]:
        return {"api_base": self.provider.base_url, "api_key": "sk-test", "max_retries": 0}

    def embed(self, *texts: str, **more: Any) -> dict[str, Any]:
        return {"model": "openai/text-embedding-3-small", "input": list(texts), **self.there(), **more}

    @property
    def calls(self) -> int:
        return self.provider.calls

    def facts(self) -> list[Fact]:
        self.optimizer.flush()
        with Reader(self.folder) as reader:
            return list(reader.facts())


@contextmanager
def desk(folder: Path, policy: Policy = CACHING) -> Iterator[Desk]:
    with Simulator() as provider, costopt.Optimizer(policy, ledger=folder) as optimizer:
        yield Desk(provider, optimizer, folder)


def said(answer: Any) -> Any:
    return answer.model_dump(exclude_none=True)


def told(answer: Any) -> dict[str, str]:
    found: dict[str, str] = answer._hidden_params["costopt"]
    return found
