"""What a route is: its rules from the configuration, and how it stands at a moment.

Amounts are base units, fees are sun; shares are whole per cent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from models.chain import Balances
from models.figures import RouteFigures
from models.money import Currency
from models.order import RouteName
from models.spending import Ceiling, Ceilings, Period


@dataclass(frozen=True, slots=True)
class KycStep:
    """Amounts up to `up_to` (None: all) need a recipient verified to this level; 0 needs none."""

    up_to: int | None
    level: int


@dataclass(frozen=True, slots=True)
class RouteLimits:
    """What a route takes of one currency: one payout at least and at most, and all of them per
    hour, day and month. Without a figure only the currency's own limit holds.

    `kyc` ascends, and its last step is for all amounts beyond; none: no KYC is needed.
    """

    minimum: int
    maximum: int | None = None
    hourly: int | None = None
    daily: int | None = None
    monthly: int | None = None
    kyc: tuple[KycStep, ...] = ()

    @property
    def ceilings(self) -> Ceilings:
        """What its windows may hold of that currency."""
        figures = {
            Period.HOUR: self.hourly,
            Period.DAY: self.daily,
            Period.MONTH: self.monthly,
        }
        return {period: Ceiling(most) for period, most in figures.items() if most is not None}

    def kyc_level(self, amount: int) -> int:
        """The level to which the recipient of such an amount must be verified, 0 to 3."""
        levels = (step.level for step in self.kyc if step.up_to is None or amount <= step.up_to)
        return next(levels, 0)


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    """The rules of one route.

    `wallet` pays (None: the default one). `fee_cap_sun` is the most that a payout may usually
    burn, `capacity` the most payouts in flight, `priority` 1 to 10 (10 is preferred). With
    `urgent_from_priority` it takes emergencies and payouts of that priority or above only.
    """

    name: RouteName
    enabled: bool
    wallet: str | None
    limits: Mapping[Currency, RouteLimits]
    fee_cap_sun: int
    capacity: int
    priority: int
    urgent_from_priority: int | None = None

    @property
    def ceilings(self) -> Mapping[Currency, Ceilings]:
        """What its windows may hold."""
        return {currency: limits.ceilings for currency, limits in self.limits.items()}


class BreakerState(StrEnum):
    """Closed lets payouts through, half open a few at a time, open none."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class BreakerVerdict:
    """What a route's failures mean for it: how many payouts may be in flight at once (None: as
    many as it has capacity for), and why, in words."""

    state: BreakerState = BreakerState.CLOSED
    at_once: int | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class RouteState:
    """How a route stands now.

    `funds` is what its wallet has left beside what is in flight (None: not known now).
    `paused` says why a person stopped it, `closed` why a gate did. `usual_fee_sun` is what a
    payout of the currency in question usually burns there (None: not known).
    """

    figures: RouteFigures = field(default_factory=RouteFigures)
    breaker: BreakerVerdict = field(default_factory=BreakerVerdict)
    funds: Balances | None = None
    paused: str | None = None
    closed: str | None = None
    usual_fee_sun: int | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """A route with its rules and its state."""

    policy: RoutePolicy
    state: RouteState

    @property
    def name(self) -> RouteName:
        """Its name in the policy file."""
        return self.policy.name

    @property
    def taken(self) -> int:
        """Payouts that it has taken and not ended: in flight, or waiting for dispatch."""
        return self.state.figures.in_flight + self.state.figures.waiting


class Merit(StrEnum):
    """What speaks for a route, in points from 0 to 1000; `models/routing.py` says how many."""

    AMOUNT = "amount"
    PRIORITY = "priority"
    LOAD = "load"
    SUCCESS = "success"
    COST = "cost"
    SPEED = "speed"


class Strategy(StrEnum):
    """Which merits count, and how much, when several routes would take a payout."""

    OPTIMAL = "optimal"
    BALANCED = "balanced"
    FAST = "fast"
    COST_EFFICIENT = "cost_efficient"


@dataclass(frozen=True, slots=True)
class RouteBreakerPolicy:
    """When a route's failures stop it.

    It opens when of at least `min_volume` payouts that ended in the last `window_seconds` at least
    `failure_percent` failed. `recovery_seconds` after the last failure `trial_payouts` at a time
    are let through, until fewer have failed or the failures have left the window.
    """

    window_seconds: float
    min_volume: int
    failure_percent: int
    recovery_seconds: float
    trial_payouts: int


@dataclass(frozen=True, slots=True)
class FallbackPolicy:
    """A payout that left the choice to us and waits for `after_seconds` on a route that cannot pay
    it falls back on another one, at most `times` times; 0 is never."""

    after_seconds: float
    times: int


@dataclass(frozen=True, slots=True)
class RoutingPolicy:
    """How routes are compared. `weights` are per cent that add up to 100. Times and fees are those
    of the last `sample_payouts` completed payouts of a route (models/figures.py).

    A 95th percentile of `slow_seconds` and a usual fee of `dear_fee_sun` have no merit. Under
    `healthy_percent` successes, or from `busy_percent` of its capacity, a route is degraded.
    """

    strategy: Strategy
    weights: Mapping[Strategy, Mapping[Merit, int]]
    breaker: RouteBreakerPolicy
    fallback: FallbackPolicy
    sample_payouts: int
    slow_seconds: float
    dear_fee_sun: int
    healthy_percent: int
    busy_percent: int
