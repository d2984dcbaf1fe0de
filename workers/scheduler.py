"""Releases what is due, and lets what its route cannot pay go by another one; on one replica at a
time if it can be told."""

from ports.signals import Locks
from services.fallback import Fallback
from services.scheduling import Scheduling
from workers.loop import Loop, every

LOCK_TURNS = 1.5
"""The lock outlives this many polls: then another replica takes over at its next one."""


def scheduler_loop(
    scheduling: Scheduling, fallback: Fallback, locks: Locks, poll_seconds: float
) -> Loop:
    """The loop that releases scheduled payouts and batches, and has payouts fall back."""

    async def turn() -> bool:
        if not await locks.hold("scheduler", poll_seconds * LOCK_TURNS):
            return False
        more = await scheduling.run()
        await fallback.run()
        return more

    return Loop("scheduler", turn, every(poll_seconds))
