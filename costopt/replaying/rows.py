"""What a replay found as flat rows: `pandas.DataFrame(frame(outcome.by["day"]))`. Needs no pandas itself. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from msgspec.structs import asdict

from costopt.replaying.change import Change
from costopt.replaying.result import CallResult, GroupResult, LeverResult, amounts
from costopt.replaying.summary import call_result
from costopt.types import Nano

#: Of `Outcome.levers`; of `Outcome.answers` or `Outcome.by[...]`; of `Outcome.top`; what `replay` tells `hear`.
Found: TypeAlias = LeverResult | GroupResult | CallResult | Change


def frame(found: Iterable[Found]) -> list[dict[str, Any]]:
    """One flat dict each, money in nano-USD, None where a price is unknown.

    Groups and calls have `saved` too, calls also a `saved_<lever>` for each lever that changed their bill.
    """
    return [_row(one) for one in found]


def _row(one: Found) -> dict[str, Any]:
    if isinstance(one, LeverResult):
        return asdict(one)
    if isinstance(one, GroupResult):
        return asdict(one) | amounts(one.before, one.after, one.priced)
    call = asdict(call_result(one) if isinstance(one, Change) else one)
    levers: dict[str, Nano] = call.pop("levers")
    return call | amounts(one.before, one.after) | {f"saved_{lever}": nano for lever, nano in levers.items()}
