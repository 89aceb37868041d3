"""Which API a request speaks, told from its path alone: base URLs, gateways and deployments differ too
much."""

from __future__ import annotations

from urllib.parse import quote, unquote

from costopt.types import Api

_LAST: dict[str, Api] = {
    "responses": "responses",
    "messages": "messages",
    "embeddings": "embeddings",
    "completions": "completions",
}
#: How calls of models are named that we do not read: Bedrock's, behind `/model/NAME/`, and Google's, behind `NAME:`.
_BEDROCK = frozenset({"invoke", "invoke-with-response-stream", "converse", "converse-stream"})
_GOOGLE = frozenset({"rawPredict", "streamRawPredict", "generateContent", "streamGenerateContent"})


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


def deployment(path: str) -> str:
    """The model that `path` itself names, as Azure's do: `/openai/deployments/NAME/chat/completions`; "" where it
    names none."""
    name, slash, _ = path.partition("/deployments/")[2].partition("/")
    return unquote(name) if slash else ""


def with_deployment(url: str, model: str) -> str:
    """`url` for another model, where it names one: providers take that name, not the body's."""
    before, found, rest = url.partition("/deployments/")
    name, slash, after = rest.partition("/")
    return f"{before}{found}{quote(model, safe='')}/{after}" if name and slash else url


def unread(method: str, path: str) -> bool:
    """Whether `path` (without its query) is a model call of an API that `recognise` does not know: one that costs
    money and passes by."""
    *before, last = path.rstrip("/").split("/")
    if method.upper() != "POST":
        return False
    model, _, verb = unquote(last).rpartition(":")
    return (last in _BEDROCK and before[-2:-1] == ["model"]) or (verb in _GOOGLE and model != "count-tokens")
