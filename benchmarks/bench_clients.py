"""Requests as real SDKs and frameworks send them: each must reach the provider byte for byte, headers included.

`--data` is a folder of JSON files, one request each: `method`, `path`, `headers` (an object or a list of pairs) and
`body` (JSON, text or null). Without it a few shapes of our own are sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.figure import NoMaterial, Report
from benchmarks.material import LIBRARY, optimizer
from costopt import wire
from costopt.edge.wrap import in_front_of
from costopt.policy import Policy

_CHAT = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "hi"}],
    "unknown_field": {"kept": [1, None]},
}
OWN: list[dict[str, Any]] = [
    {"method": "POST", "path": "/v1/chat/completions", "headers": {"x-odd": "1"}, "body": _CHAT},
    {"method": "POST", "path": "/v1/embeddings", "headers": {}, "body": {"model": "e", "input": ["a", "b"]}},
    {
        "method": "POST",
        "path": "/v1/messages/count_tokens",
        "headers": {},
        "body": {"model": "m", "messages": []},
    },
    {"method": "POST", "path": "/v1/chat/completions", "headers": {}, "body": "not json"},
    {"method": "GET", "path": "/v1/models", "headers": {}, "body": None},
]


def _requests(data: Path | None) -> Iterator[dict[str, Any]]:
    if data is None:
        yield from OWN
        return
    files = sorted(data.glob("*.json"))
    if not files:
        raise NoMaterial(f"no *.json in {data}")
    for path in files:
        yield json.loads(path.read_text())


def _built(kept: dict[str, Any]) -> Any:
    headers = kept["headers"]
    pairs = list(headers.items()) if isinstance(headers, dict) else [tuple(pair) for pair in headers]
    pairs = [(name, value) for name, value in pairs if name.lower() not in ("content-length", "host")]
    body = kept["body"]
    content = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return LIBRARY.Request(kept["method"], "http://127.0.0.1" + kept["path"], headers=pairs, content=content)


def run(data: Path | None = None) -> Report:
    report = Report(
        "clients", "recorded requests sent through the transport to an echo, compared byte for byte"
    )
    seen: list[Any] = []

    def echo(request: Any) -> Any:
        seen.append(request)
        return LIBRARY.Response(200, json={"ok": True})

    sent = recognised = changed = turned = 0
    with optimizer(Policy(name="observe")) as made:
        client = in_front_of(made, LIBRARY.Client(transport=LIBRARY.MockTransport(echo)))
        for kept in _requests(data):
            request = _built(kept)
            client.send(request)
            sent += 1
            changed += (request.content, request.headers.raw) != (seen[-1].content, seen[-1].headers.raw)
            api = wire.recognise(kept["method"], kept["path"].split("?")[0])
            recognised += api is not None
            if api and isinstance(kept["body"], dict):
                view = wire.dialect(api)
                turned += view.with_turns(kept["body"], view.turns(kept["body"])) != kept["body"]
    report.add("requests", sent, "")
    report.add("recognised as model calls", recognised, "")
    report.add("changed on the way", changed, "", 0)
    report.add("changed by view and edit of the same turns", turned, "", 0)
    return report
