"""Time: when a payout is released, when it expires, and in which order payouts are paid."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from models.errors import PayoutError
from models.order import BatchWindow, PayoutType, RouteName

HIGHEST_PRIORITY: Final = 10

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Where the intervals of batches are counted from."""


@dataclass(frozen=True, slots=True)
class SchedulePolicy:
    """How far ahead a payout may be scheduled, how long and up to how many payouts a batch
    gathers, and how many seconds of waiting are worth one step of priority.

    `targets` is within how many seconds a payout is meant to be sent from when it may be: those
    of the types that do not wait, and of the rest by priority (`priority_targets`: from that
    priority on, highest first, down to 1).
    """

    max_ahead_days: int
    batch_interval_seconds: int
    batch_size: int
    ageing_seconds: int
    targets: Mapping[PayoutType, int]
    priority_targets: tuple[tuple[int, int], ...]


def release_at(
    *,
    payout_type: PayoutType,
    batch_window: BatchWindow,
    scheduled_at: datetime | None,
    route: RouteName,
    now: datetime,
    policy: SchedulePolicy,
) -> datetime | None:
    """When a payout that is accepted `now` (UTC, the database's clock) may be paid; None: at once.

    A scheduled payout waits for its time whatever its route; a batch for the end of the window
    that `now` is in, unless its route is `direct`. Raises PayoutError P003 for a scheduled payout
    without a time, in the past or too far ahead, and for a time or window where the type has none.
    """
    _check_scheduled(payout_type, scheduled_at, now, policy)
    if batch_window is not BatchWindow.INTERVAL and payout_type is not PayoutType.BATCH:
        text = f"a payout of the type {payout_type} has no batch_window"
        raise PayoutError("P003", text, field="batch_window")
    if payout_type is PayoutType.SCHEDULED:
        return scheduled_at
    if payout_type is PayoutType.BATCH and route is not RouteName.DIRECT:
        return window_end(batch_window, now, policy)
    return None


def window_end(window: BatchWindow, now: datetime, policy: SchedulePolicy) -> datetime:
    """The end of the batch window that a moment (UTC) is in: the first one after it."""
    return _ENDS[window](now, policy)


def check_expiry(expires_at: datetime | None, released: datetime | None, now: datetime) -> None:
    """Raise PayoutError P503 for a payout that has expired `now`, and P003 for one that would
    expire before it is released (`released`; None: at once)."""
    if expires_at is None:
        return
    if expires_at <= now:
        raise PayoutError("P503", "expires_at is in the past", field="expires_at")
    if released is not None and expires_at <= released:
        raise PayoutError(
            "P003",
            f"expires_at must be after the payout is released, at {_text(released)}",
            field="expires_at",
            released_at=_text(released),
        )


def rank_at(
    payout_type: PayoutType, priority: int, since: datetime, policy: SchedulePolicy
) -> datetime:
    """Payouts are paid in the order of this: `since` (from when it may be paid), earlier by
    `ageing_seconds` for each step of priority (1 to 10; an emergency stands above them).

    So nothing starves: a payout is overtaken only by those that come within
    (11 - its priority) * `ageing_seconds` after it.
    """
    step = HIGHEST_PRIORITY + 1 if payout_type is PayoutType.EMERGENCY else priority
    return since - timedelta(seconds=step * policy.ageing_seconds)


def target_seconds(payout_type: PayoutType, priority: int, policy: SchedulePolicy) -> int:
    """Within how many seconds, from when it may be paid, a payout is meant to be sent."""
    by_priority = (seconds for lowest, seconds in policy.priority_targets if priority >= lowest)
    return policy.targets.get(payout_type) or next(by_priority)


def _check_scheduled(
    payout_type: PayoutType, scheduled_at: datetime | None, now: datetime, policy: SchedulePolicy
) -> None:
    latest = now + timedelta(days=policy.max_ahead_days)
    scheduled = payout_type is PayoutType.SCHEDULED
    faults = (
        (scheduled and scheduled_at is None, "a scheduled payout needs scheduled_at"),
        (
            not scheduled and scheduled_at is not None,
            f"a payout of the type {payout_type} has no scheduled_at",
        ),
        (scheduled_at is not None and scheduled_at <= now, "scheduled_at must be in the future"),
        (
            scheduled_at is not None and scheduled_at > latest,
            f"scheduled_at must be within {policy.max_ahead_days} days, by {_text(latest)}",
        ),
    )
    for wrong, message in faults:
        if wrong:
            raise PayoutError("P003", message, field="scheduled_at", latest=_text(latest))


def _interval_end(now: datetime, policy: SchedulePolicy) -> datetime:
    interval = timedelta(seconds=policy.batch_interval_seconds)
    return now + interval - (now - EPOCH) % interval


def _hour_end(now: datetime, policy: SchedulePolicy) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


def _day_end(now: datetime, policy: SchedulePolicy) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def _week_end(now: datetime, policy: SchedulePolicy) -> datetime:
    return _day_end(now, policy) + timedelta(days=6 - now.weekday())


_ENDS: Final[Mapping[BatchWindow, Callable[[datetime, SchedulePolicy], datetime]]] = {
    BatchWindow.INTERVAL: _interval_end,
    BatchWindow.HOURLY: _hour_end,
    BatchWindow.DAILY: _day_end,
    BatchWindow.WEEKLY: _week_end,
}


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
