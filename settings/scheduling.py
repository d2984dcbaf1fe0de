"""`scheduling` of `payout-router-config.yaml`: types of payouts, batches, and priorities."""

from typing import Final

from pydantic import Field, model_validator

from models.order import PayoutType
from models.schedule import HIGHEST_PRIORITY, SchedulePolicy
from settings.values import Frozen

_DAY: Final = 86_400


class PriorityTargets(Frozen):
    """Within how many seconds a payout that may wait is meant to be sent, from when it may be:
    critical is priority 10, high 8 and 9, normal 5 to 7, low the rest."""

    critical: int = Field(ge=1, le=30 * _DAY)
    high: int = Field(ge=1, le=30 * _DAY)
    normal: int = Field(ge=1, le=30 * _DAY)
    low: int = Field(ge=1, le=30 * _DAY)

    @property
    def steps(self) -> tuple[tuple[int, int], ...]:
        """Seconds from a priority on, highest first."""
        return ((HIGHEST_PRIORITY, self.critical), (8, self.high), (5, self.normal), (1, self.low))

    @model_validator(mode="after")
    def _check(self) -> "PriorityTargets":
        seconds = [each for _, each in self.steps]
        if seconds != sorted(seconds):
            raise ValueError("critical ≤ high ≤ normal ≤ low")
        return self


class SchedulingConfig(Frozen):
    """When payouts are released, and in which order they are paid."""

    max_ahead_days: int = Field(ge=1, le=365)
    batch_interval_seconds: int = Field(ge=1, le=_DAY)
    batch_size: int = Field(ge=1, le=10_000)
    immediate_seconds: int = Field(ge=1, le=_DAY)
    emergency_seconds: int = Field(ge=1, le=_DAY)
    ageing_seconds: int = Field(ge=1, le=_DAY)
    priority_seconds: PriorityTargets

    @model_validator(mode="after")
    def _check(self) -> "SchedulingConfig":
        for lowest, seconds in self.priority_seconds.steps:
            if (HIGHEST_PRIORITY - lowest) * self.ageing_seconds > seconds:
                raise ValueError(
                    "an ageing_seconds with which a payout of each priority has its turn within "
                    "its priority_seconds: (10 - priority) · ageing_seconds are not more"
                )
        if self.emergency_seconds > self.immediate_seconds:
            raise ValueError("emergency_seconds ≤ immediate_seconds")
        return self

    @property
    def policy(self) -> SchedulePolicy:
        """What models/schedule.py decides by."""
        return SchedulePolicy(
            max_ahead_days=self.max_ahead_days,
            batch_interval_seconds=self.batch_interval_seconds,
            batch_size=self.batch_size,
            ageing_seconds=self.ageing_seconds,
            targets={
                PayoutType.IMMEDIATE: self.immediate_seconds,
                PayoutType.EMERGENCY: self.emergency_seconds,
            },
            priority_targets=self.priority_seconds.steps,
        )
