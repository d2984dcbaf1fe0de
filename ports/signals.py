"""Wake-ups and advisory locks: they save time and work, and decide nothing."""

from typing import Protocol


class Wakeups(Protocol):
    """Tells every replica's dispatcher that a payout is waiting. May lose or repeat a signal."""

    async def signal(self) -> None:
        """Wake the dispatchers. Never raises."""

    async def wait(self, timeout_seconds: float) -> None:
        """Return at a signal or after the time-out. Never raises but for cancellation."""


class Locks(Protocol):
    """One holder at a time, as far as can be told; without a server everybody is a holder."""

    async def hold(self, name: str, seconds: float) -> bool:
        """Take or renew the lock for this process. True also when nobody can tell."""

    async def drop(self, name: str) -> None:
        """Give it back, if it is ours."""
