"""The event parser: no byte lost, and the same events however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costopt.wire import sse
from costopt.wire.base import Event

STREAMS = [
    b'data: {"a":1}\n\ndata: [DONE]\n\n',
    b'event: ping\r\ndata: {"a":1}\r\n\r\nevent: stop\r\ndata: 2\r\n\r\n',
    b"event: a\rdata: 1\r\rdata: 2\r\r",
    b"\xef\xbb\xbfdata: bom\n\n: a comment\n\nid: 7\nretry: 10\ndata:x\ndata: y\n\n",
    b"\n\n\ndata: late\n\n\n\ndata: tail without end",
    b"data: mixed\r\n\ndata: ends\n\r\ndata: \xf0\x9f\xa5\x96\r\r\n\n\r",
    b"data\n\ndata:\n\nevent: only\n\n",
    b"",
]


def fed(chunks: list[bytes]) -> tuple[list[Event], bytes]:
    parser = sse.Parser()
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return events, parser.rest


@pytest.mark.parametrize("stream", STREAMS)
def test_every_split_in_two_gives_the_same_events(stream: bytes) -> None:
    whole, rest = fed([stream])
    assert b"".join(event.raw for event in whole) + rest == stream
    for at in range(len(stream) + 1):
        assert fed([stream[:at], stream[at:]]) == (whole, rest)


@pytest.mark.parametrize("stream", STREAMS)
def test_byte_by_byte_gives_the_same_events(stream: bytes) -> None:
    assert fed([bytes([byte]) for byte in stream]) == fed([stream])


@given(
    st.lists(
        st.sampled_from([b"\n", b"\r", b"\r\n", b"data: x", b"event: e", b": c", b"d", b"\xef\xbb\xbf"])
    ),
    st.lists(st.integers(0, 60)),
)
def test_any_bytes_any_cuts(pieces: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(pieces)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[a:b] for a, b in pairwise(edges)]
    events, rest = fed(chunks)
    assert (events, rest) == fed([stream])
    assert b"".join(event.raw for event in events) + rest == stream


@given(st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"data: x", b"event: e", b"data:y", b":"])))
def test_line_ends_are_told_apart_as_the_standard_says(pieces: list[bytes]) -> None:
    """A slow parser straight from the standard finds the same data."""
    stream = b"".join(pieces) + b"\n\n"
    found = [event.data for event in sse.parse(stream) if event.data]
    expected: list[bytes] = []
    data: list[bytes] = []
    for line in [*stream.splitlines(), b""]:
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line:
            expected.append(b"\n".join(data))
            data = []
    assert found == [item for item in expected if item]


def test_fields_of_an_event_are_read_and_comments_have_none() -> None:
    event, comment, spaced = sse.parse(
        b"event: delta\nid: 3\ndata: a\ndata: b\nother: c\n\n: hi\n\ndata:  two\n\n"
    )
    assert (event.event, event.data) == ("delta", b"a\nb")
    assert (comment.event, comment.data) == ("", b"")
    assert spaced.data == b" two"


def test_carriage_return_at_the_end_waits_for_its_line_feed() -> None:
    parser = sse.Parser()
    assert parser.feed(b"data: x\r\n\r") == []
    assert [event.raw for event in parser.feed(b"\n")] == [b"data: x\r\n\r\n"]


def test_flush_hands_out_the_tail() -> None:
    parser = sse.Parser()
    assert parser.feed(b"data: x\n") == []
    assert parser.rest == b"data: x\n"
    assert parser.flush() == [Event(b"data: x\n", "", b"x")]
    assert parser.rest == b"" and parser.flush() == []


@given(st.binary(max_size=200), st.sampled_from(["", "message_stop"]))
def test_formatted_data_is_read_back(data: bytes, name: str) -> None:
    expected = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    (event,) = sse.parse(sse.event(data, name))
    assert (event.data, event.event) == (expected, name)


def test_json_is_formatted_compactly() -> None:
    assert sse.event({"a": [1, "ü"]}, "x") == 'event: x\ndata: {"a":[1,"ü"]}\n\n'.encode()


@given(st.integers(1, 6), st.integers(0, 8), st.sampled_from([b"\n\n", b"\r\n\r\n"]))
def test_last_events_from_the_end(many: int, length: int, blank: bytes) -> None:
    stream = b"".join(b"data: %d%b" % (number, blank) for number in range(length))
    assert sse.last(stream, many) == sse.parse(stream)[max(0, length - many) :]


def test_a_large_stream_is_not_scanned_again_for_every_event() -> None:
    """One chunk and many must cost about the same: count events, not time."""
    stream = b'data: {"x":"y"}\n\n' * 20_000
    assert len(sse.parse(stream)) == 20_000
    assert len(fed([stream[at : at + 7] for at in range(0, len(stream), 7)])[0]) == 20_000
