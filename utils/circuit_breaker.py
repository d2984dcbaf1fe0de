"""Stop calling what keeps failing, and find out with a few trial calls when it is back."""

import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")


class BreakerState(StrEnum):
    """Closed lets calls through, open refuses them, half open lets a few trial calls through."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


class BreakerPolicy(BaseModel):
    """When a breaker opens and closes.

    `failure_threshold` failures in a row open it; after `recovery_seconds` up to
    `half_open_max_calls` trial calls run at a time; `success_threshold` successes close it, one
    failure opens it again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    failure_threshold: int = Field(default=5, ge=1, le=1000)
    recovery_seconds: float = Field(default=60, ge=0, le=3600)
    success_threshold: int = Field(default=2, ge=1, le=100)
    half_open_max_calls: int = Field(default=3, ge=1, le=100)


class CircuitOpenError(Exception):
    """The call was not made. `retry_after_seconds` is how long until a trial call may be made."""

    def __init__(self, name: str, retry_after_seconds: float) -> None:
        super().__init__(f"{name} keeps failing; next try in {retry_after_seconds:.1f} s")
        self.name = name
        self.retry_after_seconds = retry_after_seconds


class CircuitBreaker:
    """Guards the calls to one thing, for one event loop: `await breaker.call(fn)`.

    `counts(error)` says whether an exception is a failure of what is guarded; one that isn't
    counts as a success: the other side answered. A cancellation counts as neither.
    `on_change(name, state)` is told of each change of state.
    """

    def __init__(
        self,
        name: str,
        policy: BreakerPolicy,
        *,
        counts: Callable[[Exception], bool] = lambda error: True,
        monotonic: Callable[[], float] = time.monotonic,
        on_change: Callable[[str, BreakerState], None] | None = None,
    ) -> None:
        self.name = name
        self._policy = policy
        self._counts = counts
        self._monotonic = monotonic
        self._on_change = on_change
        self._state = BreakerState.CLOSED
        self._opened_at = 0.0
        # A call belongs to the period in which it began: what comes of it after a change of state
        # says nothing about the new one.
        self._period = 0
        self._failures = 0
        self._successes = 0
        self._trial_calls = 0

    @property
    def state(self) -> BreakerState:
        """The state. Once its recovery time is over an open breaker shows as half open, since the
        next call is let through; whether one comes is not its doing."""
        over = self._monotonic() >= self._opened_at + self._policy.recovery_seconds
        if self._state is BreakerState.OPEN and over:
            return BreakerState.HALF_OPEN
        return self._state

    async def call(self, fn: Callable[[], Awaitable[T]]) -> T:
        """Await `fn()`. Raises CircuitOpenError instead while the breaker lets nothing through."""
        period = self._enter()
        try:
            result = await fn()
        except Exception as error:
            self._leave(period, failed=self._counts(error))
            raise
        except BaseException:
            self._leave(period, failed=None)
            raise
        self._leave(period, failed=False)
        return result

    def _enter(self) -> int:
        if self._state is BreakerState.OPEN:
            wait = self._opened_at + self._policy.recovery_seconds - self._monotonic()
            if wait > 0:
                raise CircuitOpenError(self.name, wait)
            self._change(BreakerState.HALF_OPEN)
        if self._state is BreakerState.HALF_OPEN:
            if self._trial_calls >= self._policy.half_open_max_calls:
                raise CircuitOpenError(self.name, 0)
            self._trial_calls += 1
        return self._period

    def _leave(self, period: int, *, failed: bool | None) -> None:
        if period != self._period:
            return
        if self._state is BreakerState.HALF_OPEN:
            self._trial_calls -= 1
        if failed is None:
            return
        if failed:
            self._failures += 1
            if self._state is BreakerState.HALF_OPEN or (
                self._failures >= self._policy.failure_threshold
            ):
                self._opened_at = self._monotonic()
                self._change(BreakerState.OPEN)
            return
        self._failures = 0
        self._successes += 1
        if (
            self._state is BreakerState.HALF_OPEN
            and self._successes >= self._policy.success_threshold
        ):
            self._change(BreakerState.CLOSED)

    def _change(self, state: BreakerState) -> None:
        self._state = state
        self._period += 1
        self._failures = self._successes = self._trial_calls = 0
        if self._on_change is not None:
            self._on_change(self.name, state)
