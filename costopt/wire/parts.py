"""Message content of every dialect: a string, nothing, or a list of typed parts. Unknown parts weigh nothing
and survive; their type names do not overlap between the APIs, so one reader serves all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from costopt.types import Json, Need
from costopt.wire import media
from costopt.wire.loose import items, record, records, text

_TEXT_FIELDS = ("text", "refusal", "thinking")


def text_of(content: Any) -> str:
    """All text of some content, one line per part."""
    return content if isinstance(content, str) else "\n".join(_texts(content))


def _texts(content: Any) -> Iterator[str]:
    for part in items(content):
        if isinstance(part, str):
            yield part
        else:
            yield from _part_texts(record(part))


def _part_texts(part: Json) -> Iterator[str]:
    yield from (value for field in _TEXT_FIELDS if (value := text(part.get(field))))
    source = record(part.get("source"))
    if source.get("type") == "text":
        yield text(source.get("data"))
    elif source.get("type") == "content":
        yield text_of(source.get("content"))
    if "content" in part:
        yield text_of(part["content"])


def plain_text(content: Any) -> str | None:
    """The text that `with_text` replaces: a string, or the text parts, one line each; None where there is neither.
    Documents and what else a part may hold are no part of it."""
    if isinstance(content, str):
        return content
    said = [part if isinstance(part, str) else part["text"] for part in items(content) if _is_text(part)]
    return "\n".join(said) if said else None


def with_text(content: Any, new: str) -> Any:
    """`content`, which has a `plain_text`, with `new` in its place: the first text part carries it, the others go."""
    if isinstance(content, str) or new == plain_text(content):
        return new if isinstance(content, str) else content
    given = items(content)
    first = next(at for at, part in enumerate(given) if _is_text(part))
    carrier: Any = new if isinstance(given[first], str) else {**given[first], "text": new}
    return [*given[:first], carrier, *(part for part in given[first + 1 :] if not _is_text(part))]


def _is_text(part: Any) -> bool:
    return isinstance(part, str) or isinstance(record(part).get("text"), str)


def tokens(content: Any) -> int:
    """Estimated tokens of everything in `content` that is not text."""
    if not isinstance(content, list):
        return 0
    return sum([weight(part) for part in records(content)])


def weight(part: Json) -> int:
    """Estimated tokens of one part, as `tokens` counts it."""
    match part.get("type"):
        case "image_url":
            image = record(part.get("image_url"))
            return media.openai_image(text(image.get("url")), text(image.get("detail")))
        case "input_image" | "computer_screenshot":
            return media.openai_image(text(part.get("image_url")), text(part.get("detail")))
        case "input_audio":
            sound = record(part.get("input_audio"))
            return media.audio(text(sound.get("data")), text(sound.get("format")))
        case "file":
            return media.document(text(record(part.get("file")).get("file_data")))
        case "input_file":
            return media.document(text(part.get("file_data")))
        case "image":
            return media.anthropic_image(text(record(part.get("source")).get("data")))
        case "document":
            return _document(record(part.get("source")))
        case _:
            return tokens(part.get("content"))


def _document(source: Json) -> int:
    if source.get("type") in ("text", "content"):
        return tokens(source.get("content"))
    return media.document("data:;base64," + text(source.get("data")))


_NEEDS: dict[Any, Need] = {
    "image_url": "vision",
    "input_image": "vision",
    "computer_screenshot": "vision",
    "image": "vision",
    "file": "vision",
    "input_file": "vision",
    "document": "vision",
    "input_audio": "audio",
}


def needs(contents: Iterable[Any]) -> Iterator[Need]:
    """What the parts of these contents need from a model. A document is read with its pages as images."""
    for content in contents:
        for part in records(content):
            kind = part.get("type")
            if isinstance(kind, str) and kind in _NEEDS:
                yield _NEEDS[kind]
            yield from needs([part.get("content")])
