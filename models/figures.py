"""What a route's own history says of it: how full it is, how often it fails, how long it takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil

from models.payout import Payout, PayoutStatus


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from when a payout could first be paid to its completion, by share of payouts."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class RouteFigures:
    """One route as its payouts show it.

    `in_flight` have a live attempt, `waiting` are pending. `ended` (completed or failed) and
    `failed` are those of a rolling window that ends now, `last_failed_at` the last failure in it.
    The rest is of the last completed payouts, whenever that was: `sampled` is how many they are,
    `latency`, `mean_fee_sun` (all that their transactions burned) and `last_completed_at` are
    None where there are none.
    """

    in_flight: int = 0
    waiting: int = 0
    ended: int = 0
    failed: int = 0
    last_failed_at: datetime | None = None
    sampled: int = 0
    latency: Latency | None = None
    mean_fee_sun: int | None = None
    last_completed_at: datetime | None = None


def ready_at(payout: Payout) -> datetime:
    """When a payout could first be paid: what it waited for a time or a person says nothing of
    its route."""
    moments = (each.at for each in payout.history if each.to_status is PayoutStatus.PENDING)
    return min(moments, default=payout.created_at)


def burned_sun(payout: Payout) -> int:
    """What all transactions of a payout burned, one that a person linked to it included."""
    hits = (payout.linked_hit, *(attempt.hit for attempt in payout.attempts))
    return sum(hit.fee_sun for hit in hits if hit is not None)


def latency_of(seconds: Sequence[float]) -> Latency | None:
    """The latency that a sample shows; None for an empty one."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    return Latency(*(_percentile(ordered, percent) for percent in (50, 95, 99)))


def _percentile(ordered: Sequence[float], percent: int) -> float:
    """The smallest value that at least so many per cent do not exceed (nearest rank)."""
    return ordered[ceil(len(ordered) * percent / 100) - 1]
