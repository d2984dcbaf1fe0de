"""Whether a route can be used, whatever is to be paid: its breaker, its room, its health.

All of it follows from stored facts, so every replica comes to the same answer, and a payout with a
live attempt is nobody's business here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from models.figures import RouteFigures
from models.money import Currency
from models.routes import (
    BreakerState,
    BreakerVerdict,
    Route,
    RouteBreakerPolicy,
    RoutingPolicy,
)


def breaker(figures: RouteFigures, policy: RouteBreakerPolicy, now: datetime) -> BreakerVerdict:
    """What the failures in the rolling window that ends `now` (database's clock) mean.

    A success while it is half open does not close it: it lowers the share of failures, and that
    closes it. So a route of which every second payout fails never gets more than its trials.
    """
    failing = figures.failed * 100 >= policy.failure_percent * figures.ended
    if figures.ended < policy.min_volume or not failing or figures.last_failed_at is None:
        return BreakerVerdict()
    text = (
        f"{figures.failed} of the {figures.ended} payouts that ended in the last "
        f"{policy.window_seconds:g} s failed"
    )
    trials_at = figures.last_failed_at + timedelta(seconds=policy.recovery_seconds)
    if now < trials_at:
        text = f"{text}; trial payouts from {trials_at:%Y-%m-%d %H:%M:%S} UTC"
        return BreakerVerdict(BreakerState.OPEN, 0, text)
    text = f"{text}; {policy.trial_payouts} trial payouts at a time"
    return BreakerVerdict(BreakerState.HALF_OPEN, policy.trial_payouts, text)


def room(route: Route) -> int:
    """How many more of its waiting payouts may get a live attempt now."""
    if any(check(route, None) for check in (disabled, paused, closed)):
        return 0
    at_once = route.state.breaker.at_once
    most = route.policy.capacity if at_once is None else min(at_once, route.policy.capacity)
    return max(0, most - route.state.figures.in_flight)


class Health(StrEnum):
    """How a route does, best first."""

    OPERATIONAL = "operational"
    DEGRADED = "degraded"
    UNAVAILABLE = "unavailable"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class Condition:
    """A route's health, and all that speaks against it, the worst first."""

    health: Health
    reasons: tuple[str, ...]


def condition(route: Route, policy: RoutingPolicy) -> Condition:
    """The worst that the table below finds. A route that is not operational has a reason."""
    found = [(health, text) for health, check in HEALTH if (text := check(route, policy))]
    worst = found[0][0] if found else Health.OPERATIONAL
    return Condition(worst, tuple(text for _, text in found))


# What concerns a route whatever is wanted of it. The second argument is what the tables that use
# these checks give to their others.


def disabled(route: Route, _: object) -> str | None:
    """Switched off in the policy file."""
    return None if route.policy.enabled else "the route is switched off"


def paused(route: Route, _: object) -> str | None:
    """Stopped by a person."""
    return None if route.state.paused is None else f"the route is paused: {route.state.paused}"


def closed(route: Route, _: object) -> str | None:
    """Its wallet's gate, or everybody's, is closed."""
    return None if route.state.closed is None else f"dispatch is closed: {route.state.closed}"


def broken(route: Route, _: object) -> str | None:
    """The breaker is open, or all its trials are taken. Those that wait will be trials too."""
    verdict = route.state.breaker
    return None if verdict.at_once is None or route.taken < verdict.at_once else verdict.text


def full(route: Route, _: object) -> str | None:
    """As many in flight as it may have."""
    in_flight, capacity = route.state.figures.in_flight, route.policy.capacity
    return None if in_flight < capacity else f"{in_flight} of {capacity} payouts are in flight"


def _penniless(route: Route, _: RoutingPolicy) -> str | None:
    funds = route.state.funds
    return None if funds is None or funds.trx_sun > 0 else "the wallet has no TRX left for fees"


def _tokenless(route: Route, _: RoutingPolicy) -> str | None:
    funds = route.state.funds
    if funds is None or funds.usdt > 0 or Currency.USDT not in route.policy.limits:
        return None
    return "the wallet has no USDT left"


def _on_trial(route: Route, _: RoutingPolicy) -> str | None:
    """Half open, with a trial to be had; a closed breaker has no text."""
    return None if broken(route, None) else route.state.breaker.text


def _failing(route: Route, policy: RoutingPolicy) -> str | None:
    figures = route.state.figures
    enough = figures.ended >= policy.breaker.min_volume
    succeeded = figures.ended - figures.failed
    if not enough or succeeded * 100 >= policy.healthy_percent * figures.ended:
        return None
    return f"{succeeded} of {figures.ended} payouts succeeded, less than {policy.healthy_percent} %"


def _slow(route: Route, policy: RoutingPolicy) -> str | None:
    latency = route.state.figures.latency
    if latency is None or latency.p95 <= policy.slow_seconds:
        return None
    return f"1 of 20 payouts takes {latency.p95:.0f} s or more; {policy.slow_seconds:g} s is slow"


def _busy(route: Route, policy: RoutingPolicy) -> str | None:
    if route.taken * 100 < policy.busy_percent * route.policy.capacity:
        return None
    return f"{route.taken} payouts in flight or waiting, with a capacity of {route.policy.capacity}"


HEALTH: Final[Sequence[tuple[Health, Callable[[Route, RoutingPolicy], str | None]]]] = (
    (Health.OFFLINE, disabled),
    (Health.OFFLINE, paused),
    (Health.UNAVAILABLE, closed),
    (Health.UNAVAILABLE, broken),
    (Health.UNAVAILABLE, full),
    (Health.UNAVAILABLE, _penniless),
    (Health.DEGRADED, _tokenless),
    (Health.DEGRADED, _on_trial),
    (Health.DEGRADED, _failing),
    (Health.DEGRADED, _slow),
    (Health.DEGRADED, _busy),
)
"""What is looked at, the worst first."""
