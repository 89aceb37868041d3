"""Unit prices for one call: which of a row's prices hold for a service tier and a prompt size.

Conventions of litellm and the providers' price pages: a prompt above a threshold is billed whole at the price
above it; cached tokens without a price of their own cost as input; modalities without one cost as text.
A service tier that a model has no price for is unknown, not standard.
"""

from __future__ import annotations

from bisect import bisect_left
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import astuple, replace

from costopt.decide.offpeak import Window
from costopt.decide.pricemap import Fine, Row
from costopt.policy import Price
from costopt.types import Usage
from costopt.wire.terms import Terms

#: A `Price` is nano-USD per million tokens.
_FINE_PER_PRICE_UNIT = 10**9
#: Names of no extra price. `scale` is capacity that was paid for beforehand.
_STANDARD = frozenset({"", "default", "standard", "standard_only", "auto", "on_demand", "scale"})
_TIER_KEYS = {"batch": "batches", "fast": "priority"}


class Rates(Struct, frozen=True):
    """Unit prices of one call in 1e-24 USD, all resolved; None is unknown. Fields in the order of
    `counts`."""

    input: Fine | None = None
    output: Fine | None = None
    cache_read: Fine | None = None
    cache_write: Fine | None = None
    cache_write_1h: Fine | None = None
    reasoning: Fine | None = None
    audio_input: Fine | None = None
    image_input: Fine | None = None
    audio_output: Fine | None = None
    image_output: Fine | None = None
    search: Fine | None = None
    request: Fine | None = 0


BUCKETS = Rates.__struct_fields__


def counts(usage: Usage, search_once: bool = False) -> tuple[int, ...]:
    """How many units of each bucket a call is billed, none twice."""
    said = usage.output - usage.reasoning - usage.audio_output - usage.image_output
    text = usage.input - usage.audio_input - usage.image_input
    return (
        text if text > 0 else 0,
        said if said > 0 else 0,
        usage.cache_read,
        usage.cache_write,
        usage.cache_write_1h,
        usage.reasoning if usage.reasoning < usage.output else usage.output,
        usage.audio_input,
        usage.image_input,
        usage.audio_output,
        usage.image_output,
        1 if search_once and usage.searches else usage.searches,
        1,
    )


class Plan(Struct, frozen=True):
    """Prices of one model and service tier: `rates[i]` holds for prompts above `levels[i-1]` tokens."""

    levels: tuple[int, ...]
    rates: tuple[Rates, ...]
    search_once: bool = False
    off_peak: tuple[Window, ...] = ()
    cheap: Plan | None = None

    def now(self, at: int | None) -> Plan:
        """The prices in force `at` a time (nanoseconds since the epoch), the full ones where it is not
        known."""
        if self.cheap is None or at is None:
            return self
        return self.cheap if any(window.holds(at) for window in self.off_peak) else self

    def of(self, usage: Usage) -> Rates:
        return self.rates[bisect_left(self.levels, usage.prompt) if self.levels else 0]

    def total(self, usage: Usage) -> Fine | None:
        """The whole call; None as soon as something used has no known price."""
        total = 0
        rates: tuple[Fine | None, ...] = astuple(self.of(usage))
        for count, rate in zip(counts(usage, self.search_once), rates, strict=True):
            if count:
                if rate is None:
                    return None
                total += count * rate
        return total

    def parts(self, usage: Usage) -> dict[str, Fine]:
        """What each bucket in use costs, for a call whose `total` is known."""
        rates: tuple[Fine | None, ...] = astuple(self.of(usage))
        lines = zip(BUCKETS, counts(usage, self.search_once), rates, strict=True)
        return {
            name: count * (rate or 0) for name, count, rate in lines if count and (rate or name != "request")
        }


def plan(row: Row, terms: Terms) -> Plan:
    """All prices of a row on these terms."""
    cheap = plan(replace(row, sheet=row.off_peak_sheet, off_peak=()), terms) if row.off_peak else None
    levels = row.levels
    rates = tuple(_on(_Resolver(row, terms.tier, level).rates(), row, terms) for level in (0, *levels))
    return Plan(levels, rates, row.search_once, row.off_peak, cheap)


def own_plan(price: Price, row: Row | None, terms: Terms) -> Plan:
    """A user's own prices; `row` still tells the fee of a web search."""
    cited = 0 if terms.search == "cited" else None
    rates = _own_rates(price, row.fee(terms.search) if row else cited)
    return Plan((), (rates,), row is not None and row.search_once)


def _on(rates: Rates, row: Row, terms: Terms) -> Rates:
    """`rates` of a tier with what else the terms say. A place without a factor costs as any other (as litellm)."""
    rates = replace(rates, search=row.fee(terms.search)) if terms.search else rates
    factors = [row.factors[word] for word in (_fast(row, terms.tier), terms.geo) if word in row.factors]
    for factor in factors:
        rates = _times(rates, factor)
    return rates


def _fast(row: Row, tier: str) -> str:
    """The tier where it is a fast mode that the row has a factor for, else nothing."""
    return tier if tier == "fast" and tier in row.factors else ""


def _own_rates(price: Price, search: Fine | None) -> Rates:
    unit = _FINE_PER_PRICE_UNIT
    inp, out = price.input * unit, price.output * unit
    read = inp if price.cache_read is None else price.cache_read * unit
    write = inp if price.cache_write is None else price.cache_write * unit
    return Rates(
        input=inp,
        output=out,
        cache_read=read,
        cache_write=write,
        cache_write_1h=write if price.cache_write_1h is None else price.cache_write_1h * unit,
        reasoning=out,
        audio_input=inp,
        image_input=inp,
        audio_output=out,
        image_output=out,
        search=search,
    )


class _Resolver(Struct, frozen=True):
    """Picks the price of each field for one service tier and one prompt size of a row."""

    row: Row
    asked: str
    level: int

    @property
    def tier(self) -> str:
        if self.asked in _STANDARD or _fast(self.row, self.asked):
            return ""
        return _TIER_KEYS.get(self.asked, self.asked)

    def rates(self) -> Rates:
        inp, out = self._main("input"), self._main("output")
        out = out if out else self._pick("image_output", out)
        batch_input = inp if self.tier == "batches" else None
        read = self._pick("cache_read", self._cheap_read(inp), batch_input)
        write = self._pick("cache_write", inp, batch_input)
        return Rates(
            input=inp,
            output=out,
            cache_read=read,
            cache_write=write,
            cache_write_1h=self._write_1h(write),
            reasoning=self._reasoning(out),
            audio_input=self._pick("audio_input", inp),
            image_input=self._pick("image_input", inp),
            audio_output=self._pick("audio_output", out),
            image_output=self._pick("image_output", out),
            search=self.row.search,
            request=self.row.sheet.get(("request", 0, ""), 0),
        )

    def _main(self, field: str) -> Fine | None:
        """Input and output: a tier must name its own price, unless the model gives it away."""
        sheet, tier = self.row.sheet, self.tier
        if tier and (field, 0, tier) not in sheet and sheet.get((field, 0, "")):
            return None
        return self._pick(field, None)

    def _pick(self, field: str, missing: Fine | None, missing_in_tier: Fine | None = None) -> Fine | None:
        """The price in force: `missing` if the row has none, None if it has none for this tier and size."""
        sheet, tier = self.row.sheet, self.tier
        own = sheet.get((field, 0, tier)) if tier else None
        price = own if own is not None else sheet.get((field, 0, ""))
        if tier and own is None and missing_in_tier is not None:
            return missing_in_tier
        found = price if price is not None else missing
        for level in self.row.levels:
            if level > self.level:
                break
            above = sheet.get((field, level, tier))
            if above is None and own is None:
                above = sheet.get((field, level, ""))
            if above is None and own is not None and (field, level, "") in sheet:
                return None
            found = above if above is not None else found
        return found

    def _cheap_read(self, inp: Fine | None) -> Fine | None:
        return inp // 2 if inp and self.row.half_price_cache else inp

    def _write_1h(self, write: Fine | None) -> Fine | None:
        """Tiers have no price for 1-hour writes; they get the discount of 5-minute writes, since multipliers
        stack (Anthropic's pricing page)."""
        plain = replace(self, asked="")
        full, write_1h = plain._pick("cache_write", None), plain._pick("cache_write_1h", write)
        if not self.tier or write is None or write_1h is None or not full:
            return write_1h if not self.tier else write
        return write_1h * write // full

    def _reasoning(self, out: Fine | None) -> Fine | None:
        """Reasoning is output unless priced apart; a tier with its own output price covers reasoning too."""
        sheet, tier = self.row.sheet, self.tier
        apart = sheet.get(("reasoning", 0, "")) != sheet.get(("output", 0, ""))
        if tier and ("reasoning", 0, tier) not in sheet and ("output", 0, tier) in sheet:
            return out
        return self._pick("reasoning", out) if apart else out


def _times(rates: Rates, factor: Decimal) -> Rates:
    """Token prices times a factor; fees stay."""
    fees = ("search", "request")
    prices: dict[str, Fine | None] = {f: getattr(rates, f) for f in rates.__struct_fields__ if f not in fees}
    scaled = {field: int(price * factor) for field, price in prices.items() if price is not None}
    return replace(rates, **scaled)
