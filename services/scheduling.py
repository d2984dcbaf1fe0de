"""Releases scheduled payouts when their time has come, and batches that are full before it."""

from models.payout import Change, Payout, PayoutStatus, move
from ports.signals import Wakeups
from ports.store import PayoutStore
from services.transitions import Transitions

RELEASE_GROUP = 500


class Scheduling:
    """One bounded round at every call. A batch is full with `batch_size` payouts."""

    def __init__(
        self,
        store: PayoutStore,
        transitions: Transitions,
        wakeups: Wakeups,
        batch_size: int,
    ) -> None:
        self._store = store
        self._transitions = transitions
        self._wakeups = wakeups
        self._batch_size = batch_size

    async def run(self) -> bool:
        """Release what is due; True if more may be waiting. Raises StoreError."""
        due = await self._store.release_due(RELEASE_GROUP)
        full = await self._store.full_batches(self._batch_size)
        released = {payout.payout_id: payout for payout in (*due, *full)}
        if not released:
            return False
        payouts = list(released.values())
        await self._transitions.apply([_release(payout) for payout in payouts], payouts)
        await self._wakeups.signal()
        return bool(full) or len(due) == RELEASE_GROUP


def _release(payout: Payout) -> Change:
    return move(payout, PayoutStatus.PENDING, by="scheduler", due_in_seconds=0.0)
