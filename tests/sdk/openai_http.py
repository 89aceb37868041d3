"""The openai SDK on a user's own HTTP client, whose transport answers in memory."""

from __future__ import annotations

import importlib
from typing import Any

import msgspec
import pytest

import costopt

openai: Any = pytest.importorskip("openai")
LIBRARY: Any = importlib.import_module("httpx2" if int(openai.VERSION.split(".")[0]) >= 3 else "httpx")
ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Where is my parcel?"}]}
URL = "https://api.openai.com/v1/chat/completions"


class Heard:
    """Remembers the requests in `heard` and answers them with `answer`."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def __call__(self, request: Any) -> Any:
        self.heard.append(request)
        return self.answer(request)

    async def later(self, request: Any) -> Any:
        return self(request)

    def answer(self, request: Any) -> Any:
        raise NotImplementedError

    def http(self, kind: Any = LIBRARY.Client, **settings: Any) -> Any:
        return kind(transport=LIBRARY.MockTransport(self), **settings)

    def async_http(self, **settings: Any) -> Any:
        return LIBRARY.AsyncClient(transport=LIBRARY.MockTransport(self.later), **settings)

    def sent(self, header: str) -> list[str | None]:
        return [request.headers.get(header) for request in self.heard]


def as_json(body: Any) -> Any:
    """As it comes from a network: still to be read."""
    content = LIBRARY.ByteStream(msgspec.json.encode(body))
    return LIBRARY.Response(200, headers={"content-type": "application/json"}, stream=content)


def wrapped(optimizer: costopt.Optimizer, http: Any) -> Any:
    return optimizer.wrap(openai.OpenAI(api_key="sk-test", http_client=http, max_retries=0))
