"""What a call costs, to the nano-dollar, from litellm's price map. Unknown is None and free is 0."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from functools import cached_property
from typing import TypeVar

import msgspec

from costopt.decide.modelnames import keys, spellings
from costopt.decide.pricemap import Fine, Row, family, parse
from costopt.decide.rates import Plan, own_plan, plan
from costopt.policy import Price
from costopt.types import Nano, Usage
from costopt.wire import terms

K = TypeVar("K")
V = TypeVar("V")

_FINE_PER_NANO = 10**15
_MEMO_LIMIT = 4096
#: Rows of the map that are no models.
_NO_MODELS = frozenset({"sample_spec", "fallback_generalizations"})


class PriceBook:
    """The price map plus a user's own prices. Rows are decoded on first use, resolved prices remembered.

    `data` is the map's JSON: {model: row}. `overrides` names models as a policy does (`provider/model` or the
    bare name) and replaces every price of that model, in all service tiers and prompt sizes.
    """

    def __init__(self, data: bytes, overrides: Mapping[str, Price] = {}) -> None:
        self._data = data
        self._overrides = dict(overrides)
        self._found: dict[tuple[str, str], Row | None] = {}
        self._plans: dict[tuple[str, str, str], Plan | None] = {}

    @cached_property
    def revision(self) -> str:
        """Short hash of the map and the overrides: which prices a record was made with."""
        own = msgspec.json.encode(sorted(self._overrides.items()))
        return hashlib.blake2b(self._data + own, digest_size=6).hexdigest()

    @cached_property
    def _rows(self) -> dict[str, msgspec.Raw]:
        return msgspec.json.decode(self._data, type=dict[str, msgspec.Raw])

    @cached_property
    def _lower(self) -> dict[str, str]:
        return {name.lower(): name for name in self._rows}

    @property
    def names(self) -> Collection[str]:
        """Every model name of the price map."""
        return self._rows

    def knows(self, model: str) -> bool:
        """Whether the map has a row for `provider/model` or a bare name."""
        return self.find(model) is not None

    def owns(self, model: str, provider: str = "") -> bool:
        """Whether `overrides` holds a price for the model, named as for `find`."""
        return self._override(model, provider, self.find(model, provider)) is not None

    def find(self, model: str, provider: str = "") -> Row | None:
        """The map's row for a model as a request, a reply or a policy names it; None if nothing surely fits.

        `provider` is the map's provider name; a row of another provider is never taken for it. Without one, a
        `provider/` prefix of the name counts as it.
        """
        key = (model, provider)
        try:
            return self._found[key]
        except KeyError:
            _bound(self._found)
            row = self._found[key] = self._find(model, provider)
            return row

    def cost(self, model: str, usage: Usage, provider: str = "", at: int | None = None) -> Nano | None:
        """What `usage` costs, rounded once, half to even; None if the model or a needed price is unknown.

        `at` is when the call was made (nanoseconds since the epoch), for models that are cheaper off-peak;
        the full price holds without it.
        """
        prices = self._prices(model, provider, usage.service_tier)
        total = prices.now(at).total(usage) if prices else None
        return None if total is None else _nano(total)

    def price_parts(
        self, model: str, usage: Usage, provider: str = "", at: int | None = None
    ) -> dict[str, Nano] | None:
        """The same cost by bucket, adding up to it exactly (largest remainder)."""
        prices = self._prices(model, provider, usage.service_tier)
        total = prices.now(at).total(usage) if prices else None
        if prices is None or total is None:
            return None
        return _shared_out(prices.now(at).parts(usage), _nano(total))

    def _prices(self, model: str, provider: str, tier: str) -> Plan | None:
        key = (model, provider, tier)
        try:
            return self._plans[key]
        except KeyError:
            _bound(self._plans)
            prices = self._plans[key] = self._plan(model, provider, terms.read(tier.lower()))
            return prices

    def _plan(self, model: str, provider: str, on: terms.Terms) -> Plan | None:
        row = self.find(model, provider)
        own = self._override(model, provider, row)
        if on.advised:
            return None  # the other model's tokens are in no count
        if own is not None:
            return own_plan(own, row, on)
        return plan(row, on) if row else None

    def _override(self, model: str, provider: str, row: Row | None) -> Price | None:
        names = [name for key in spellings(model) for name in keys(key, provider)]
        if row is not None:
            names += [row.name, f"{row.provider}/{row.name}"]
        return next((self._overrides[name] for name in names if name in self._overrides), None)

    def _find(self, model: str, provider: str) -> Row | None:
        rows = (self._row(name, family(provider)) for name in spellings(model))
        return next((row for row in rows if row is not None), None)

    def _row(self, name: str, provider: str) -> Row | None:
        for key in keys(name, provider):
            row = self._exact(key)
            if row is not None and (not provider or row.provider == provider):
                return row
        prefix, _, rest = name.partition("/")
        return self._row(rest, prefix) if rest and prefix == (provider or prefix) else None

    def _exact(self, key: str) -> Row | None:
        name = key if key in self._rows else self._lower.get(key.lower())
        if name is None or name in _NO_MODELS:
            return None
        return parse(name, self._rows[name])


def _nano(total: Fine) -> Nano:
    nano, rest = divmod(total, _FINE_PER_NANO)
    twice = 2 * rest
    return nano + (twice > _FINE_PER_NANO or (twice == _FINE_PER_NANO and nano & 1))


def _shared_out(parts: Mapping[str, Fine], total: Nano) -> dict[str, Nano]:
    """Whole nano-dollars per part, the largest remainders rounded up until they add up to `total`."""
    whole = {name: price // _FINE_PER_NANO for name, price in parts.items()}
    left = total - sum(whole.values())
    by_rest = sorted(parts, key=lambda name: parts[name] % _FINE_PER_NANO, reverse=True)
    return whole | {name: whole[name] + 1 for name in by_rest[:left]}


def _bound(memo: dict[K, V]) -> None:
    """Names come from outside, so a memo must not grow for ever."""
    if len(memo) >= _MEMO_LIMIT:
        memo.clear()
