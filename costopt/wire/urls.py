"""Which API a request speaks, told from its path alone: base URLs, gateways and deployments differ too
much."""

from __future__ import annotations

from costopt.types import Api

_LAST: dict[str, Api] = {
    "responses": "responses",
    "messages": "messages",
    "embeddings": "embeddings",
    "completions": "completions",
}


def recognise(method: str, path: str) -> Api | None:
    """The API of `path` (a path or a whole URL, query allowed); None: nothing we optimize. Only POST
    creates."""
    if method.upper() != "POST":
        return None
    parts = path.partition("?")[0].partition("#")[0].rstrip("/").split("/")
    api = _LAST.get(parts[-1])
    if api == "completions" and parts[-2:-1] == ["chat"]:
        return "chat"
    if api == "messages" and "threads" in parts:
        return None  # messages of the Assistants API
    return api
