"""Money: decimal strings outside, integers in base units inside, floats nowhere."""

import re
from enum import StrEnum

DECIMALS = 6
"""Both currencies have six decimals: 1 USDT = 10^6 base units, 1 TRX = 10^6 sun."""

BASE_UNITS: int = 10**DECIMALS

_AMOUNT = re.compile(r"(?P<whole>0|[1-9][0-9]{0,12})(?:\.(?P<fraction>[0-9]+))?", re.ASCII)


class Currency(StrEnum):
    """What the router pays in: USDT is a TRC20 token, TRX the chain's own coin."""

    USDT = "USDT"
    TRX = "TRX"


def parse_amount(text: str) -> int:
    """Base units of a decimal string such as "12.50".

    Up to 13 digits before the point, without needless zeros, and 6 after it; no sign, exponent,
    space or float. Raises ValueError with a sentence for people. 0 parses; limits refuse it.
    """
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise ValueError(
            'must be a decimal string such as "12.50": digits and at most one point, '
            "no sign, no exponent"
        )
    fraction = match["fraction"] or ""
    if len(fraction) > DECIMALS:
        raise ValueError(f"has {len(fraction)} decimals; at most {DECIMALS} are allowed")
    return int(match["whole"]) * BASE_UNITS + int(fraction.ljust(DECIMALS, "0"))


def format_amount(units: int) -> str:
    """The decimal string of base units (≥ 0), with at least two decimals: 12500000 → "12.50"."""
    whole, fraction = divmod(units, BASE_UNITS)
    digits = f"{fraction:0{DECIMALS}d}".rstrip("0").ljust(2, "0")
    return f"{whole}.{digits}"
