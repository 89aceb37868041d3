"""Images that a model makes have a price of their own."""

from __future__ import annotations

from costopt.decide.prices import PriceBook
from costopt.wire import tally

BOOK = PriceBook(
    b'{"draws": {"litellm_provider": "gemini", "input_cost_per_token": 3e-07, "output_cost_per_token": 2.5e-06,'
    b' "output_cost_per_image_token": 3e-05}}'
)
RAW = {
    "prompt_tokens": 10,
    "completion_tokens": 1300,
    "completion_tokens_details": {"image_tokens": 1290, "text_tokens": 10},
}


def test_images_are_billed_as_images() -> None:
    usage = tally.openai(RAW)
    assert (usage.output, usage.image_output) == (1300, 1290)
    assert BOOK.cost("draws", usage) == 3_000 + 25_000 + 38_700_000
    assert BOOK.price_parts("draws", usage) == {"input": 3_000, "output": 25_000, "image_output": 38_700_000}


def test_no_more_images_than_output() -> None:
    details = {"image_tokens": 99, "reasoning_tokens": 4}
    usage = tally.openai({"completion_tokens": 9, "completion_tokens_details": details})
    assert (usage.reasoning, usage.image_output) == (4, 5)
