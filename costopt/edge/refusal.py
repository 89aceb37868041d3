"""Our errors as the SDKs let them through: also an instance of the SDK's own base error.

The OpenAI and Anthropic clients retry and wrap any exception of a transport but their own kind, so a plain
`BudgetExceeded` would be tried three times and come out as a connection error.
"""

from __future__ import annotations

import sys

from costopt.errors import CostoptError
from costopt.types import Api


def as_sdk_error(refusal: CostoptError, api: Api) -> CostoptError:
    """`refusal` as an instance of its own class and of the loaded SDK's base error."""
    module, name = ("anthropic", "AnthropicError") if api == "messages" else ("openai", "OpenAIError")
    base = getattr(sys.modules.get(module), name, None)
    if base is None:
        return refusal
    error = _mixed(type(refusal), base)(*refusal.args)
    error.__dict__.update(refusal.__dict__)
    return error


def _mixed(ours: type[CostoptError], theirs: type[Exception]) -> type[CostoptError]:
    return type(ours.__name__, (ours, theirs), {"__module__": ours.__module__})
