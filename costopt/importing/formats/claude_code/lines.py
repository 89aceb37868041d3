"""The lines of a Claude Code log that belong to its conversations.

A line has a `uuid` and its `parentUuid`; those of type `user` and `assistant` carry a `message` in Anthropic's JSON.
One answer is several lines, one for each content block, that repeat the message's id and the request's id; each has
the usage as it stood then, so the earlier ones can be short of output (ccusage #888, vibe-usage PR #63). All other
types (system, attachment, progress, …) matter only as links of the chain. What Claude Code itself put in the place
of an answer (model `<synthetic>`, `isApiErrorMessage`) was never paid for and is a link too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from costopt.importing.agentlogs import folder, moment, said
from costopt.importing.reading import Item
from costopt.types import Json
from costopt.wire.loose import count, items, record, records, text

Kind: TypeAlias = Literal["asked", "answered", "link"]
_PROMPT = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
#: Fields of which a line of Claude Code has at least one.
_OWN = ("uuid", "sessionId", "leafUuid", "messageId", "session_id")


class Node:
    """One line as the conversation sees it. Slots, because a long session has 100,000 of them."""

    __slots__ = ("at", "cost", "kind", "message", "number", "parent", "request", "tags", "uuid")

    def __init__(self, item: Item) -> None:
        line = item.value
        self.number = item.number
        self.uuid = text(line.get("uuid"))
        self.parent = text(line.get("parentUuid"))
        self.at = moment(line.get("timestamp"))
        self.kind = _kind(line)
        self.message: Json = {} if self.kind == "link" else record(line.get("message"))
        self.request = text(line.get("requestId"))
        answered = self.kind == "answered"
        self.cost: Any = line.get("costUSD") if answered else None
        self.tags: dict[str, str] = _tags(line) if answered else {}

    @property
    def id(self) -> str:
        return text(self.message.get("id"))

    @property
    def usage(self) -> Json:
        return record(self.message.get("usage"))

    @property
    def blocks(self) -> list[Any]:
        content = self.message.get("content")
        return [{"type": "text", "text": content}] if isinstance(content, str) else items(content)

    @property
    def prompt(self) -> tuple[int, ...]:
        """The three counts of the prompt: the same in every line of one call, larger in the next."""
        return tuple(count(self.usage.get(name)) for name in _PROMPT)

    @property
    def answers(self) -> set[str]:
        """Ids of the tool calls it answers."""
        shown = records(self.message.get("content"))
        return {text(block.get("tool_use_id")) for block in shown if block.get("type") == "tool_result"}


def is_own(value: Json) -> bool:
    """Whether this can be a line of Claude Code at all."""
    return any(name in value for name in _OWN) or value.get("type") == "summary"


def size(nodes: Sequence[Node]) -> Node:
    """The line with the last word on usage: the most output, then the longest prompt, then the last one."""
    return max(reversed(nodes), key=lambda node: (count(node.usage.get("output_tokens")), sum(node.prompt)))


def _kind(line: Json) -> Kind:
    message = record(line.get("message"))
    if line.get("type") == "user" and "content" in message:
        return "asked"
    if line.get("type") != "assistant" or not message:
        return "link"
    return "link" if line.get("isApiErrorMessage") or message.get("model") == "<synthetic>" else "answered"


def _tags(line: Json) -> dict[str, str]:
    return said(
        session=text(line.get("sessionId")),
        project=folder(line.get("cwd")),
        branch=text(line.get("gitBranch")),
        version=text(line.get("version")),
        agent=text(line.get("agentId")),
        sidechain="true" if line.get("isSidechain") is True else "",
    )
