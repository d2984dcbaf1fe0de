"""Throttles for tests that are about something else."""

from adapters.memory.throttle import LocalThrottle
from models.rate import Rate, Verdict


class OpenDoor:
    """A throttle that holds up nobody: each asks for the first time."""

    async def take(self, key: str, rate: Rate) -> Verdict:
        return await LocalThrottle().take(key, rate)
