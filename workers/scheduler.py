"""Releases what is due; on one replica at a time if it can be told."""

from ports.signals import Locks
from services.scheduling import Scheduling
from workers.loop import Loop, every

LOCK_TURNS = 1.5
"""The lock outlives this many polls: then another replica takes over at its next one."""


def scheduler_loop(scheduling: Scheduling, locks: Locks, poll_seconds: float) -> Loop:
    """The loop that releases scheduled payouts and batches."""

    async def turn() -> bool:
        if not await locks.hold("scheduler", poll_seconds * LOCK_TURNS):
            return False
        return await scheduling.run()

    return Loop("scheduler", turn, every(poll_seconds))
