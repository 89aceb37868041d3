"""What images, audio and documents weigh in tokens. Estimates all: the provider's own count settles the bill.

OpenAI images: "Images and vision" guide, tiles of 512 px at 170 tokens + 85, low detail 85 (gpt-4o).
Anthropic images: "Vision" guide, width x height / 750 after fitting into 1568 px, about 1,600 at most.
OpenAI audio: 10 tokens a second of input ("Managing costs" of the realtime guide: 1 token per 100 ms).
Documents: Anthropic "PDF support" guide, 1,500 to 3,000 tokens a page.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from math import ceil

_UNKNOWN_SIZE = (1024, 1024)
_HEADER = 128 * 1024  # base64 characters; a photo keeps its size behind up to 64 KB of metadata
_WAV_RATE = 48_000  # bytes a second: 24 kHz mono PCM16, what the audio models take
_MP3_RATE = 16_000  # 128 kbit/s
_LEAST_WAV_RATE = 8_000  # 8 kHz mono of 8 bits, as telephones have it
_LEAST_MP3_RATE = 1_000  # 8 kbit/s, the lowest of MPEG-2 Layer III
_PAGE_BYTES = 50_000  # assumed; a page of text and one figure
_PAGE_TOKENS = 2_250
_LEAST_PAGE_BYTES = 1_000  # assumed; the text of a page, compressed
_MOST_PAGES = 1_000  # Gemini ("Document understanding" guide); Anthropic takes 600
_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_PAGE_COUNT = re.compile(rb"/Count\s+(\d{1,6})")
_PACKED = re.compile(rb"/ObjStm[^\0]{0,500}?stream\r?\n")
_MOST_UNPACKED = 1 << 20  # bytes; what PDF writers pack together is far less


def openai_image(url: str, detail: str = "auto") -> int:
    """Tokens of an image given as a URL or data URL; one of unknown size counts as 1024 x 1024."""
    if detail == "low":
        return 85
    width, height = _fit(_size(_payload(url)), 2048)
    scale = min(1.0, 768 / min(width, height))
    return 85 + 170 * ceil(width * scale / 512) * ceil(height * scale / 512)


def anthropic_image(data: str) -> int:
    """Tokens of a base64 image; one of unknown size (a URL, a file id) counts as 1024 x 1024."""
    width, height = _fit(_size(data), 1568)
    return min(1600, ceil(width * height / 750))


def audio(data: str, kind: str = "wav") -> int:
    """Tokens of base64 audio at 10 a second; its length is guessed from its bytes."""
    seconds = len(data) * 3 / 4 / (_WAV_RATE if kind in ("wav", "pcm16") else _MP3_RATE)
    return ceil(seconds * 10)


def most_audio(data: str, kind: str = "wav") -> int:
    """The most tokens it can have: its length at the fewest bytes a second that such audio comes in."""
    return ceil(len(data) * 3 / 4 / (_LEAST_WAV_RATE if kind in ("wav", "pcm16") else _LEAST_MP3_RATE) * 10)


def document(data: str) -> int:
    """Tokens of a base64 document at 2,250 a page; one page where only a URL or id is known."""
    pages = ceil(len(_payload(data)) * 3 / 4 / _PAGE_BYTES)
    return _PAGE_TOKENS * max(1, pages)


def most_pages(data: str) -> int:
    """The most pages of a document given as a data URL or as base64: those that a PDF lists, for another the most that
    its bytes can hold, and 1,000 of one that only a URL or an id is known of."""
    try:
        raw = base64.b64decode(data.rpartition(",")[2] if data.startswith("data:") else data)
    except (binascii.Error, ValueError):
        return _MOST_PAGES
    if not raw or "://" in data[:16]:
        return _MOST_PAGES
    return min(_MOST_PAGES, _pdf_pages(raw) or ceil(len(raw) / _LEAST_PAGE_BYTES))


def _pdf_pages(raw: bytes) -> int:
    """Pages that a PDF lists, openly or in compressed object streams; 0 where it cannot be read."""
    starts = [found.end() for found in _PACKED.finditer(raw)]
    if not raw.startswith(b"%PDF") or len(starts) != raw.count(b"/ObjStm"):
        return 0
    try:
        shown = [raw, *(_unpacked(raw, start) for start in starts)]
    except zlib.error:
        return 0
    listed = sum(len(_PAGE.findall(text)) for text in shown)
    return max(listed, *(int(count) for text in shown for count in _PAGE_COUNT.findall(text)), 0)


def _unpacked(raw: bytes, start: int) -> bytes:
    return zlib.decompressobj().decompress(memoryview(raw)[start:], _MOST_UNPACKED)


def _payload(url: str) -> str:
    """The base64 part of a data URL; empty for any other URL."""
    head, comma, data = url.partition(",") if url.startswith("data:") else ("", "", "")
    return data if comma and head.endswith(";base64") else ""


def _fit(size: tuple[int, int], side: int) -> tuple[float, float]:
    scale = min(1.0, side / max(size))
    return max(1.0, size[0] * scale), max(1.0, size[1] * scale)


def pixels(url: str) -> tuple[int, int]:
    """Width and height of an image given as a data URL; 0 x 0 where that does not say."""
    return _read_size(_payload(url))


def _size(data: str) -> tuple[int, int]:
    width, height = _read_size(data)
    return (width, height) if width and height else _UNKNOWN_SIZE


def _read_size(data: str) -> tuple[int, int]:
    """Width and height in pixels, read from the header of a base64 PNG, GIF, WebP or JPEG."""
    try:
        return _header_size(base64.b64decode(data[:_HEADER]))
    except (binascii.Error, ValueError):
        return (0, 0)


def _header_size(head: bytes) -> tuple[int, int]:
    if head.startswith(b"\x89PNG"):
        return _big(head[16:20]), _big(head[20:24])
    if head.startswith(b"GIF8"):
        return _little(head[6:8]), _little(head[8:10])
    if head[8:12] == b"WEBP":
        return _webp_size(head)
    return _jpeg_size(head) if head.startswith(b"\xff\xd8") else (0, 0)


def _webp_size(head: bytes) -> tuple[int, int]:
    kind = head[12:16]
    if kind == b"VP8X":
        return _little(head[24:27]) + 1, _little(head[27:30]) + 1
    if kind == b"VP8L":
        bits = _little(head[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return _little(head[26:28]) & 0x3FFF, _little(head[28:30]) & 0x3FFF


def _jpeg_size(head: bytes) -> tuple[int, int]:
    """The first start-of-frame segment holds it; every other segment says how far to skip."""
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        if 0xC0 <= head[at + 1] <= 0xCF and head[at + 1] not in (0xC4, 0xC8, 0xCC):
            return _big(head[at + 7 : at + 9]), _big(head[at + 5 : at + 7])
        at += 2 + _big(head[at + 2 : at + 4])
    return 0, 0


def _big(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")
