"""Identifiers: UUIDv7 payout ids, which sort by the time of their making."""

import secrets
from collections.abc import Callable
from datetime import datetime

PAYOUT_PREFIX = "payout_"


def payout_id(now: datetime, random_bits: Callable[[int], int] = secrets.randbits) -> str:
    """`payout_` and the 32 hex digits of a UUIDv7 (RFC 9562 §5.7) of that moment."""
    milliseconds = int(now.timestamp() * 1000)
    value = (milliseconds & (1 << 48) - 1) << 80
    value |= 0x7 << 76 | random_bits(12) << 64
    value |= 0b10 << 62 | random_bits(62)
    return f"{PAYOUT_PREFIX}{value:032x}"
