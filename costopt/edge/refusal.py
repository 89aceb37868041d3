"""Our errors as the SDKs let them through: also an instance of the SDK's own base error.

The OpenAI and Anthropic clients retry and wrap any exception of a transport but their own kind, so a plain
`BudgetExceeded` would be tried three times and come out as a connection error.
"""

from __future__ import annotations

import sys
from typing import Any

from costopt.errors import CostoptError
from costopt.types import Api


def as_sdk_error(refusal: CostoptError, api: Api) -> CostoptError:
    """`refusal` as an instance of its own class and of the loaded SDK's base error."""
    base = getattr(_sdk(api), "AnthropicError" if api == "messages" else "OpenAIError", None)
    if base is None:
        return refusal
    error = _mixed(type(refusal), base)(*refusal.args)
    error.__dict__.update(refusal.__dict__)
    return error


def as_last_word(cause: BaseException, api: Api, sent: Any) -> BaseException:
    """A failure to reach the provider as the SDK itself would tell it in the end, so that it does not try again what
    the policy has tried; an HTTP client that no SDK stands on gets `cause`, its own."""
    sdk = _sdk(api)
    if sdk is None or "x-stainless-lang" not in sent.headers:  # both SDKs send it with every request
        return cause
    timed_out = any(kind.__name__ == "TimeoutException" for kind in type(cause).__mro__)
    error: BaseException = (sdk.APITimeoutError if timed_out else sdk.APIConnectionError)(request=sent)
    error.__cause__ = cause
    return error


def _sdk(api: Api) -> Any:
    return sys.modules.get("anthropic" if api == "messages" else "openai")


def _mixed(ours: type[CostoptError], theirs: type[Exception]) -> type[CostoptError]:
    return type(ours.__name__, (ours, theirs), {"__module__": ours.__module__})
