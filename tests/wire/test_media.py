"""Weights of what is not text."""

from __future__ import annotations

import base64
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costopt.wire import media


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + b"\x08\x02\x00\x00\x00"


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height)


def jpeg(width: int, height: int) -> bytes:
    app = b"\xff\xe0" + struct.pack(">H", 16) + b"\0" * 14
    return b"\xff\xd8" + app + b"\xff\xc0" + struct.pack(">HBHH", 17, 8, height, width) + b"\0" * 12


def webp(width: int, height: int) -> bytes:
    extended = b"\0" * 4 + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\0\0\0\0WEBPVP8X" + struct.pack("<I", 10) + extended


@pytest.mark.parametrize("kind", [png, gif, jpeg, webp])
def test_sizes_are_read_from_headers(kind: type[bytes]) -> None:
    def weight(width: int, height: int) -> int:
        return media.openai_image("data:image/x;base64," + base64.b64encode(kind(width, height)).decode())

    assert (weight(512, 512), weight(1024, 1024), weight(2048, 4096)) == (255, 765, 1105)


def test_anthropics_images_weigh_by_their_size_up_to_a_bound() -> None:
    def weight(width: int, height: int) -> int:
        return media.anthropic_image(base64.b64encode(png(width, height)).decode())

    assert (weight(200, 200), weight(1000, 1000), weight(8000, 8000)) == (54, 1334, 1600)


@given(st.text(max_size=300))
def test_nothing_raises(data: str) -> None:
    assert media.openai_image(data) > 0 and media.openai_image("data:;base64," + data) > 0
    assert media.anthropic_image(data) > 0 and media.document(data) > 0 and media.audio(data) >= 0


@given(st.binary(max_size=60))
def test_no_header_raises(data: bytes) -> None:
    for start in (b"\x89PNG", b"GIF8", b"RIFF\0\0\0\0WEBP", b"\xff\xd8\xff"):
        assert media.anthropic_image(base64.b64encode(start + data).decode()) > 0


def pdf(*bodies: bytes) -> str:
    return base64.b64encode(b"%PDF-1.7\n" + b"\n".join(bodies)).decode()


def packed(text: bytes) -> bytes:
    return b"9 0 obj<</Type/ObjStm/Filter/FlateDecode>>stream\r\n" + zlib.compress(text) + b"\nendstream"


@pytest.mark.parametrize(
    ("data", "pages"),
    [
        (pdf(b"<</Type/Pages/Count 2>>", b"<</Type /Page>>", b"<</Type/Page/Parent 2 0 R>>"), 2),
        (pdf(b"<</Type/Page>>", packed(b"<</Type/Pages/Count 7>><</Type/Page>>" + b"<</Type/Page>>" * 6)), 8),
        (pdf(b"<</Type/Pages/Count 40/Kids[3 0 R]>>"), 40),
        (pdf(b"<</Type/Pages/Count 90000>>"), 1000),
        (pdf(b"9 0 obj<</Type/ObjStm>>stream\n" + b"?" * 2900), 3),
        ("data:application/pdf;base64," + pdf(b"<</Type/Page>>"), 1),
        (base64.b64encode(b"x" * 2500).decode(), 3),
        ("", 1000),
        ("https://papers.example/1.pdf", 1000),
        ("\u00fc", 1000),
    ],
)
def test_the_most_pages_of_a_document(data: str, pages: int) -> None:
    assert media.most_pages(data) == pages
