"""Parameters and tool definitions as tracing tools write them, in the shape of OpenAI's Chat Completions."""

from __future__ import annotations

from typing import Any

from costopt.importing.chatform import parsed
from costopt.types import Json
from costopt.wire.loose import items, record

#: Parameters of a request that say nothing of who sent it.
_SETTINGS = frozenset(
    {
        *(
            "temperature",
            "top_p",
            "top_k",
            "max_tokens",
            "max_completion_tokens",
            "max_output_tokens",
            "n",
            "seed",
        ),
        *(
            "stop",
            "frequency_penalty",
            "presence_penalty",
            "reasoning_effort",
            "reasoning",
            "thinking",
            "verbosity",
        ),
        *("tools", "tool_choice", "parallel_tool_calls", "response_format", "functions", "function_call"),
        *(
            "logprobs",
            "top_logprobs",
            "logit_bias",
            "service_tier",
            "modalities",
            "prompt_cache_key",
            "prediction",
        ),
    }
)
_NOTHING = frozenset(
    {"", "none", "null", "undefined", "nan", "inf", "infinity", "-1", "notgiven", "not_given"}
)


def settings(raw: Any) -> Json:
    """The parameters in `raw` that shape an answer; some tools write numbers as text, and all there is as "None"."""
    named = record(parsed(raw)).items()
    return {key: _plain_value(value) for key, value in named if key in _SETTINGS and _is_set(value)}


def _is_set(value: Any) -> bool:
    return value is not None and str(value).strip().lower() not in _NOTHING


def _plain_value(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        number = float(value)
    except ValueError:
        return parsed(value)
    return int(number) if number.is_integer() else number


def tools(raw: Any) -> list[Any]:
    """Tool definitions; those in other shapes are put into OpenAI's, which also needs no more than name and schema."""
    found = parsed(raw)
    if isinstance(found, dict) and "type" not in found:
        return [_tool({"name": name, **record(parsed(each))}) for name, each in record(found).items()]
    listed: list[Any] = items(found) if isinstance(found, list) else [found]
    return [_tool(tool) for tool in map(parsed, listed) if record(tool)]


def _tool(raw: Any) -> Any:
    tool = record(raw)
    schema = next((tool[key] for key in ("parameters", "input_schema", "inputSchema") if key in tool), None)
    if (
        record(tool.get("function"))
        or not tool.get("name")
        or tool.get("type") not in (None, "function", "custom")
    ):
        return raw
    function = {"name": tool["name"], "description": tool.get("description"), "parameters": parsed(schema)}
    return {
        "type": "function",
        "function": {key: value for key, value in function.items() if value is not None},
    }
