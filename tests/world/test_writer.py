"""The writer: nothing is lost, nothing twice, nobody waits, no fault of a disk reaches a caller."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import weakref
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from threads import together

from costopt.errors import Closed, LedgerError
from costopt.world.writer import Partial, Writer


class Sink:
    """Remembers what it was given; fails while `error` is set; holds the thread while `gate` is closed."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.gate.set()

    def __call__(self, items: list[Any]) -> None:
        self.entered.set()
        self.gate.wait()
        if self.error:
            raise self.error
        self.batches.append(items)

    @property
    def items(self) -> list[Any]:
        return [item for batch in self.batches for item in batch]


@pytest.fixture
def writer():
    made = Writer()
    yield made
    made.close()


def threads() -> int:
    return sum(t.name == "costopt-writer" for t in threading.enumerate())


def test_each_sink_gets_its_items_in_order_and_at_once(writer: Writer) -> None:
    """A call's fact and its answer come in turn; still each store has one transaction."""
    one, two, gate = Sink(), Sink(), Sink()
    gate.gate.clear()
    writer.put(gate, 0)
    gate.entered.wait()
    for n in range(10):
        writer.put(one, n)
        writer.put(two, -n)
    gate.gate.set()
    writer.flush()
    assert (one.batches, two.batches) == ([list(range(10))], [[-n for n in range(10)]])


def test_where_items_wait_too_long_a_caller_stands_aside_until_they_are_written() -> None:
    writer, sink = Writer(late_s=0.0, aside_s=60.0), Sink()
    for n in range(3):
        writer.put(sink, n)
        assert sink.items == list(range(n + 1))
    writer.close()


def test_nobody_stands_aside_for_a_disk_that_hangs() -> None:
    writer, sink = Writer(late_s=0.0, aside_s=0.0), Sink()
    sink.gate.clear()
    for n in range(3):
        writer.put(sink, n)
    assert sink.items == []
    sink.gate.set()
    writer.close()
    assert sink.items == [0, 1, 2]


def test_no_thread_before_the_first_put_and_none_after_close() -> None:
    before = threads()
    writer, sink = Writer(), Sink()
    assert threads() == before
    writer.put(sink, 1)
    assert threads() == before + 1
    writer.close()
    assert (threads(), sink.items) == (before, [1])
    writer.close()


def test_put_after_close_is_refused(writer: Writer) -> None:
    writer.close()
    with pytest.raises(Closed):
        writer.put(Sink(), 1)


def test_flush_waits_for_everything_from_every_thread(writer: Writer) -> None:
    sink = Sink()

    def many(start: int) -> None:
        for i in range(start, start + 1000):
            writer.put(sink, i)

    together(*(partial(many, n * 1000) for n in range(8)))
    writer.flush()
    assert sorted(sink.items) == list(range(8000))


def test_many_items_share_a_batch(writer: Writer) -> None:
    sink = Sink()
    for i in range(500):
        writer.put(sink, i)
    writer.flush()
    assert len(sink.batches) < 50


def test_a_full_backlog_makes_put_wait_and_loses_nothing() -> None:
    writer, sink = Writer(backlog=10, batch=5), Sink()
    sink.gate.clear()
    done = threading.Event()

    def produce() -> None:
        for i in range(100):
            writer.put(sink, i)
        done.set()

    producer = threading.Thread(target=produce)
    producer.start()
    sink.entered.wait()
    assert not done.is_set()
    sink.gate.set()
    producer.join()
    writer.close()
    assert sink.items == list(range(100))


def test_close_frees_a_put_that_waits_for_room() -> None:
    writer, sink = Writer(backlog=1, batch=1), Sink()
    sink.gate.clear()
    refused: list[Exception] = []

    def produce() -> None:
        try:
            for i in range(10):
                writer.put(sink, i)
        except Closed as error:
            refused.append(error)

    producer = threading.Thread(target=produce)
    producer.start()
    sink.entered.wait()
    closer = threading.Thread(target=writer.close)
    closer.start()
    producer.join()
    sink.gate.set()
    closer.join()
    assert len(refused) == 1
    assert sink.items == list(range(len(sink.items)))


def test_a_failing_sink_warns_once_counts_and_is_tried_again(
    writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = Sink(), Sink()
    bad.error = OSError(28, "No space left on device")
    with caplog.at_level(logging.WARNING, "costopt"):
        for i in range(3):
            writer.put(bad, i)
            writer.put(good, i)
            writer.flush()
        bad.error = None
        writer.put(bad, "later")
        writer.flush()
    assert (bad.items, good.items) == (["later"], [0, 1, 2])
    assert sum(writer.lost.values()) == 3
    assert len([r for r in caplog.records if "No space left" in r.getMessage()]) == 1


def test_a_warning_never_quotes_what_was_written(writer: Writer, caplog: pytest.LogCaptureFixture) -> None:
    sink = Sink()
    sink.error = ValueError("the user's secret prompt")
    writer.put(sink, "the user's secret prompt")
    writer.flush()
    assert "secret" not in caplog.text
    assert "ValueError" in caplog.text


def test_our_own_errors_say_what_to_do(writer: Writer, caplog: pytest.LogCaptureFixture) -> None:
    sink = Sink()
    sink.error = LedgerError("ledger.sqlite3: written by a newer costopt")
    writer.put(sink, 1)
    writer.flush()
    assert "written by a newer costopt" in caplog.text


def test_a_partly_written_batch_counts_only_what_is_lost(writer: Writer) -> None:
    sink = Sink()
    sink.error = Partial(1, ValueError("x"))
    for i in range(5):
        writer.put(sink, i)
    writer.flush()
    assert 1 <= sum(writer.lost.values()) <= 5
    assert sum(writer.lost.values()) < 5 or len(sink.batches) == 0


def test_a_sink_may_flush_and_put_without_deadlock(writer: Writer) -> None:
    last = Sink()

    def sink(items: list[int]) -> None:
        writer.flush()
        for item in items:
            writer.put(last, item)

    writer.put(sink, 1)
    writer.flush()
    writer.flush()
    assert last.items == [1]


def test_an_idle_thread_goes_and_comes_back() -> None:
    writer, sink = Writer(idle_s=0.001), Sink()
    writer.put(sink, 1)
    writer.flush()
    for thread in threading.enumerate():
        if thread.name == "costopt-writer" and thread is writer._thread:
            thread.join(5)
    writer.put(sink, 2)
    writer.flush()
    writer.close()
    assert sink.items == [1, 2]


def test_a_forgotten_idle_writer_is_collected() -> None:
    writer, sink = Writer(idle_s=0.001), Sink()
    writer.put(sink, 1)
    thread = writer._thread
    writer.flush()
    assert thread is not None
    thread.join(5)
    alive = weakref.ref(writer)
    del writer
    gc.collect()
    assert alive() is None


def test_a_thread_that_waits_for_work_keeps_no_sink_alive(writer: Writer) -> None:
    """A sink is a store with files open: an Optimizer per request had 8 of them open for a minute each."""
    sink, gone = Sink(), threading.Event()
    weakref.finalize(sink, gone.set)
    writer.put(sink, 1)
    writer.flush()
    del sink
    assert gone.wait(10)
    assert threads() == 1


def test_a_retired_writer_ends_its_thread_once_all_is_written() -> None:
    writer, sink = Writer(window_s=60.0), Sink()
    for n in range(3):
        writer.put(sink, n)
    thread = writer._thread
    assert thread is not None
    writer.retire()
    thread.join(20)
    assert not thread.is_alive()
    assert sink.items == [0, 1, 2]
    writer.put(sink, 3)  # a stream that is collected together with what owned the writer
    writer.flush()
    assert sink.items == [0, 1, 2, 3]


def test_a_writer_that_gets_no_thread_writes_when_it_is_retired(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_more)
    writer, sink = Writer(), Sink()
    writer.put(sink, 1)
    assert sink.items == []
    writer.retire()
    assert sink.items == [1]


EXIT = """
import sys
from costopt.world.writer import Writer
def sink(items):
    with open(sys.argv[1], "a") as file:
        file.writelines(f"{item}\\n" for item in items)
writer = Writer(window_s=30)
for i in range(1000):
    writer.put(sink, i)
"""


def test_what_waits_is_written_at_interpreter_exit(tmp_path: Any) -> None:
    out = tmp_path / "out"
    subprocess.run([sys.executable, "-c", EXIT, str(out)], check=True, timeout=60)
    assert out.read_text().split() == [str(i) for i in range(1000)]


LATE = """
import atexit, sys
from costopt.world.writer import Writer
def sink(items):
    with open(sys.argv[1], "a") as file:
        file.writelines(f"{item}\\n" for item in items)
writer = Writer(window_s=30)
atexit.register(lambda: writer.put(sink, "late"))
writer.put(sink, "early")
"""


def test_what_comes_after_our_exit_handler_is_written_too(tmp_path: Any) -> None:
    out = tmp_path / "out"
    subprocess.run([sys.executable, "-c", LATE, str(out)], check=True, timeout=60)
    assert out.read_text().split() == ["early", "late"]


def one_item(path: str) -> None:
    def sink(items: list[str]) -> None:
        with Path(path).open("a") as file:
            file.writelines(f"{item}\n" for item in items)

    Writer(window_s=30).put(sink, "from a worker")


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_worker_of_multiprocessing_writes_before_it_ends(tmp_path: Any, method: str) -> None:
    process = multiprocessing.get_context(method).Process(target=one_item, args=(str(tmp_path / "out"),))
    process.start()
    process.join(60)
    assert (process.exitcode, (tmp_path / "out").read_text()) == (0, "from a worker\n")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_writes_nothing_twice_and_works_on(tmp_path: Any) -> None:
    out = tmp_path / "out"

    def sink(items: list[str]) -> None:
        with out.open("a") as file:
            file.writelines(f"{item}\n" for item in items)

    writer = Writer(window_s=30)
    writer.put(sink, "parent")
    child = os.fork()
    if child == 0:
        writer.put(sink, "child")
        writer.close()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    writer.close()
    assert sorted(out.read_text().split()) == ["child", "parent"]
