"""Keeps the audit log: copies what happened into it, publishes its head, archives what is old.

The lock only saves work: the log's unique keys decide who appends to it.
"""

from ports.signals import Locks
from services.audit_head import HeadPublisher
from services.sequencer import Sequencer
from workers.loop import Loop, every

LOCK_TURNS = 1.5
"""The lock outlives this many polls: then another replica takes over at its next one."""

HEAD_SECONDS = 60.0
"""How long a new head may be known to the database alone."""

ARCHIVE_SECONDS = 600.0


def sequence_loop(sequencer: Sequencer, locks: Locks, poll_seconds: float) -> Loop:
    """The loop that writes the log, on one replica at a time if it can be told."""

    async def turn() -> bool:
        if await locks.hold("sequencer", poll_seconds * LOCK_TURNS):
            return await sequencer.run()
        return False

    return Loop("sequencer", turn, every(poll_seconds))


def archive_loop(sequencer: Sequencer, locks: Locks) -> Loop:
    """The loop that moves old entries to the archive."""

    async def turn() -> bool:
        if await locks.hold("archivist", ARCHIVE_SECONDS * LOCK_TURNS):
            return await sequencer.archive()
        return False

    return Loop("archivist", turn, every(ARCHIVE_SECONDS))


def head_loop(publisher: HeadPublisher) -> Loop:
    """The loop that publishes the head, on every replica."""

    async def turn() -> bool:
        await publisher.run()
        return False

    return Loop("audit_head", turn, every(HEAD_SECONDS))
