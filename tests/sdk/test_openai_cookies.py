"""Cookies of a provider, or of the gateway before it, come back to it as they do without us."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

import costopt
from costopt.policy import Cache, Policy

openai = pytest.importorskip("openai")
LIBRARY: Any = importlib.import_module("httpx2" if int(openai.VERSION.split(".")[0]) >= 3 else "httpx")
ANSWER = {"model": "m", "choices": [{"message": {"content": "Paris"}, "finish_reason": "stop"}]}


def test_cookies_are_kept_and_sent(tmp_path: Path) -> None:
    seen: list[str] = []

    def answer(request: Any) -> Any:
        seen.append(request.headers.get("cookie", ""))
        headers = {"set-cookie": "route=b; Path=/"} if len(seen) == 1 else {}
        return LIBRARY.Response(200, headers=headers, content=msgspec.json.encode(ANSWER))

    bare = openai.OpenAI(
        api_key="sk-test",
        http_client=LIBRARY.Client(transport=LIBRARY.MockTransport(answer), cookies={"given": "a"}),
    )
    with costopt.Optimizer(Policy(cache=Cache()), ledger=tmp_path) as optimizer:
        client = optimizer.wrap(bare)
        for question in "xyz":
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": question}])
    assert [sorted(cookies.split("; ")) for cookies in seen] == [["given=a"], *[["given=a", "route=b"]] * 2]
