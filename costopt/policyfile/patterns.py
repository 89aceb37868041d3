"""What the readers of `units` take, as patterns for editors: bounds and whole numbers included.

They say less in two places only: a size in KiB to TiB need not be of whole bytes, and the last week (TiB, ...) below a
bound has no fraction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from costopt.policyfile.units import (
    BYTES,
    LARGEST,
    LONGEST_S,
    MILLISECONDS,
    RATE_WINDOWS,
    SCALES,
    SPACED,
    SPEND_WINDOWS,
)

#: Digits before and after the point that `units.NUMBER` reads.
DIGITS = 15


def words(known: Iterable[str]) -> str:
    """Any of these, in small letters or capitals."""
    either = ("".join(f"[{letter}{letter.upper()}]" for letter in word) for word in known)
    return f"^({'|'.join(either)})$"


def number(decimals: int = DIGITS, most: int = 10**DIGITS - 1) -> str:
    """Numbers up to `most` without a leading zero, of which `decimals` after the point may be other than 0."""
    part = _fraction(decimals)
    if most == 10**DIGITS - 1:
        return f"(?:0|[1-9][0-9]{{0,{DIGITS - 1}}}){part}"
    below = "|".join(_below(str(most)))
    return f"(?:(?:{below}){part}|{most}{_fraction(0)})"


def _fraction(decimals: int) -> str:
    if decimals == 0:
        return rf"(?:\.0{{1,{DIGITS}}})?"
    return rf"(?:\.[0-9]{{1,{decimals}}}" + (f"0{{0,{DIGITS - decimals}}})?" if decimals < DIGITS else ")?")


def _below(most: str) -> Iterator[str]:
    """Whole numbers below `most`: shorter ones, then those that are less at each digit."""
    yield "0"
    if len(most) > 1:
        yield f"[1-9][0-9]{{0,{len(most) - 2}}}"
    for at, digit in enumerate(most):
        lowest = 0 if at else 1
        if int(digit) > lowest:
            yield f"{most[:at]}[{lowest}-{int(digit) - 1}][0-9]{{{len(most) - at - 1}}}"


def _whole(scale: int) -> int:
    """Decimals of a number that is whole once it is multiplied by a power of ten."""
    return len(str(scale)) - 1


def _counts(spaced: bool = False) -> str:
    """A whole number, also of thousands and millions."""
    kinds = [f"{number(_whole(of))}{scale}" for scale, of in SCALES.items()]
    if spaced:
        kinds.append(f"{SPACED}[kKM]?")
    return f"(?:{'|'.join(kinds)})"


def _size(unit: str, of: int) -> str:
    binary = "i" in unit
    return f"{number(DIGITS if binary else _whole(of), min(LARGEST // of, 10**DIGITS - 1))}{unit}"


def _duration(unit: str, ms: int) -> str:
    return f"{number(most=int(LONGEST_S * 1000) // ms)}{unit}"


#: None of it, in any unit or without one.
NO_DURATION = rf"^0(?:\.0{{1,{DIGITS}}}(?=[a-z]))?(?:{'|'.join(MILLISECONDS)})?$"
DURATION = f"^(?:{'|'.join(_duration(unit, ms) for unit, ms in MILLISECONDS.items())})$"
SIZE = f"^(?:{'|'.join(_size(unit, of) for unit, of in BYTES.items())})$"
COUNT = f"^{_counts(spaced=True)}$"
RATE = f"^{_counts()}/(?:{'|'.join(RATE_WINDOWS)})$"
MONEY = rf"^\${number(9)}$"
SPEND = rf"^\${number(9)}/(?:{'|'.join(SPEND_WINDOWS)})$"
