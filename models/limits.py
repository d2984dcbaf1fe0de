"""Spending limits: which windows a payout counts in, and how much each may hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from models.errors import PayoutError
from models.money import Currency, format_amount


@dataclass(frozen=True, slots=True)
class AmountLimits:
    """The limits of one currency, in base units: one payout at least and at most, one UTC day."""

    minimum: int
    maximum: int
    daily: int


Limits = Mapping[Currency, AmountLimits]


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time in which payouts of one currency may sum up to `maximum` base units.

    The id holds scope, currency and start, so that one document serves one window.
    """

    window_id: str
    code: str
    maximum: int
    ends_at: datetime


def check_amount(limits: AmountLimits, currency: Currency, amount: int) -> None:
    """Raise PayoutError P101 or P102 when one payout of `amount` base units is out of range."""
    if amount < limits.minimum:
        raise PayoutError(
            "P101",
            f"the amount is below the minimum of {format_amount(limits.minimum)} {currency}",
            field="amount",
            minimum=format_amount(limits.minimum),
        )
    if amount > limits.maximum:
        raise PayoutError(
            "P102",
            f"the amount is above the maximum of {format_amount(limits.maximum)} {currency}",
            field="amount",
            maximum=format_amount(limits.maximum),
        )


def windows(limits: AmountLimits, currency: Currency, accepted_at: datetime) -> tuple[Window, ...]:
    """The windows that a payout accepted at that moment (UTC, the database's clock) counts in."""
    start = accepted_at.replace(hour=0, minute=0, second=0, microsecond=0)
    return (
        Window(
            window_id=f"day:{currency}:{start:%Y-%m-%d}",
            code="P103",
            maximum=limits.daily,
            ends_at=start + timedelta(days=1),
        ),
    )
