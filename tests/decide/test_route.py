"""Choice of a model on a small price map of our own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from costopt.decide.prices import PriceBook
from costopt.decide.route import Asked, Choice, ladder
from costopt.errors import NoModel
from costopt.policy import Model, Policy, Route
from costopt.types import Api, Need


def _row(price: float, window: int, *able: str) -> dict[str, Any]:
    flags = {
        "vision": "supports_vision",
        "tools": "supports_function_calling",
        "reasoning": "supports_reasoning",
    }
    costs = {"input_cost_per_token": price, "output_cost_per_token": 4 * price}
    return {
        "litellm_provider": "openai",
        "max_input_tokens": window,
        **costs,
        **{flags[a]: True for a in able},
    }


BOOK = PriceBook(
    json.dumps(
        {
            "small": _row(1e-7, 8000, "tools"),
            "odd": _row(9e-6, 100_000, "tools"),
            "middle": _row(1e-6, 100_000, "tools", "vision"),
            "large": _row(5e-6, 1_000_000, "tools", "vision", "reasoning"),
            "legacy": _row(8e-6, 1_000_000, "tools"),
        }
    ).encode()
)
MODELS = (Model("openai/small", "cheap"), Model("openai/middle"), Model("openai/large", "best"))


def choose(
    *,
    needs: set[Need] | None = None,
    prompt: int = 100,
    asked: str = "auto",
    models: Any = MODELS,
    api: Api = "chat",
    **route: Any,
) -> Choice:
    tags = route.pop("tags", {})
    policy = Policy(models=models, route=Route(**route))
    call = Asked(asked, "openai", api, frozenset(needs or ()), prompt, tags)
    return ladder(policy, call, BOOK)


def test_the_cheapest_first_and_the_rest_to_escalate_to() -> None:
    assert choose().models == ("openai/small", "openai/middle", "openai/large")
    assert choose(strategy="cheapest", prompt=6000).models[0] == "openai/small"
    assert choose(strategy="strongest") == Choice(("openai/large",), "the strongest that can")


def test_models_that_cannot_are_left_out() -> None:
    assert choose(needs={"vision"}).models == ("openai/middle", "openai/large")
    assert choose(needs={"reasoning"}).models == ("openai/large",)
    assert choose(prompt=9000, strategy="cheapest").models == ("openai/middle", "openai/large")


def test_tools_alone_do_not_make_a_call_hard() -> None:
    assert choose(needs={"tools"}).models[0] == "openai/small"


def test_a_long_prompt_goes_one_up() -> None:
    choice = choose(prompt=5000)
    assert choice.models == ("openai/middle", "openai/large")
    assert choice.why == "5000 prompt tokens: 1 up"
    assert choose(prompt=5000, long_prompt=6000).models[0] == "openai/small"


def test_a_task_goes_to_its_model_or_tier() -> None:
    task = {"plan": "best", "sort": "openai/small", "gone": "nowhere"}
    assert choose(task=task, tags={"task": "plan"}).models == ("openai/large",)
    assert choose(task=task, tags={"task": "sort"}, prompt=7000).models[0] == "openai/small"
    assert choose(task=task, tags={"task": "sort"}, prompt=9000).models[0] == "openai/large"
    assert choose(task=task, tags={"task": "gone"}).models[0] == "openai/small"
    assert choose(task=task, tags={"task": "other"}).models[0] == "openai/small"


def test_a_dominated_model_is_dropped() -> None:
    models = (Model("openai/small"), Model("openai/odd"), Model("openai/middle"), Model("openai/large"))
    assert "openai/odd" not in choose(models=models).models
    assert choose(models=models, task={"x": "openai/odd"}, tags={"task": "x"}).models[0] == "openai/odd"


def test_a_model_unknown_to_the_map_counts_as_able() -> None:
    models = (Model("local/mine"), Model("openai/large"))
    assert choose(models=models, needs={"vision"}).models == ("local/mine", "openai/large")


def test_downgrades_go_to_cheaper_models_only() -> None:
    rules = {"downgrade": ("legacy", "small", "nobody")}
    assert choose(asked="legacy", **rules).models == (
        "openai/small",
        "openai/middle",
        "openai/large",
        "legacy",
    )
    assert choose(asked="small", **rules).models == ("small",)
    assert choose(asked="nobody", **rules).models == ("nobody",)
    assert choose(asked="legacy", strategy="strongest", **rules).models == ("legacy",)
    assert choose(asked="legacy", needs={"vision"}, prompt=500_000, **rules).models[-1] == "legacy"


def test_a_downgrade_is_never_refused() -> None:
    assert choose(asked="legacy", needs={"audio"}, downgrade=("legacy",)).models == ("legacy",)


def test_where_no_model_can_each_says_why() -> None:
    with pytest.raises(NoModel, match=r"openai/small has no audio, vision; .*large has no audio"):
        choose(needs={"vision", "audio"})
    with pytest.raises(NoModel, match="of 2000000 prompt tokens: openai/small takes 8000 tokens"):
        choose(prompt=2_000_000)
    with pytest.raises(NoModel, match="`models:`"):
        choose(models=())
