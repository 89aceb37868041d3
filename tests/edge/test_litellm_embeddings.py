"""Embeddings through a wrapped litellm."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edge.litellm_material import Desk, desk, litellm, said, told

from costopt.policy import Batch, Policy


def test_a_repeated_embedding_is_the_same_and_free(shop: Desk) -> None:
    first, again = (shop.embedding(**shop.embed("a", "b")) for _ in range(2))
    assert type(first) is type(again) is litellm.EmbeddingResponse
    assert said(first) == said(again) and len(again.data) == 2
    assert shop.calls == 1 and float(told(again)["cost"]) == 0


async def test_a_repeated_async_embedding_is_the_same_whatever_way_it_is_asked_for(shop: Desk) -> None:
    first = await shop.aembedding("openai/text-embedding-3-small", ["a", "b"], **shop.there())
    again = await shop.aembedding(**shop.embed("a", "b"))
    assert said(first) == said(again)
    assert shop.calls == 1


def test_embeddings_of_several_callers_go_out_as_one_call(tmp_path: Path) -> None:
    policy = Policy(name="test", batch=Batch(max_size=4, max_wait=60.0))
    with desk(tmp_path, policy) as shop, ThreadPoolExecutor(4) as pool:
        texts = ["a", "b", "c", "d"]
        merged = [answer.data for answer in pool.map(lambda text: shop.embedding(**shop.embed(text)), texts)]
        assert shop.calls == 1
        alone = [litellm.embedding(**shop.embed(text)).data for text in texts]
        assert [data[0]["embedding"] for data in merged] == [data[0]["embedding"] for data in alone]
        assert all(len(data) == 1 and data[0]["index"] == 0 for data in merged)


async def test_what_litellms_own_cache_answers_is_not_billed(shop: Desk) -> None:
    fresh = {"caching": True, "extra_headers": {"x-costopt-cache": "off"}}
    litellm.enable_cache(type="local")
    try:
        for _ in range(2):
            await shop.aembedding(**shop.embed("a", "b"), **fresh)
    finally:
        litellm.disable_cache()
    assert shop.calls == 1
    first, second = (fact.cost for fact in shop.facts())
    assert first and second == 0
