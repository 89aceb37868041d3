"""What a request lets its provider bill beyond its text."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest

from costopt.wire.demands import Picture, read

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 640, 480) + b"\x08\x02\x00\x00\x00"
DATA = base64.b64encode(PNG).decode()
URL = f"data:image/png;base64,{DATA}"


@pytest.mark.parametrize(
    ("body", "searches"),
    [
        ({}, 0),
        ({"tools": [{"type": "function", "function": {"name": "web_search"}}]}, 0),
        ({"web_search_options": {}}, 1),
        ({"tools": [{"type": "web_search"}]}, None),
        ({"tools": [{"type": "web_search_preview"}], "max_tool_calls": 4}, 4),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]}, 3),
        ({"tools": [{"type": "web_search_20250305", "max_uses": 3}, {"type": "web_search"}]}, None),
        ({"tools": [{"google_search": {}}]}, None),
        ({"tools": [{"googleSearchRetrieval": {}}]}, None),
        ({"extra_body": {"tools": [{"type": "web_search", "max_uses": 2}]}}, 2),
        ({"plugins": [{"id": "web", "max_results": 9}]}, 1),
        ({"search_parameters": {"mode": "auto"}}, 1),
        ({"search_parameters": {"mode": "off"}}, 0),
        ({"max_tool_calls": 4}, 0),
    ],
)
def test_the_searches_that_a_request_allows(body: dict[str, Any], searches: int | None) -> None:
    assert read(body).searches == searches


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"content": [{"type": "image_url", "image_url": {"url": URL}}]}]},
        {"messages": [{"content": [{"type": "image", "source": {"type": "base64", "data": DATA}}]}]},
        {
            "messages": [
                {
                    "content": [
                        {"type": "tool_result", "content": [{"type": "image", "source": {"data": DATA}}]}
                    ]
                }
            ]
        },
        {"input": [{"content": [{"type": "input_image", "image_url": URL}]}]},
        {
            "input": [
                {"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": URL}}
            ]
        },
    ],
)
def test_pictures_are_found_wherever_they_stand(body: dict[str, Any]) -> None:
    (picture,) = read(body).pictures
    assert (picture.width, picture.height, picture.detail) == (640, 480, "")
    assert picture.counted > 0


def test_a_picture_of_unknown_size_has_none() -> None:
    shown = {"type": "image_url", "image_url": {"url": "https://pictures.example/1.png", "detail": "low"}}
    assert read({"messages": [{"content": [shown]}]}).pictures == (Picture(0, 0, "low", 85),)


def test_audio_asked_for_and_sent_is_seen() -> None:
    sound = {"type": "input_audio", "input_audio": {"data": "A" * 4000, "format": "mp3"}}
    found = read({"messages": [{"content": [sound]}], "modalities": ["text", "audio"]})
    assert (found.speaks, found.sound) == (True, 30)
    assert 0 < found.sound_counted < found.sound
    assert not read({"modalities": ["text"]}).speaks
