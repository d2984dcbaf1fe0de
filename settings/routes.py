"""The sections `routes` and `routing` of `payout-router-config.yaml`: by which wallet and under
which rules payouts go, and how a route is chosen."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from models.money import Currency
from models.order import RouteName
from models.routes import (
    FallbackPolicy,
    KycStep,
    Merit,
    RouteBreakerPolicy,
    RouteLimits,
    RoutePolicy,
    RoutingPolicy,
    Strategy,
)
from settings.values import Address, Frozen, PositiveMoney, Seconds

Percent = Annotated[int, Field(ge=0, le=100)]


class KycStepConfig(Frozen):
    """Amounts up to `up_to` need this level of KYC; the last step, for all beyond, has none."""

    up_to: PositiveMoney | None = None
    level: int = Field(ge=0, le=3)


class RouteLimitsConfig(Frozen):
    """What a route takes of one currency; what is left out is limited by the currency only."""

    min_amount: PositiveMoney
    max_amount: PositiveMoney | None = None
    hourly_limit: PositiveMoney | None = None
    daily_limit: PositiveMoney | None = None
    monthly_limit: PositiveMoney | None = None
    kyc: tuple[KycStepConfig, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> "RouteLimitsConfig":
        figures = (
            self.min_amount,
            self.max_amount,
            self.hourly_limit,
            self.daily_limit,
            self.monthly_limit,
        )
        given = [figure for figure in figures if figure is not None]
        if given != sorted(given):
            raise ValueError("min_amount ≤ max_amount ≤ hourly_limit ≤ daily_limit ≤ monthly_limit")
        if self.kyc and not self._kyc_ascends():
            raise ValueError(
                "kyc steps with ascending up_to and level, of which only the last has no up_to"
            )
        return self

    def _kyc_ascends(self) -> bool:
        *steps, last = self.kyc
        bounds = [step.up_to for step in steps if step.up_to is not None]
        levels = [step.level for step in self.kyc]
        return (
            last.up_to is None
            and len(bounds) == len(steps)
            and all(low < high for low, high in pairwise(bounds))
            and levels == sorted(levels)
        )

    @property
    def limits(self) -> RouteLimits:
        """The same for the domain."""
        return RouteLimits(
            minimum=self.min_amount,
            maximum=self.max_amount,
            hourly=self.hourly_limit,
            daily=self.daily_limit,
            monthly=self.monthly_limit,
            kyc=tuple(KycStep(step.up_to, step.level) for step in self.kyc),
        )


class RouteConfig(Frozen):
    """One route; `wallet` is the address that pays, left out: the default wallet."""

    enabled: bool
    wallet: Address | None = None
    currencies: dict[Currency, RouteLimitsConfig] = Field(min_length=1)
    fee_cap_sun: PositiveMoney = Field(alias="fee_cap_trx")
    capacity: int = Field(ge=1, le=1_000_000)
    priority: int = Field(ge=1, le=10)
    urgent_from_priority: int | None = Field(default=None, ge=1, le=10)

    def policy(self, name: RouteName) -> RoutePolicy:
        """The rules of this route for the domain."""
        return RoutePolicy(
            name=name,
            enabled=self.enabled,
            wallet=self.wallet,
            limits={currency: taken.limits for currency, taken in self.currencies.items()},
            fee_cap_sun=self.fee_cap_sun,
            capacity=self.capacity,
            priority=self.priority,
            urgent_from_priority=self.urgent_from_priority,
        )


def _every_route(routes: Mapping[RouteName, RouteConfig]) -> Mapping[RouteName, RouteConfig]:
    if set(routes) != set(RouteName):
        raise ValueError(f"{', '.join(RouteName)}; one that is not used with enabled: false")
    return routes


RoutesConfig = Annotated[dict[RouteName, RouteConfig], AfterValidator(_every_route)]
"""The section `routes`: every route by its name."""


def route_policies(routes: Mapping[RouteName, RouteConfig]) -> tuple[RoutePolicy, ...]:
    """The rules of all routes for the domain."""
    return tuple(config.policy(name) for name, config in routes.items())


def _whole(weights: Mapping[Merit, int]) -> Mapping[Merit, int]:
    if sum(weights.values()) != 100:
        raise ValueError("weights that add up to 100")
    return weights


def _every_strategy(
    weights: Mapping[Strategy, Mapping[Merit, int]],
) -> Mapping[Strategy, Mapping[Merit, int]]:
    if set(weights) != set(Strategy):
        raise ValueError(f"the weights of {', '.join(Strategy)}")
    return weights


Weights = Annotated[dict[Merit, Percent], AfterValidator(_whole)]


class RouteBreakerConfig(Frozen):
    """When a route's failures stop it."""

    window_seconds: Seconds
    min_volume: int = Field(ge=1, le=100_000)
    failure_percent: int = Field(ge=1, le=100)
    recovery_seconds: Seconds
    trial_payouts: int = Field(ge=1, le=1000)

    @model_validator(mode="after")
    def _check(self) -> "RouteBreakerConfig":
        if self.recovery_seconds > self.window_seconds:
            raise ValueError("recovery_seconds ≤ window_seconds")
        return self


class FallbackConfig(Frozen):
    """When a payout that waits leaves its route for another one by itself."""

    after_seconds: Seconds
    times: int = Field(ge=0, le=100)


class RoutingConfig(Frozen):
    """How a route is chosen, from which of its last completed payouts its latency and fees are
    taken (`sample_payouts`), and when it counts as degraded."""

    strategy: Strategy
    weights: Annotated[dict[Strategy, Weights], AfterValidator(_every_strategy)]
    breaker: RouteBreakerConfig
    fallback: FallbackConfig
    sample_payouts: int = Field(ge=1, le=10_000)
    slow_seconds: Seconds
    dear_fee_sun: PositiveMoney = Field(alias="dear_fee_trx")
    healthy_percent: Percent
    busy_percent: int = Field(ge=1, le=100)

    @property
    def policy(self) -> RoutingPolicy:
        """The same for the domain."""
        return RoutingPolicy(
            strategy=self.strategy,
            weights=self.weights,
            breaker=RouteBreakerPolicy(**self.breaker.model_dump()),
            fallback=FallbackPolicy(**self.fallback.model_dump()),
            sample_payouts=self.sample_payouts,
            slow_seconds=self.slow_seconds,
            dear_fee_sun=self.dear_fee_sun,
            healthy_percent=self.healthy_percent,
            busy_percent=self.busy_percent,
        )
