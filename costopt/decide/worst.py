"""The most a call can cost, so that a budget which sets it aside beforehand is never passed."""

from __future__ import annotations

from itertools import product
from math import inf

from msgspec import Struct
from msgspec.structs import replace

from costopt import wire
from costopt.decide import pictures
from costopt.decide.pricemap import Row
from costopt.decide.prices import PriceBook
from costopt.types import Api, Json, Nano, Request, Usage
from costopt.wire import hosted, terms
from costopt.wire.demands import Demands, read

#: The most tokens of search results that one search puts before the model: what OpenAI's "Web search" guide names as
#: the limit of its context. Other providers name none; theirs are taken to be as long.
SEARCH_TOKENS = 128_000
#: Fields that bound the output, and the searches.
_OUTPUT_BOUND: dict[Api, str] = {"responses": "max_output_tokens", "messages": "max_tokens"}
_SEARCH_BOUND: dict[Api, str] = {"responses": "max_tool_calls"}


class Worst(Struct, frozen=True):
    """`nano` is the most a call can cost; where that is None, `missing` says what is not known and what would help."""

    nano: Nano | None
    missing: str = ""


def worst_case(request: Request, prompt: int, margin: float, book: PriceBook) -> Worst:
    """The most `request` can cost. Its text counts as `prompt` tokens, by a tokenizer that may be short by `margin`.

    Dearest of all: how long the answers may become (each of them, where several are asked for) and of what; what of
    the prompt is written to the provider's cache; how many tokens its images can have; the searches, each of which
    has a fee, brings its results and lets the model read the prompt once more.
    """
    name, row = request.model, book.find(request.model, request.provider)
    tier = _terms(request.body, row)
    if book.cost(name, Usage(input=1, output=1, service_tier=tier), request.provider) is None:
        return Worst(None, _unpriced(name, tier if row else ""))
    demands = read(request.body)
    dearest = f"{tier} search:{'search+maps' if demands.maps else 'high'}".lstrip()
    output, searches = _output(request, row), _searches(demands, name, row)
    if output is None:
        field = _OUTPUT_BOUND.get(request.api, "max_completion_tokens")
        return Worst(None, f"nothing bounds the output of {name}: set {field} in the call")
    if searches is None:
        return Worst(None, _unbounded(request))
    window, fetches = _window(request, row), demands.fetches
    if fetches is None or (fetches and demands.fetched is None and window == inf):
        field = "max_uses" if fetches is None else "max_content_tokens"
        return Worst(None, f"nothing bounds the web fetches of this call: set {field} of the fetch tool")
    text = int(prompt * margin) + _unseen(demands, name)
    inputs = _inputs(demands, name, _Reading(text, searches, fetches, window))
    fees = searches if row and row.search is not None else 0
    usages = [
        replace(asked, **said, searches=fees, service_tier=dearest if fees else tier)
        for asked, said in product(inputs, _outputs(demands, output))
    ]
    costs = [book.cost(name, usage, request.provider) for usage in usages]
    known = [cost for cost in costs if cost is not None]
    return Worst(max(known)) if costs[0] is not None else Worst(None, _unpriced(name, tier))


def _terms(body: Json, row: Row | None) -> str:
    """What sets the price of the call (`costopt.wire.terms`). Where it names no place to run in, its workspace may name
    the dearest (Anthropic's "Data residency")."""
    factors = (
        {word: factor for word, factor in row.factors.items() if word != "fast" and factor > 1} if row else {}
    )
    place = body.get("inference_geo") or max(factors, key=factors.__getitem__, default="")
    return terms.said(str(body.get("service_tier") or ""), body.get("speed"), place)


def _unpriced(model: str, tier: str) -> str:
    if not model:
        return "the call names no model, so nobody knows its price: name the model in the call"
    where = f" in the service tier {tier!r}" if tier else ""
    return f"{model} has no known price{where}: add it to `prices:` in the policy"


def _output(request: Request, row: Row | None) -> int | None:
    """The most output tokens of all answers together."""
    view = wire.dialect(request.api)
    bound = view.max_output(request.body)
    if bound is None and row is not None and row.max_output is not None:
        return row.max_output * view.choices(request.body)
    return bound


def _searches(demands: Demands, model: str, row: Row | None) -> int | None:
    unasked, asked = hosted.unasked(model), demands.searches
    if row is not None and row.search_once and (asked is None or unasked is None):
        return 1
    if unasked is None:
        return asked or None
    return max(unasked, asked or 0) if unasked else asked


def _unbounded(request: Request) -> str:
    if hosted.unasked(request.model) is None:
        return f"nothing bounds the web searches that {request.model} makes unasked"
    field = _SEARCH_BOUND.get(request.api, "max_uses of the search tool")
    return f"nothing bounds the web searches of this call: set {field}"


def _window(request: Request, row: Row | None) -> float:
    """The most tokens of a prompt that the model takes. A row with a price for longer prompts does not tell, and what
    is said of one text says nothing of the many that an embedding or a completion may be asked for."""
    if row is None or row.max_input is None or request.api not in ("chat", "responses", "messages"):
        return inf
    if pictures.billed_above_window(request.model):
        return inf
    return row.max_input if row.max_input > max(row.levels, default=0) else inf


class _Reading(Struct, frozen=True):
    """The model reads its `text`, and once more after each search and each fetch, up to `window` tokens at a time."""

    text: int
    searches: int
    fetches: int
    window: float

    @property
    def times(self) -> int:
        return 1 + self.searches + self.fetches

    def tokens(self, fetched: int | None) -> int:
        """All that is read, where a fetch brings `fetched` tokens (None: as many as fit) that stay in the prompt."""
        page = self.window if fetched is None else fetched
        pages = page * self.fetches * (1 + self.fetches + 2 * self.searches) / 2 if self.fetches else 0
        whole = min(self.text, self.window) * self.times + SEARCH_TOKENS * self.searches + pages
        return int(min(whole, self.window * self.times))


def _unseen(demands: Demands, model: str) -> int:
    """Tokens of images, documents and audio beyond those that the turns counted."""
    page = pictures.most_page(model) if demands.documents else 0
    images = sum(max(0, pictures.most(model, one) - one.counted) for one in demands.pictures)
    documents = sum(max(0, page * one.pages - one.counted) for one in demands.documents)
    return images + documents + max(0, demands.sound - demands.sound_counted)


def _inputs(demands: Demands, model: str, reading: _Reading) -> list[Usage]:
    """The prompt as it can be billed: all of it fresh, or all but its audio written to the provider's cache."""
    seen = sum(pictures.most(model, picture) for picture in demands.pictures)
    seen += sum(pictures.most_page(model) * document.pages for document in demands.documents)
    whole, readings = reading.tokens(demands.fetched), reading.times
    sound = min(demands.sound * readings, whole)
    seen = min(seen * readings, whole - sound)
    cached = Usage(input=sound, audio_input=sound, cache_write=whole - sound)
    return [Usage(input=whole, audio_input=sound, image_input=image) for image in sorted({0, seen})] + [
        cached,
        *([_for_an_hour(cached)] if demands.long_cache else []),
    ]


def _for_an_hour(usage: Usage) -> Usage:
    return replace(usage, cache_write=0, cache_write_1h=usage.cache_write)


def _outputs(demands: Demands, output: int) -> list[dict[str, int]]:
    """The output as it can be billed: as text, as reasoning, as images, or where it was asked for as audio."""
    kinds: list[dict[str, int]] = [{}, {"reasoning": output}, {"image_output": output}]
    kinds += [{"audio_output": output}] if demands.speaks else []
    return [{"output": output, **kind} for kind in kinds]
