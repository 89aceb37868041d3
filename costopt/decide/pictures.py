"""The most tokens an image can be billed at, by family of models.

OpenAI ("Images and vision" guide, "Calculating costs") has two ways:
    tiles     the image is fitted into 2048 x 2048 and its shorter side shrunk to 768 px; each tile of 512 px has a
              price, and the image has one (8 tiles at most). `detail: low` is the price of the image alone.
    patches   squares of 32 px, shrunk to as many as a model takes, times a factor of the model. gpt-5.4 and gpt-5.5
              take 10,000 with `detail: original` and 2,500 with `high`, gpt-5.6 and later any number, others 1,536.
              The guide names factors from 1.62 to 2.46 for mini and nano models and none for the large ones: 1.2 is
              what OpenAI's community measured. `low` is not believed: it was measured to change nothing.
Anthropic ("Images and vision" guide): patches of 28 px, at most 4,784, from claude-opus-4-7 on; before, a token for 750
pixels, about 1,600 at most (patches of 27 px are never fewer).
Gemini ("Image understanding" and "Media resolution" guides): before Gemini 3, 258 tokens up to 384 x 384 px and 258 for
each tile of a larger one, whose side is 768 px or, if no less than 256 px, two thirds of the image's shorter side: the
dearer of these. From Gemini 3 on 1,120 with high resolution, the default, and 2,240 with `ultra_high`.

Pages of a document are read as text and as an image each (Anthropic, "PDF support": 1,500 to 3,000 tokens of text;
OpenAI, "File inputs"); Gemini bills the image alone ("Document understanding": 258 tokens, "Media resolution": 1,120
at most).

Of an image of unknown size the dearest is assumed, up to 8000 x 8000 (Anthropic's limit, as OpenAI names none), of an
unknown family the dearest of all of these.
"""

from __future__ import annotations

import re
from math import ceil
from typing import Protocol

from msgspec import Struct

from costopt.wire.demands import Picture

#: What an image may be that only a URL or an id is known of: the most patches, and the most tiles.
LARGEST = ((8000, 8000), (8000, 3000))
#: The most tokens of text on a page.
PAGE_TEXT = 3000


class Family(Protocol):
    def most(self, width: int, height: int, detail: str) -> int: ...


class Tiles(Struct, frozen=True):
    """Tokens of an image and of each of its tiles."""

    image: int
    tile: int

    def most(self, width: int, height: int, detail: str) -> int:
        if detail == "low":
            return self.image
        fit = min(1.0, 2048 / max(width, height))
        fit *= min(1.0, 768 / (min(width, height) * fit))
        return self.image + self.tile * ceil(width * fit / 512) * ceil(height * fit / 512)


class Patches(Struct, frozen=True):
    """Pixels of a patch's side, tokens for 100 patches, most patches (None: any number), most with `detail: high`."""

    side: int
    percent: int
    limit: int | None
    high: int | None = None

    def most(self, width: int, height: int, detail: str) -> int:
        patches = ceil(width / self.side) * ceil(height / self.side)
        limit = self.high if self.high is not None and detail == "high" else self.limit
        return ceil((patches if limit is None else min(patches, limit)) * self.percent / 100)


class Crops(Struct, frozen=True):
    """Tokens of each tile, of which a small image is one."""

    tile: int

    def most(self, width: int, height: int, detail: str) -> int:
        if max(width, height) <= 384:
            return self.tile
        sides = (768, max(256, min(width, height) * 2 // 3))
        return self.tile * max(ceil(width / side) * ceil(height / side) for side in sides)


class Resolutions(Struct, frozen=True):
    """Tokens of any image, and with `detail: ultra_high`."""

    high: int
    ultra: int

    def most(self, width: int, height: int, detail: str) -> int:
        return self.ultra if detail == "ultra_high" else self.high


#: The first whose name is found in a model's is its family.
FAMILIES: tuple[tuple[re.Pattern[str], Family], ...] = tuple(
    (re.compile(rf"(?:^|[./:]){name}"), family)
    for name, family in (
        (r"gpt-4o-mini", Tiles(2833, 5667)),
        (r"gpt-4\.1-mini", Patches(32, 162, 1536)),
        (r"gpt-4\.1-nano", Patches(32, 246, 1536)),
        (r"(?:o4|codex)-mini", Patches(32, 172, 1536)),
        (r"gpt-5(?:\.4)?-mini", Patches(32, 162, 2500)),
        (r"gpt-5(?:\.4)?-nano", Patches(32, 246, 2500)),
        (r"gpt-5\.[45]", Patches(32, 120, 10_000, high=2500)),
        (r"gpt-(?:5\.[6-9]|[6-9])", Patches(32, 120, None)),
        (r"gpt-5(?:\.[23]|\.1-codex|-codex)", Patches(32, 120, 1536)),
        (r"gpt-5", Tiles(70, 140)),
        (r"(?:chatgpt-)?gpt-4", Tiles(85, 170)),
        (r"o[13]", Tiles(75, 150)),
        (r"computer-use-preview", Tiles(65, 129)),
        (r"claude-(?:[123]|instant|[a-z]+-4(?:-[0-6](?!\d)|-\d{8}|@|$))", Patches(27, 100, 1600)),
        (r"claude-", Patches(28, 100, 4784)),
        (r"gemini-(?:[12](?!\d)|(?:pro|flash)(?!-latest))", Crops(258)),
        (r"gemini-", Resolutions(1120, 2240)),
    )
)


def most_page(model: str) -> int:
    """The most tokens of a document's page. Its image is taken to be a letter of 200 dots an inch."""
    if "gemini" in model:
        return most(model, Picture(384, 384, "", 0))
    return PAGE_TEXT + most(model, Picture(1700, 2200, "", 0))


def billed_above_window(model: str) -> bool:
    """Whether images are billed at a multiple of gpt-4o's tokens, so that the context window may not bound them."""
    return bool(re.search(r"gpt-4o-mini", model))


def most(model: str, picture: Picture) -> int:
    """The most tokens `picture` can have for `model`."""
    known = next((family for name, family in FAMILIES if name.search(model)), None)
    families = [known] if known else [family for _, family in FAMILIES]
    sizes = ((picture.width, picture.height),) if picture.width and picture.height else LARGEST
    return max(family.most(*size, picture.detail) for family in families for size in sizes)
