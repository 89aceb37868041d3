"""Shortens what a tool said to a number of tokens: without loss first, then its head and its tail."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

Count = Callable[[str], int]

#: Blocks of up to this many lines are recognized when they repeat at once.
_LONGEST_PERIOD = 8
_JSON_PART = re.compile(r'"(?:[^"\\]|\\.)*"|\s+')
#: Of what stays, this share is the beginning.
_HEAD = 2 / 3


def shorten(text: str, tokens: int, count: Count) -> str:
    """`text` in at most `tokens` tokens, and unchanged if it has no more.

    JSON loses its white space, lines repeated at once are told once, and if that is not enough the middle
    goes, with a mark that says how many tokens it had. Never longer than `text`; shortening again changes
    nothing.
    """
    if count(text) <= tokens:
        return text
    compact = _without_repeats(_minified(text))
    total = count(compact)
    return compact if total <= tokens else _head_and_tail(compact, total, tokens, count)


def _minified(text: str) -> str:
    """JSON without white space between its parts, every other byte as it was; other text unchanged."""
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        msgspec.json.decode(text.encode(), type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return text
    return _JSON_PART.sub(lambda part: part[0] if part[0][0] == '"' else "", text)


def _without_repeats(text: str) -> str:
    lines = text.split("\n")
    out: list[str] = []
    at = 0
    while at < len(lines):
        period, times = _repeats(lines, at)
        block = lines[at : at + period]
        mark = (
            f"[{times - 1} more times]" if period == 1 else f"[these {period} lines {times - 1} more times]"
        )
        out += block
        if times > 1:
            told, spared = len(mark), (times - 1) * sum(len(line) + 1 for line in block)
            out += [mark] if told < spared else block * (times - 1)
        at += period * times
    return "\n".join(out)


def _repeats(lines: list[str], at: int) -> tuple[int, int]:
    """The shortest block at `at` that follows itself, and how often it stands there."""
    for period in range(1, _LONGEST_PERIOD + 1):
        block, times = lines[at : at + period], 1
        while lines[at + period * times : at + period * (times + 1)] == block:
            times += 1
        if times > 1 and len(block) == period:
            return period, times
    return 1, 1


def _head_and_tail(text: str, total: int, tokens: int, count: Count) -> str:
    """The longest head and tail that fit, found by halving; just a head where not even the mark fits."""

    def cut(chars: int) -> str:
        head, tail = _ends(text, chars)
        left_out = max(total - count(head) - count(tail), 1)
        return f"{head}\n[... {left_out} tokens left out ...]\n{tail}"

    def fits(part: str) -> bool:
        return len(part) <= len(text) and count(part) <= tokens

    chars = _largest(len(text), lambda chars: fits(cut(chars)))
    if chars is not None:
        return cut(chars)
    return text[: _largest(len(text), lambda chars: count(text[:chars]) <= tokens) or 0]


def _ends(text: str, chars: int) -> tuple[str, str]:
    head = int(chars * _HEAD)
    tail = chars - head
    return text[:head], text[len(text) - tail :] if tail else ""


def _largest(limit: int, fits: Callable[[int], bool]) -> int | None:
    """The largest number up to `limit` that fits, as if fitting ended at one place; None if not even 0
    fits."""
    if not fits(0):
        return None
    low, step = 0, 256
    while low + step < limit and fits(low + step):
        low, step = low + step, step * 2
    high = min(low + step, limit)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
