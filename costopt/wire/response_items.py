"""The items of the Responses API as turns. A reasoning item and what the model did right after it are one
turn: the API refuses either without the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from costopt.types import Json, Turn
from costopt.wire import parts
from costopt.wire.loose import encode, items, record, text

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
_HOSTED = frozenset(
    {
        "reasoning",
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "image_generation_call",
        "mcp_call",
        "mcp_list_tools",
    }
)
"""What the model did on the provider's side; nothing to answer."""
_SPOKEN = ("arguments", "input", "code", "query", "name", "result")


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


def _turn(group: list[Any], first: Any, called: set[str] | None) -> Turn:
    raw = group if len(group) > 1 or isinstance(group[0], list) else group[0]
    shown = [record(item) for item in group]
    said = "\n".join(piece for item in shown for piece in _texts(item) if piece)
    if isinstance(raw, str):
        said = raw
    calls = tuple(name for item in shown for name in _calls(item))
    answers = tuple(_answers(shown[0]))
    pinned = group[0] is first or _is_pinned(shown[0]) or not _is_here(answers, called)
    weight = sum(parts.tokens(item.get("content")) + parts.tokens(_output(item)) for item in shown)
    return Turn(_role(shown[0]), said, raw, calls, answers, pinned, weight)


def _is_here(answers: tuple[str, ...], called: set[str] | None) -> bool:
    return called is None or called.issuperset(answers)


def kind_of(item: Json) -> str:
    """The type of an item; one without a type is a message."""
    kind = item.get("type")
    return text(kind) if kind else "message"


def _role(item: Json) -> Literal["system", "user", "assistant", "tool"]:
    kind = kind_of(item)
    if kind in CALLS or kind in _HOSTED or kind == "mcp_approval_request":
        return "assistant"
    if next(_answers(item), None) is not None:
        return "tool"
    role = item.get("role") if kind == "message" else None
    if role in ("system", "developer"):
        return "system"
    return "assistant" if role == "assistant" else "user"


def _is_pinned(item: Json) -> bool:
    """System text, and items that stand for something only the provider knows: references, compactions."""
    kind = kind_of(item)
    known = kind == "message" or kind in CALLS or kind in _HOSTED or kind.startswith("mcp_approval")
    return _role(item) == "system" or not (known or next(_answers(item), None) is not None)


def _calls(item: Json) -> Iterator[str]:
    if kind_of(item) in CALLS:
        yield text(item.get("call_id")) or text(item.get("id"))
    elif kind_of(item) == "mcp_approval_request":
        yield text(item.get("id"))


def _answers(item: Json) -> Iterator[str]:
    kind = kind_of(item)
    if kind == "mcp_approval_response":
        yield text(item.get("approval_request_id"))
    elif kind.removesuffix("_output") in CALLS and kind.endswith("_output"):
        yield text(item.get("call_id")) or text(item.get("id"))
    elif kind == "tool_search_output":
        yield text(item.get("call_id"))


def _output(item: Json) -> Any:
    output = item.get("output")
    return [output] if isinstance(output, dict) else output


def _texts(item: Json) -> Iterator[str]:
    yield parts.text_of(item.get("content"))
    yield parts.text_of(item.get("summary"))
    yield parts.text_of(_output(item))
    for field in _SPOKEN:
        value = item.get(field)
        yield value if isinstance(value, str) and field != "result" else ""
    for field in ("action", "operation"):
        if item.get(field):
            yield encode(item[field]).decode()
