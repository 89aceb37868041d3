"""What a request lets its provider bill beyond the text it shows: what a budget has to set aside for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from costopt.types import Json
from costopt.wire import hosted, media, parts
from costopt.wire.loose import count, items, record, records, text


class Picture(Struct, frozen=True):
    """An image: its size in pixels (0 x 0 where only a URL or an id is known), the `detail` asked for, and the tokens
    it `counted` as in its turn."""

    width: int
    height: int
    detail: str
    counted: int


class Document(Struct, frozen=True):
    """A document of at most `pages`, and the tokens it `counted` as in its turn."""

    pages: int
    counted: int


class Demands(Struct, frozen=True):
    """At most `searches` of the web are made; None is as many as the model likes. `speaks`: the answer may hold audio.
    `sound` are the most tokens the audio of the prompt can have, of which its turns counted `sound_counted`.
    At most `fetches` of pages of the web are made, each of at most `fetched` tokens; None is as many as there are.
    `maps`: some of the searches may be of places on Google Maps.
    `long_cache`: some of the prompt may be written to the provider's cache for an hour."""

    searches: int | None = 0
    fetches: int | None = 0
    fetched: int | None = 0
    speaks: bool = False
    pictures: tuple[Picture, ...] = ()
    documents: tuple[Document, ...] = ()
    sound: int = 0
    sound_counted: int = 0
    long_cache: bool = False
    maps: bool = False


def read(body: Json) -> Demands:
    """The demands of a body of any API: the names of their fields and parts do not overlap."""
    body = hosted.whole(body)
    shown = list(_parts(body))
    fetching = [tool for tool in records(body.get("tools")) if "web_fetch" in text(tool.get("type"))]
    sounds = [part for part in shown if part.get("type") == "input_audio"]
    return Demands(
        searches=_searches(body),
        fetches=_fetches(fetching),
        fetched=_fetched(fetching),
        speaks=bool(body.get("audio")) or "audio" in items(body.get("modalities")),
        pictures=tuple([picture for part in shown if (picture := _picture(part))]),
        documents=tuple([document for part in shown if (document := _document(part))]),
        sound=sum(map(_sound, sounds)),
        sound_counted=sum(map(parts.weight, sounds)),
        long_cache=_asks_for_an_hour(body),
        maps=any(hosted.is_named(tool, hosted.MAPS) for tool in records(body.get("tools"))),
    )


def _asks_for_an_hour(value: Any) -> bool:
    """Whether a `ttl: 1h` stands anywhere: what is cached for an hour is asked for (Anthropic's "Prompt caching")."""
    if isinstance(value, dict):
        fields = record(value)
        return fields.get("ttl") == "1h" or any(map(_asks_for_an_hour, fields.values()))
    return isinstance(value, list) and any(map(_asks_for_an_hour, items(value)))


def _searches(body: Json) -> int | None:
    """A field that asks for a search asks for one; a search tool is used up to `max_uses` times, and all tools of
    the provider's together up to `max_tool_calls` times."""
    found = hosted.searches(body)
    uses = [tool.get("max_uses") for tool in records(body.get("tools")) if hosted.is_search(tool)]
    if uses and (all_tools := count(body.get("max_tool_calls"))):
        return found + all_tools
    return found + sum(map(count, uses)) if all(map(count, uses)) else None


def _fetches(tools: list[Json]) -> int | None:
    uses = [count(tool.get("max_uses")) for tool in tools]
    return sum(uses) if all(uses) else None


def _fetched(tools: list[Json]) -> int | None:
    """`max_content_tokens` of Anthropic's fetch tool; without one a page is as long as it likes."""
    sizes = [count(tool.get("max_content_tokens")) for tool in tools]
    return max(sizes, default=0) if all(sizes) else None


def _parts(body: Json) -> Iterator[Json]:
    for turn in (*records(body.get("messages")), *records(body.get("input"))):
        yield from _inside(turn)


def _inside(outer: Json) -> Iterator[Json]:
    """The parts of a message, an item or another part."""
    for field in ("content", "output", "source"):
        inner: Any = outer.get(field)
        if isinstance(inner, (list, dict)):
            for part in records(inner) or [record(inner)]:
                yield part
                yield from _inside(part)


def _picture(part: Json) -> Picture | None:
    match part.get("type"):
        case "image_url":
            image = record(part.get("image_url"))
            url, detail = text(image.get("url")), text(image.get("detail"))
        case "input_image" | "computer_screenshot":
            url, detail = text(part.get("image_url")), text(part.get("detail"))
        case "image":
            url, detail = "data:;base64," + text(record(part.get("source")).get("data")), ""
        case _:
            return None
    return Picture(*media.pixels(url), detail, parts.weight(part))


def _document(part: Json) -> Document | None:
    match part.get("type"):
        case "file":
            data = text(record(part.get("file")).get("file_data"))
        case "input_file":
            data = text(part.get("file_data"))
        case "document":
            source = record(part.get("source"))
            if source.get("type") in ("text", "content"):
                return None
            data = text(source.get("data"))
        case _:
            return None
    return Document(media.most_pages(data), parts.weight(part))


def _sound(part: Json) -> int:
    sound = record(part.get("input_audio"))
    return media.most_audio(text(sound.get("data")), text(sound.get("format")))
