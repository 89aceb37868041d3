"""Counting: against tiktoken itself, on hostile texts, with and without its files."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costopt.decide.tokens import TokenCounter, calibrated
from costopt.types import Turn
from costopt.world import pricemap, tokenizers

COUNTER = tokenizers.counter()


def _ordinary(name: str, text: str) -> int:
    load = tokenizers.loader(_folder())
    encode = load(name)
    assert encode is not None
    return len(encode(text))


def _folder() -> Path:
    folder = pricemap.package_folder()
    assert folder is not None
    return folder / "litellm_core_utils" / "tokenizers"


def test_published_encodings_by_model() -> None:
    text = "Ein Käfer krabbelt über 12345 Blätter."
    o200k, cl100k = _ordinary("o200k_base", text), _ordinary("cl100k_base", text)
    assert o200k != cl100k
    for model in ("gpt-4o", "gpt-4o-mini-2024-07-18", "openai/o3", "gpt-5", "ft:gpt-4o-2024-08-06:me::x"):
        assert COUNTER.exact(model)
        assert COUNTER.count_text(text, model) == o200k
    for model in ("gpt-4", "gpt-4-turbo", "azure/gpt-35-turbo", "text-embedding-3-small"):
        assert COUNTER.exact(model)
        assert COUNTER.count_text(text, model) == cl100k


def test_other_models_are_estimates_and_can_be_calibrated() -> None:
    scaled = TokenCounter(tokenizers.loader(_folder()), {"anthropic": 1.25, "anthropic/exactly-this": 2.0})
    base = COUNTER.count_text("one two three four five six", "anthropic/claude-sonnet-4-5")
    assert not COUNTER.exact("anthropic/claude-sonnet-4-5")
    assert not COUNTER.exact("gpt-999")
    text = "one two three four five six"
    assert scaled.count_text(text, "anthropic/claude-sonnet-4-5") == -(-base * 5 // 4)
    assert scaled.count_text(text, "anthropic/exactly-this") == 2 * base
    assert scaled.count_text(text, "gpt-4o") == base


def test_calibration_is_bounded_and_needs_data() -> None:
    assert calibrated(120, 100) == 1.2
    assert calibrated(0, 100) == calibrated(100, 0) == 1.0
    assert calibrated(10**9, 1) == 4.0
    assert calibrated(1, 10**9) == 0.25


def test_special_tokens_in_text_are_just_text() -> None:
    assert COUNTER.count_text("<|endoftext|><|im_start|>", "gpt-4o") > 2
    assert COUNTER.count_text("<|endoftext|>", "gpt-4") > 1


@pytest.mark.parametrize("text", ["", "\ud800", "\x00", "👩‍👩‍👧‍👦", "a\u0301" * 10, "\u2028", "🏳️‍🌈 ok"])
def test_any_text_can_be_counted(text: str) -> None:
    assert COUNTER.count_text(text, "gpt-4o") >= (1 if text else 0)


WORDS = st.sampled_from(
    [
        "a",
        "Be",
        " ",
        "  ",
        "\n",
        "\t",
        "12",
        ".",
        "/",
        "'s",
        "é",
        "漢字",
        " \n",
        "\r\n",
        "-",
        "\xa0",
        "👩",
        "naïve",
    ]
)


@settings(max_examples=40, deadline=None)
@given(st.lists(WORDS, min_size=20, max_size=60), st.sampled_from(["gpt-4o", "gpt-4"]))
def test_a_long_text_counts_as_in_one_piece_or_a_little_more(words: list[str], model: str) -> None:
    text = "".join(words) * 200
    whole = _ordinary("o200k_base" if model == "gpt-4o" else "cl100k_base", text)
    assert abs(COUNTER.count_text(text, model) - whole) <= 2 * (len(text) // 4096)


@settings(max_examples=20, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C")), min_size=1, max_size=50))
def test_between_words_a_cut_changes_nothing(word: str) -> None:
    text = " ".join([word, "and"] * 3000)
    assert COUNTER.count_text(text, "gpt-4o") == _ordinary("o200k_base", text)
    assert COUNTER.count_text(text, "gpt-4") == _ordinary("cl100k_base", text)


@pytest.mark.parametrize("unit", ["a", " ", "\n", "1", "漢", "aB3", "-", "\t ", "é"])
def test_a_million_of_anything_is_bounded_work(unit: str) -> None:
    pieces = 0

    def load(name: str) -> object:
        def encode(text: str) -> list[int]:
            nonlocal pieces
            pieces += 1
            assert len(text) <= 4096
            return [0] * ((len(text) + 3) // 4)

        return encode

    counter = TokenCounter(load)  # type: ignore[arg-type]
    text = unit * (1_000_000 // len(unit))
    assert counter.count_text(text, "gpt-4o") >= len(text) // 4
    assert pieces <= 2 * len(text) // 4096 + 2


def test_texts_beyond_every_window_are_sampled() -> None:
    seen = 0

    def encode(text: str) -> list[int]:
        nonlocal seen
        seen += len(text)
        return [0] * len(text)

    counter = TokenCounter(lambda name: encode)
    text = "word " * 2_000_000
    assert abs(counter.count_text(text, "gpt-4o") / len(text) - 1) < 0.01
    assert seen < 2_100_000


def listening() -> tuple[list[str], TokenCounter]:
    """A counter, and the texts that it encodes."""
    calls: list[str] = []

    def encode(text: str) -> list[int]:
        calls.append(text)
        return [1]

    return calls, TokenCounter(lambda name: encode)


def test_a_text_is_counted_once_per_encoding() -> None:
    calls, counter = listening()
    for _ in range(3):
        counter.count_text("the same", "gpt-4o")
        counter.count_text("the same", "gpt-5")
        counter.count_text("the same", "claude")
    assert calls == ["the same"]
    counter.count_text("the same", "gpt-4")
    assert len(calls) == 2


def test_the_memo_is_bounded_and_keeps_what_is_in_use() -> None:
    calls, counter = listening()
    for number in range(100_000):
        counter.count_text("kept", "gpt-4o")
        counter.count_text(str(number), "gpt-4o")
    assert calls.count("kept") == 1
    assert len(counter._memo._young) + len(counter._memo._old) <= 32_768


def test_frames_of_messages_and_prompts() -> None:
    plain = Turn("user", "hello there", {"role": "user", "content": "hello there"})
    named = Turn("user", "hello there", {"role": "user", "content": "hello there", "name": "ann"})
    picture = Turn("user", "hello there", {"role": "user"}, extra_tokens=765)
    assert COUNTER.count_turn(plain, "gpt-4o") == 2 + 4
    assert COUNTER.count_turn(named, "gpt-4o") == 2 + 4 + 2
    assert COUNTER.count_turn(picture, "gpt-4o") == 2 + 4 + 765
    assert COUNTER.count_prompt([plain, picture], "", "gpt-4o") == 6 + 771 + 3
    tools = '{"type":"function"}'
    assert COUNTER.count_prompt([], tools, "gpt-4o") == 3 + COUNTER.count_text(tools, "gpt-4o")


def test_without_files_four_bytes_are_a_token(tmp_path: Path) -> None:
    counter = TokenCounter(tokenizers.loader(tmp_path))
    assert counter.count_text("abcd", "gpt-4o") == 1
    assert counter.count_text("abcde", "gpt-4o") == 2
    assert counter.count_text("漢字", "gpt-4o") == 2
    assert counter.count_text("\ud800", "gpt-4o") == 1
    assert not counter.exact("gpt-4o")
    assert TokenCounter(tokenizers.loader(None)).count_text("abcd", "gpt-4o") == 1


def test_a_damaged_file_is_neither_used_nor_deleted_nor_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "fb374d419588a4632f3f557e76b4b70aebbca790"
    file.write_bytes(b"damaged")
    monkeypatch.setattr(socket, "socket", None)
    assert tokenizers.loader(tmp_path)("o200k_base") is None
    assert file.read_bytes() == b"damaged"
    assert list(tmp_path.iterdir()) == [file]


def test_the_users_own_tiktoken_folder_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "/somewhere/else")
    tokenizers.loader(_folder())("o200k_base")
    assert os.environ["TIKTOKEN_CACHE_DIR"] == "/somewhere/else"
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR")
    tokenizers.loader(_folder())("cl100k_base")
    assert "TIKTOKEN_CACHE_DIR" not in os.environ
