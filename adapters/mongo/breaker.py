"""The breaker around MongoDB: while the server is away, callers hear so at once."""

from collections.abc import Callable

from pymongo.errors import ConnectionFailure, PyMongoError

from utils.circuit_breaker import BreakerPolicy, BreakerState, CircuitBreaker


def mongo_breaker(
    policy: BreakerPolicy, on_change: Callable[[str, BreakerState], None] | None = None
) -> CircuitBreaker:
    """A breaker that counts outages, and nothing that the server merely refuses."""
    return CircuitBreaker("mongodb", policy, counts=is_outage, on_change=on_change)


def is_outage(error: Exception) -> bool:
    """Whether the server is away or does not answer in time."""
    timed_out = isinstance(error, PyMongoError) and error.timeout
    return timed_out or isinstance(error, ConnectionFailure | TimeoutError)
