"""Reads solid blocks, and reviews what lives too long; on one replica at a time if it can be told.

The lock only saves work: the store's compare-and-set decides who moves the cursor.
"""

from ports.signals import Locks
from services.chain_identity import ChainIdentity
from services.settlement import Settlement
from workers.loop import Loop, every

LOCK_TURNS = 1.5
"""The lock outlives this many polls: then another replica takes over at its next one."""


def settle_loop(
    settlement: Settlement, identity: ChainIdentity, locks: Locks, poll_seconds: float
) -> Loop:
    """The loop that follows the solid chain."""

    async def turn() -> bool:
        await identity.ensure()
        if await locks.hold("settler", poll_seconds * LOCK_TURNS):
            return await settlement.advance()
        await settlement.follow()
        return False

    return Loop("settler", turn, every(poll_seconds))


def review_loop(
    settlement: Settlement, identity: ChainIdentity, locks: Locks, poll_seconds: float
) -> Loop:
    """The loop that sends again, and declares deaths."""

    async def turn() -> bool:
        await identity.ensure()
        if await locks.hold("reviewer", poll_seconds * LOCK_TURNS):
            await settlement.review()
        return False

    return Loop("reviewer", turn, every(poll_seconds))
