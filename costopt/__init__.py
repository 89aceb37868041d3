"""costopt: middleware around model calls that lowers the bill and can prove it.

    client = costopt.wrap(OpenAI())

Importing this loads no provider SDK and opens nothing; each name below is loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from costopt.errors import (
        BudgetExceeded,
        BudgetUnavailable,
        Closed,
        CostoptError,
        InvalidControl,
        LedgerError,
        LimitExceeded,
        NoModel,
        PolicyError,
        PromptTooLong,
        Refused,
        StoreFailed,
        UnknownPrice,
        UnsupportedClient,
    )
    from costopt.optimizer import Optimizer, wrap
    from costopt.policy import Policy
    from costopt.replaying import replay
    from costopt.tagging import tags

__version__ = "0.1.0"

_HOMES = {
    "Optimizer": "costopt.optimizer",
    "Policy": "costopt.policy",
    "replay": "costopt.replaying",
    "tags": "costopt.tagging",
    "wrap": "costopt.optimizer",
} | dict.fromkeys(
    (
        "BudgetExceeded",
        "BudgetUnavailable",
        "Closed",
        "CostoptError",
        "InvalidControl",
        "LedgerError",
        "LimitExceeded",
        "NoModel",
        "PolicyError",
        "PromptTooLong",
        "Refused",
        "StoreFailed",
        "UnknownPrice",
        "UnsupportedClient",
    ),
    "costopt.errors",
)

__all__ = [
    "BudgetExceeded",
    "BudgetUnavailable",
    "Closed",
    "CostoptError",
    "InvalidControl",
    "LedgerError",
    "LimitExceeded",
    "NoModel",
    "Optimizer",
    "Policy",
    "PolicyError",
    "PromptTooLong",
    "Refused",
    "StoreFailed",
    "UnknownPrice",
    "UnsupportedClient",
    "replay",
    "tags",
    "wrap",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'costopt' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
