"""How much one payout may be, and what a limit window holds (models/spending.py has those)."""

from collections.abc import Mapping
from dataclasses import dataclass

from models.errors import PayoutError
from models.money import Currency, format_amount


@dataclass(frozen=True, slots=True)
class AmountLimits:
    """What one payout of a currency may be, in base units: at least and at most."""

    minimum: int
    maximum: int


Limits = Mapping[Currency, AmountLimits]


@dataclass(frozen=True, slots=True)
class Used:
    """What a window holds: base units, and payouts."""

    amount: int = 0
    count: int = 0


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
