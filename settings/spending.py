"""Limits: `currencies` of `payout-router-config.yaml`, and `client_limits` of
`payout-security-policies.yaml`. Amounts are integers in base units; windows are calendar hours,
days and months in UTC."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from models.money import Currency
from models.spending import Ceiling, Ceilings, ClientLimits, Period
from settings.roles import Role
from settings.values import Frozen, PositiveMoney

Count = Annotated[int, Field(ge=1, le=10_000_000)]


class PeriodLimits(Frozen):
    """The most that one hour, day and month may hold, by amount and by number of payouts. What is
    left out is not limited."""

    hourly_limit: PositiveMoney | None = None
    daily_limit: PositiveMoney | None = None
    monthly_limit: PositiveMoney | None = None
    hourly_count: Count | None = None
    daily_count: Count | None = None
    monthly_count: Count | None = None

    @property
    def _of_one_payout(self) -> tuple[int, ...]:
        """What bounds the amount of one payout: least and most."""
        return ()

    @model_validator(mode="after")
    def _check(self) -> "PeriodLimits":
        # Not held against each other: a variable may lower the one without the others.
        limits = (self.hourly_limit, self.daily_limit, self.monthly_limit)
        lowest = sorted(each for each in limits if each is not None)[:1]
        steps = [*self._of_one_payout, *lowest]
        if steps != sorted(steps):
            raise ValueError(
                "min_amount ≤ max_amount ≤ hourly_limit, daily_limit and monthly_limit, where given"
            )
        return self

    @property
    def ceilings(self) -> Ceilings:
        """What models/spending.py makes windows of."""
        figures = {
            Period.HOUR: Ceiling(self.hourly_limit, self.hourly_count),
            Period.DAY: Ceiling(self.daily_limit, self.daily_count),
            Period.MONTH: Ceiling(self.monthly_limit, self.monthly_count),
        }
        return {period: each for period, each in figures.items() if each != Ceiling()}


class CurrencyLimits(PeriodLimits):
    """The limits of one currency: those of one payout, of all payouts together, and of all payouts
    to one recipient."""

    min_amount: PositiveMoney
    max_amount: PositiveMoney
    hourly_limit: PositiveMoney
    daily_limit: PositiveMoney
    monthly_limit: PositiveMoney
    recipient: PeriodLimits = PeriodLimits()

    @property
    def _of_one_payout(self) -> tuple[int, ...]:
        return (self.min_amount, self.max_amount)


class ClientCurrencyLimits(PeriodLimits):
    """What one client may have paid in one currency: at most by one payout, and in time."""

    max_amount: PositiveMoney | None = None

    @property
    def _of_one_payout(self) -> tuple[int, ...]:
        return () if self.max_amount is None else (self.max_amount,)

    @property
    def limits(self) -> ClientLimits:
        """What models/spending.py decides by."""
        return ClientLimits(self.max_amount, self.ceilings)


def _complete(
    roles: dict[Role, dict[Currency, ClientCurrencyLimits]],
) -> dict[Role, dict[Currency, ClientCurrencyLimits]]:
    if set(roles) != set(Role):
        raise ValueError(f"each of the roles {', '.join(Role)}, {{}} for one without limits")
    if any(limits and set(limits) != set(Currency) for limits in roles.values()):
        raise ValueError(f"limits for each of {', '.join(Currency)}, or none")
    return roles


ClientLimitsConfig = Annotated[
    dict[Role, dict[Currency, ClientCurrencyLimits]], AfterValidator(_complete)
]
"""The limits of each client by the role of its token, and by currency."""


def client_policy(
    config: Mapping[Role, Mapping[Currency, ClientCurrencyLimits]],
) -> Mapping[str, Mapping[Currency, ClientLimits]]:
    """What models/spending.py decides by."""
    return {
        role.value: {currency: each.limits for currency, each in limits.items()}
        for role, limits in config.items()
    }
