"""Who asks too often: it protects the service, and decides nothing about money."""

from typing import Protocol

from models.rate import Rate, Verdict


class Throttle(Protocol):
    """Buckets by key, as full at first as the rate's burst."""

    async def take(self, key: str, rate: Rate) -> Verdict:
        """Ask for one permit of a key's bucket. Never raises but for cancellation."""
