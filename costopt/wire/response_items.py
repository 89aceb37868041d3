"""The items of the Responses API as turns. A reasoning item and what the model did right after it are one
turn: the API refuses either without the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal, TypeAlias

from costopt.types import Json, Turn
from costopt.wire import parts
from costopt.wire.loose import encode, items, record, text

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]

CALLS = frozenset(
    {
        "function_call",
        "custom_tool_call",
        "computer_call",
        "local_shell_call",
        "shell_call",
        "apply_patch_call",
        "tool_search_call",
    }
)
"""Calls that the caller answers, by `call_id`."""
_OUTPUTS = frozenset({f"{call}_output" for call in CALLS} | {"tool_search_output", "mcp_approval_response"})
_HOSTED = frozenset(
    {
        "reasoning",
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "image_generation_call",
        "mcp_call",
        "mcp_list_tools",
        "mcp_approval_request",
    }
)
"""What the model did on the provider's side."""
_ROLES: dict[str, Role] = {
    **dict.fromkeys(CALLS | _HOSTED, "assistant"),
    **dict.fromkeys(_OUTPUTS, "tool"),
}
_MESSAGE_ROLES: dict[str, Role] = {"assistant": "assistant", "system": "system", "developer": "system"}
_USER: Role = "user"
_SPOKEN = ("name", "arguments", "input", "code", "query")
_DONE = ("action", "operation")


def turns(given: list[Any], *, continued: bool) -> list[Turn]:
    """The input list as turns. `continued` says that earlier items are kept by the provider: outputs whose
    call is not here are then pinned."""
    first = next((item for item in given if _role(record(item)) == "user"), None)
    called = {name for item in given for name in _calls(record(item))}
    return [_turn(group, first, called if continued else None) for group in _groups(given)]


def flatten(turned: Iterable[Turn]) -> list[Any]:
    return [item for turn in turned for item in (items(turn.raw) or [turn.raw])]


def _groups(given: list[Any]) -> Iterator[list[Any]]:
    """Runs of items that must stay together: everything the model did from a reasoning item on."""
    run: list[Any] = []
    for item in given:
        if run and _role(record(item)) == "assistant":
            run.append(item)
            continue
        if run:
            yield run
        run = [item] if kind_of(record(item)) == "reasoning" else []
        if not run:
            yield [item]
    if run:
        yield run


def text_of(shown: Iterable[Json]) -> str:
    """Everything countable in these items, one line per piece."""
    return "\n".join([piece for item in shown for piece in _texts(item) if piece])


def _turn(group: list[Any], first: Any, called: set[str] | None) -> Turn:
    raw = group if len(group) > 1 or isinstance(group[0], list) else group[0]
    shown = [record(item) for item in group]
    role = _role(shown[0])
    said = text_of(shown)
    calls = tuple([name for item in shown for name in _calls(item)]) if role == "assistant" else ()
    answers = _answers(shown[0]) if role == "tool" else ()
    known = called is None or called.issuperset(answers)
    pinned = group[0] is first or role == "system" or _is_opaque(shown[0]) or not known
    weight = sum([parts.tokens(item.get("content")) + parts.tokens(_output(item)) for item in shown])
    return Turn(role, raw if isinstance(raw, str) else said, raw, calls, answers, pinned, weight)


def kind_of(item: Json) -> str:
    """The type of an item; one without a type is a message."""
    kind = item.get("type")
    return text(kind) if kind else "message"


def _role(item: Json) -> Role:
    kind = kind_of(item)
    if kind == "message":
        return _MESSAGE_ROLES.get(text(item.get("role")), _USER)
    return _ROLES.get(kind, _USER)


def _is_opaque(item: Json) -> bool:
    """Whether it stands for something only the provider knows: a reference, a compaction, a new kind of
    item."""
    kind = kind_of(item)
    return kind != "message" and kind not in _ROLES


def _calls(item: Json) -> list[str]:
    kind = kind_of(item)
    if kind in CALLS:
        return [text(item.get("call_id")) or text(item.get("id"))]
    return [text(item.get("id"))] if kind == "mcp_approval_request" else []


def _answers(item: Json) -> tuple[str, ...]:
    if kind_of(item) == "mcp_approval_response":
        return (text(item.get("approval_request_id")),)
    return (text(item.get("call_id")) or text(item.get("id")),)


def _output(item: Json) -> Any:
    output = item.get("output")
    return [output] if isinstance(output, dict) else output


def _texts(item: Json) -> list[str]:
    if kind_of(item) == "message":
        return [parts.text_of(item.get("content"))]
    said = [parts.text_of(value) for value in (item.get("content"), item.get("summary"), _output(item))]
    said += [text(item.get(field)) for field in _SPOKEN]
    return said + [encode(item[field]).decode() for field in _DONE if item.get(field)]
