"""Try a call again, a bounded number of times, waiting longer each time."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

T = TypeVar("T")


class RetryPolicy(BaseModel):
    """How often, and how long to wait before each further try (seconds).

    Wait n (from 0) is `base_seconds * multiplier**n`, at most `max_seconds`, then lengthened by a
    random share of itself between 0 and `jitter`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    tries: int = Field(ge=1, le=20)
    base_seconds: float = Field(ge=0, le=60)
    max_seconds: float = Field(ge=0, le=600)
    multiplier: float = Field(default=2, ge=1, le=10)
    jitter: float = Field(default=0.1, ge=0, le=1)

    def wait_seconds(self, retries_before: int, share: float) -> float:
        """The wait before the next try; `share` in 0..1 says how much of the jitter is added."""
        wait = min(self.base_seconds * self.multiplier**retries_before, self.max_seconds)
        return wait * (1 + self.jitter * share)


async def retry(
    fn: Callable[[], Awaitable[T]],
    policy: RetryPolicy,
    *,
    retry_on: tuple[type[BaseException], ...],
    name: str,
    on_retry: Callable[[str, BaseException], None] | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    uniform: Callable[[], float] = random.random,
) -> T:
    """Await `fn()` until it returns, fails with something not in `retry_on`, or tries run out.

    `on_retry(name, error)` is told before each wait. Raises what the last try raised, unwrapped.
    """

    try:
        # Nearly every call succeeds, and tenacity's bookkeeping can cost more than the call.
        return await fn()
    except retry_on as error:
        failed = [error]

    def wait(state: RetryCallState) -> float:
        return policy.wait_seconds(state.attempt_number - 1, uniform())

    def before_sleep(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if on_retry is not None and error is not None:
            on_retry(name, error)

    async def attempt() -> T:
        # tenacity awaits only what is a coroutine function itself, which a lambda is not.
        if failed:
            raise failed.pop()
        return await fn()

    retrying = AsyncRetrying(
        stop=stop_after_attempt(policy.tries),
        wait=wait,
        retry=retry_if_exception_type(retry_on),
        before_sleep=before_sleep,
        sleep=sleep,
        reraise=True,
    )
    return await retrying(attempt)
