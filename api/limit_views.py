"""Limits as JSON: what holds, what is used of it, what is left."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from models.limits import AmountLimits, Used
from models.money import Currency, format_amount
from models.spending import Period, SpendScope, SpendWindow
from services.quoting import LimitReport

Money = Annotated[str, Field(examples=["100000.00"])]


class PerPayoutView(BaseModel):
    """What one payout of the caller may be."""

    currency: Currency
    min_amount: Money
    max_amount: Money

    @classmethod
    def of(cls, currency: Currency, limits: AmountLimits) -> Self:
        """Render the limits of one payout."""
        return cls(
            currency=currency,
            min_amount=format_amount(limits.minimum),
            max_amount=format_amount(limits.maximum),
        )


class AmountView(BaseModel):
    """A limit of an amount, as decimal strings."""

    limit: Money
    used: Money
    left: Money


class CountView(BaseModel):
    """A limit of a number of payouts."""

    limit: int
    used: int
    left: int


class WindowView(BaseModel):
    """What payouts of one hour, day or month (UTC) may add up to. Null is no limit of that kind.

    A payout counts in the windows of the moment at which it was accepted, until it has ended
    unpaid.
    """

    scope: SpendScope
    owner: Annotated[
        str | None,
        Field(description="The route, client (tenant/subject) or recipient.", examples=["v0"]),
    ]
    period: Period
    currency: Currency
    amount: AmountView | None
    count: CountView | None
    starts_at: datetime
    resets_at: datetime

    @classmethod
    def of(cls, window: SpendWindow, used: Used) -> Self:
        """Render a window and what it holds."""
        amount, count = window.maximum, window.max_count
        return cls(
            scope=window.scope,
            owner=window.owner or None,
            period=window.period,
            currency=window.currency,
            amount=None
            if amount is None
            else AmountView(
                limit=format_amount(amount),
                used=format_amount(used.amount),
                left=format_amount(max(0, amount - used.amount)),
            ),
            count=None
            if count is None
            else CountView(limit=count, used=used.count, left=max(0, count - used.count)),
            starts_at=window.starts_at,
            resets_at=window.ends_at,
        )


class LimitList(BaseModel):
    """The limits that hold for the caller's payouts now."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "per_payout": [
                        {"currency": "USDT", "min_amount": "0.01", "max_amount": "1000.00"}
                    ],
                    "windows": [
                        {
                            "scope": "client",
                            "owner": "north/shop-7",
                            "period": "day",
                            "currency": "USDT",
                            "amount": {"limit": "5000.00", "used": "750.00", "left": "4250.00"},
                            "count": {"limit": 5, "used": 3, "left": 2},
                            "starts_at": "2026-03-01T00:00:00Z",
                            "resets_at": "2026-03-02T00:00:00Z",
                        }
                    ],
                }
            ]
        }
    )

    per_payout: list[PerPayoutView]
    windows: list[WindowView]

    @classmethod
    def of(cls, report: LimitReport) -> Self:
        """Render the limits."""
        return cls(
            per_payout=[PerPayoutView.of(*each) for each in report.amounts.items()],
            windows=[WindowView.of(*each) for each in report.windows],
        )
