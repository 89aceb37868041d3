"""The cache in memory: bounded by its bytes, the least recently used goes first."""

from __future__ import annotations

import tracemalloc
from functools import partial

from hypothesis import given
from hypothesis import strategies as st
from threads import together

from costopt.types import Entry, Receipt, Reply, Saving, Usage
from costopt.world.memory import OVERHEAD, MemoryCache
from costopt.world.stored import pack

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def entry(size: int = 10, expires: int = 100) -> Entry:
    return Entry(Reply(body=b"x" * size, tier="memory"), 0, expires)


def in_memory(wanted: Entry) -> Reply:
    return Reply(body=wanted.reply.body, tier="memory")


@given(st.binary(max_size=50), st.dictionaries(st.text(), JSON, max_size=4))
def test_what_goes_in_comes_out(body, raw_usage):
    usage = Usage(input=3, output=4, service_tier="flex")
    receipt = Receipt("m", usage, None, "r1", (Saving("cache", -5, "derived", "list price"),))
    reply = Reply(
        200, (("a", "b"), ("a", "c")), body, b"data: 1\n\n", "m", usage, raw_usage, "stop", "", receipt
    )
    cache = MemoryCache(1_000_000)
    assert cache.put("k", pack(Entry(reply, 1, 9)))
    assert cache.get("k", 5) == Entry(reply, 1, 9)


def test_a_changed_reply_does_not_poison_the_cache():
    cache = MemoryCache(100_000)
    cache.put("k", pack(Entry(Reply(body=b"{}", raw_usage={"n": [1]}), 0, 9)))
    first = cache.get("k", 0)
    assert first is not None and first.reply.raw_usage is not None
    first.reply.raw_usage["n"].append(2)
    second = cache.get("k", 0)
    assert second is not None and second.reply.raw_usage == {"n": [1]}


def test_expiry_is_absolute():
    cache = MemoryCache(100_000)
    cache.put("k", pack(entry(expires=100)))
    assert cache.get("k", 99) is not None
    assert cache.get("k", 100) is None
    assert len(cache) == cache.size == 0


def test_the_least_recently_used_goes_first():
    cache = MemoryCache(40 * (OVERHEAD + 300))
    put = 0
    while len(cache) == put:
        cache.get("0", 0)
        cache.put(str(put), pack(entry()))
        put += 1
    assert cache.get("0", 0) is not None
    assert cache.get("1", 0) is None
    assert cache.get("2", 0) is not None


def test_what_cannot_be_kept_also_drops_what_was_there():
    cache = MemoryCache(10_000)
    cache.put("k", pack(entry()))
    assert not cache.put("k", pack(entry(10_000 // 8)))
    assert cache.get("k", 0) is None
    cache.put("k", pack(entry()))
    assert not cache.put("k", pack(Entry(Reply(raw_usage={"huge": 2**70}), 0, 9)))
    assert cache.get("k", 0) is None and cache.size == 0


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 600)), max_size=60))
def test_never_over_its_bytes_and_never_miscounted(puts):
    cache = MemoryCache(6000)
    for key, size in puts:
        cache.put(str(key), pack(entry(size)))
        assert cache.size <= 6000
        assert cache.size == sum(item.size for item in cache._items.values())


def test_the_bound_is_about_the_memory_really_used():
    cache = MemoryCache(2_000_000)
    tracemalloc.start()
    try:
        for n in range(5000):
            cache.put(f"{n:064d}", pack(entry(600)))
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.8 < used / cache.size < 1.25


def test_threads_do_not_disturb_each_other():
    cache = MemoryCache(20_000)
    failures: list[object] = []

    def work(name: int) -> None:
        for n in range(500):
            key = str((n * name) % 17)
            cache.put(key, pack(entry(n % 50 + 1)))
            found = cache.get(str(n % 17), 0)
            if found is not None and found.reply != in_memory(found):
                failures.append(found)

    together(*(partial(work, n) for n in range(1, 9)))
    assert not failures
    assert cache.size == sum(item.size for item in cache._items.values()) <= 20_000
