"""What a route's own history says of it: how full it is, how often it fails, how long it takes."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import Final

from models.money import Currency
from models.payout import Payout, PayoutStatus

FEES_SECONDS: Final = 3_600.0
"""What payouts burned that were completed longer ago says nothing: energy may have another price.
So a route that its own fees have shut is tried again after that, and its new fees count alone."""

FEES_FROM: Final = 5
"""So many payouts show what one usually burns: a single one may have made an account, or have been
tried twice."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from when a payout could first be paid to its completion, by share of payouts."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Fees:
    """What completed payouts of one currency burned: how many they are (at least 1), and the mean
    (sun) of all that the transactions of each burned."""

    sampled: int
    mean_sun: int


@dataclass(frozen=True, slots=True)
class RouteFigures:
    """One route as its payouts show it.

    `in_flight` have a live attempt, `waiting` are pending. `ended` (completed or failed) and
    `failed` are those of a rolling window that ends now, `last_failed_at` the last failure in it.
    The rest is of the last completed payouts, whenever that was: `sampled` is how many they are,
    `latency` and `last_completed_at` are None where there are none. `fees` are of those of them
    that were completed in the last FEES_SECONDS.
    """

    in_flight: int = 0
    waiting: int = 0
    ended: int = 0
    failed: int = 0
    last_failed_at: datetime | None = None
    sampled: int = 0
    latency: Latency | None = None
    fees: Mapping[Currency, Fees] = field(default_factory=dict)
    last_completed_at: datetime | None = None

    def usual_fee_sun(self, currency: Currency, configured_sun: int) -> int:
        """What a payout of that currency usually burns: the route's own mean where enough payouts
        show it, else what is configured."""
        shown = self.fees.get(currency)
        return configured_sun if shown is None or shown.sampled < FEES_FROM else shown.mean_sun


def ready_at(payout: Payout) -> datetime:
    """When a payout could first be paid: what it waited for a time or a person says nothing of
    its route."""
    moments = (each.at for each in payout.history if each.to_status is PayoutStatus.PENDING)
    return min(moments, default=payout.created_at)


def burned_sun(payout: Payout) -> int:
    """What all transactions of a payout burned, one that a person linked to it included."""
    hits = (payout.linked_hit, *(attempt.hit for attempt in payout.attempts))
    return sum(hit.fee_sun for hit in hits if hit is not None)


def fees_of(payouts: Sequence[Payout], now: datetime) -> Mapping[Currency, Fees]:
    """What completed payouts show of the fees of each currency now (the store's clock)."""
    since = now - timedelta(seconds=FEES_SECONDS)
    burned: dict[Currency, list[int]] = defaultdict(list)
    for payout in payouts:
        if payout.updated_at >= since:
            burned[payout.order.currency].append(burned_sun(payout))
    return {each: Fees(len(fees), sum(fees) // len(fees)) for each, fees in burned.items()}


def latency_of(seconds: Sequence[float]) -> Latency | None:
    """The latency that a sample shows; None for an empty one."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    return Latency(*(_percentile(ordered, percent) for percent in (50, 95, 99)))


def _percentile(ordered: Sequence[float], percent: int) -> float:
    """The smallest value that at least so many per cent do not exceed (nearest rank)."""
    return ordered[ceil(len(ordered) * percent / 100) - 1]
