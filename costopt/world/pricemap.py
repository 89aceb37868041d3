"""Reads the price map of the installed litellm as a file; litellm itself is never imported."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from costopt.decide.prices import PriceBook
from costopt.policy import Price

_MAP = "model_prices_and_context_window_backup.json"


def package_folder() -> Path | None:
    """Where litellm is installed, or None."""
    spec = find_spec("litellm")
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


def load(overrides: Mapping[str, Price] = {}) -> PriceBook:
    """The price book of the installed map (3 MB). Without one, prices not overridden are unknown."""
    folder = package_folder()
    path = folder / _MAP if folder else None
    data = path.read_bytes() if path and path.is_file() else b"{}"
    return PriceBook(data, overrides)
