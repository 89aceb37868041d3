"""One row of litellm's price map: limits, abilities, and unit prices per service tier and prompt size.

Prices are integers in 1e-24 USD per token (`Fine`): the map's longest decimal has 24 places, so nothing is
rounded before the one rounding to nano-USD at the end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from costopt.decide.offpeak import Window, windows
from costopt.types import Need

Fine: TypeAlias = int

#: Which field of `Rates` a key of the map prices; the longest key that fits a name wins.
FIELDS = {
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "cache_creation_input_token_cost": "cache_write",
    "cache_read_input_token_cost": "cache_read",
    "output_cost_per_reasoning_token": "reasoning",
    "output_cost_per_audio_token": "audio_output",
    "output_cost_per_image_token": "image_output",
    "input_cost_per_audio_token": "audio_input",
    "input_cost_per_image_token": "image_input",
    "input_cost_per_request": "request",
    "output_cost_per_token": "output",
    "input_cost_per_token": "input",
}
_KEY = re.compile(rf"({'|'.join(FIELDS)})(_.+)?")
_ABOVE = re.compile(r"_above_(\d+)(k?)_tokens")
_ABILITIES: tuple[tuple[str, Need], ...] = (
    ("supports_function_calling", "tools"),
    ("supports_vision", "vision"),
    ("supports_audio_input", "audio"),
    ("supports_response_schema", "json_schema"),
    ("supports_reasoning", "reasoning"),
)
#: Rows of these providers belong to the family on the right; any other provider is its own family.
_FAMILIES = {
    "bedrock_converse": "bedrock",
    "cohere_chat": "cohere",
    "azure_text": "azure",
    "text-completion-openai": "openai",
    "text-completion-codestral": "codestral",
}
#: xAI bills the higher price once a prompt reaches the threshold, all others once it exceeds it (as litellm).
_INCLUSIVE = frozenset({"xai"})
#: Fireworks bills cached prompt tokens at half price where the map names no price (litellm's default).
_HALF_PRICE_CACHE = frozenset({"fireworks_ai"})

#: Google's list prices of grounding with Maps, in USD: of a query, or of a prompt that is grounded.
_MAPS_PER_QUERY, _MAPS_PER_PROMPT = 0.014, 0.025

_CHAT = "/v1/chat/completions"

#: (field, prompt tokens above which it holds, service tier) -> price. 0 and "" are the standard price.
Sheet: TypeAlias = dict[tuple[str, int, str], Fine]


class Row(Struct, frozen=True):
    """What the map says of one model. `mode` is what it is for ("chat", "responses", "embedding", ...; "" unknown),
    `max_input` and `max_output` are tokens, None where unknown.

    `fees` are those of one search by kind: how much context it brings ("low", "medium", "high"), "maps" for Google
    Maps; `search_once` says that one fee covers all searches of a call. `factors` are what token prices are multiplied
    by in a fast mode ("fast") and where the model is made to run in one place ("us"). `cache_least` is the shortest
    prefix (tokens) that the provider's prompt cache takes, 0 where the map does not say.
    """

    name: str
    provider: str
    mode: str
    max_input: int | None
    max_output: int | None
    needs: frozenset[Need]
    sheet: Sheet
    fees: Mapping[str, Fine] = {}
    search_once: bool = False
    factors: Mapping[str, Decimal] = {}
    half_price_cache: bool = False
    off_peak: tuple[Window, ...] = ()
    off_peak_sheet: Sheet = {}
    cache_least: int = 0

    @property
    def levels(self) -> tuple[int, ...]:
        """Prompt sizes (tokens) at which a price of this row changes, ascending."""
        return tuple(sorted({level for _, level, _ in self.sheet if level}))

    @property
    def search(self) -> Fine | None:
        """The fee of one search where nothing tells its kind."""
        return self.fees.get("medium")

    def fee(self, kind: str) -> Fine | None:
        """The fee of one search of a `kind` as `costopt.wire.terms` names them; None is unknown. Answers cite pages of
        the web for many reasons: it tells of a search where the row has a fee for one."""
        if kind == "cited":
            return self.search or 0
        if kind != "search+maps":
            return self.fees.get(kind) if kind == "maps" else self.fees.get(kind, self.search)
        search, maps = self.search, self.fees.get("maps")
        if search is None or maps is None:
            return None
        return search + maps if self.search_once else search if search == maps else None


def family(provider: str) -> str:
    """The provider whose bill a row's provider stands for: `vertex_ai-mistral_models` is `vertex_ai`."""
    return "vertex_ai" if provider.startswith("vertex_ai-") else _FAMILIES.get(provider, provider)


def fine(value: object) -> Fine | None:
    """USD as the map writes it (number or text) in 1e-24 USD; None for what is not a price."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        return int(Decimal(str(value)).scaleb(24).to_integral_value())
    except ArithmeticError:
        return None


def parse(name: str, raw: msgspec.Raw | bytes) -> Row:
    """Read one row. Raises msgspec.DecodeError or ValidationError where it is not a JSON object."""
    fields: dict[str, Any] = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode(raw)
    provider = str(fields.get("litellm_provider", ""))
    fees = _fees(provider, fields)
    sheet = _sheet(fields, 1 if provider in _INCLUSIVE else 0)
    off_peak: Mapping[str, object] = fields.get("off_peak_pricing") or {}
    return Row(
        name=name,
        provider=family(provider),
        mode=_mode(fields),
        max_input=_count(fields.get("max_input_tokens")) or _count(fields.get("max_tokens")),
        max_output=_count(fields.get("max_output_tokens")) or _count(fields.get("max_tokens")),
        needs=frozenset(need for key, need in _ABILITIES if fields.get(key) is True),
        sheet=sheet,
        fees=fees,
        search_once=_bills_searches_once(provider, fields, fees),
        factors=_factors(fields),
        half_price_cache=provider in _HALF_PRICE_CACHE,
        off_peak=windows(off_peak),
        off_peak_sheet=_off_peak_sheet(sheet, off_peak) if off_peak else {},
        cache_least=_count(fields.get("prompt_cache_min_tokens")) or 0,
    )


def _count(value: object) -> int | None:
    return int(value) if isinstance(value, int | Decimal) and value > 0 else None


def _mode(fields: Mapping[str, Any]) -> str:
    """Models for the Responses API alone are of mode "responses"; some rows say so of models that chat as well."""
    mode = str(fields.get("mode") or "")
    return "chat" if mode == "responses" and _CHAT in (fields.get("supported_endpoints") or ()) else mode


def _factors(fields: Mapping[str, Any]) -> Mapping[str, Decimal]:
    extra: Mapping[str, object] = fields.get("provider_specific_entry") or {}
    return {word: Decimal(factor) for word, factor in extra.items() if isinstance(factor, int | Decimal)}


def _fees(provider: str, fields: Mapping[str, Any]) -> Mapping[str, Fine]:
    """Of searches by kind. Google's list price of Maps where the row names none (as litellm)."""
    named: Mapping[str, object] = fields.get("search_context_cost_per_query") or {}
    sizes = {size: fine(named.get(f"search_context_size_{size}")) for size in ("low", "medium", "high")}
    fees = {size: price for size, price in sizes.items() if price is not None}
    if _is_google(provider):
        listed = _MAPS_PER_QUERY if _bills_queries(fields) else _MAPS_PER_PROMPT
        maps = fine(fields.get("google_maps_grounding_cost_per_query", listed))
        fees |= {} if maps is None else {"maps": maps}
    return fees


def _bills_searches_once(provider: str, fields: Mapping[str, object], fees: Mapping[str, Fine]) -> bool:
    """Gemini bills grounding per prompt unless the row says per query. Perplexity has a fee per request by the size of
    its search; only deep research, where the size is all one, is billed by the query (its pricing page)."""
    if provider == "perplexity":
        return len(set(fees.values())) > 1
    return _is_google(provider) and not _bills_queries(fields)


def _is_google(provider: str) -> bool:
    return provider == "gemini" or provider.startswith("vertex_ai")


def _bills_queries(fields: Mapping[str, object]) -> bool:
    return fields.get("web_search_billing_unit") == "per_query"


def _sheet(fields: Mapping[str, Any], inclusive: int) -> Sheet:
    sheet: Sheet = {}
    for key, value in fields.items():
        place, price = _place(key), fine(value)
        if place and price is not None:
            field, level, tier = place
            sheet[field, level - inclusive if level else 0, tier] = price
    tiers = [t for t in fields.get("tiered_pricing") or () if len(t.get("range", ())) == 2]
    return _tiered(sheet, sorted(tiers, key=lambda t: t["range"][0])) if tiers else sheet


def _place(key: str) -> tuple[str, int, str] | None:
    """`cache_read_input_token_cost_above_272k_tokens_flex` is (cache_read, 272000, flex)."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    rest = match[2] or ""
    above = _ABOVE.search(rest)
    level = int(above[1]) * (1000 if above[2] else 1) if above else 0
    tier = _ABOVE.sub("", rest).removeprefix("_")
    return (FIELDS[match[1]], level, tier) if tier == "" or tier.isalpha() else None


def _tiered(sheet: Sheet, tiers: list[dict[str, Any]]) -> Sheet:
    """A `tiered_pricing` table: a whole call is billed at the tier its prompt falls in. What a tier does not
    name costs as its input, reasoning as its output, and output as the row's own."""
    named = {(f, level, t): price for (f, level, t), price in sheet.items() if not f.startswith("cache_")}
    for index, tier in enumerate(tiers):
        level = int(tier["range"][0]) if index else 0
        prices = {field: fine(tier[key]) for key, field in FIELDS.items() if key in tier}
        for field in ("cache_read", "cache_write"):
            prices.setdefault(field, prices.get("input"))
        prices.setdefault("cache_write_1h", prices["cache_write"])
        prices.setdefault("reasoning", prices.get("output"))
        named |= {(field, level, ""): price for field, price in prices.items() if price is not None}
    return named


def _off_peak_sheet(sheet: Sheet, block: Mapping[str, object]) -> Sheet:
    """An off-peak price replaces all prices of its field; what the block does not name stays."""
    named = {FIELDS[key]: price for key in FIELDS if (price := fine(block.get(key))) is not None}
    if "output" in named and sheet.get(("reasoning", 0, "")) == sheet.get(("output", 0, "")):
        named.setdefault("reasoning", named["output"])
    kept = {place: price for place, price in sheet.items() if place[0] not in named}
    return kept | {(field, 0, ""): price for field, price in named.items()}
