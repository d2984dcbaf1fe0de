"""Limits: reserving at intake, and giving back or keeping when a payout has ended.

A crash between any two steps leaves something that `sweep` finds: an ended payout whose
reservation is still held, or a reservation whose payout never arrived.
"""

from collections import defaultdict
from collections.abc import Sequence

from models.errors import PayoutError
from models.limits import Window
from models.money import format_amount
from models.payout import Payout, PayoutStatus, Reservation, has_success
from ports.store import PayoutStore

ORPHAN_AGE_SECONDS = 600.0
"""Well past the longest time that a create call can take to bring its payout in."""

SWEEP_GROUP = 200


class LimitKeeper:
    """Reserves, releases and keeps what payouts count for in their windows."""

    def __init__(self, store: PayoutStore) -> None:
        self._store = store

    async def reserve(self, windows: Sequence[Window], payout_id: str, amount: int) -> None:
        """Count a payout in every window, or in none.

        Raises PayoutError with the code of the first window that is full, StoreError if unknown.
        """
        taken: list[Window] = []
        for window in windows:
            if not await self._store.reserve(window, payout_id, amount):
                await self.release([w.window_id for w in taken], payout_id)
                left = max(0, window.maximum - await self._store.used(window.window_id))
                raise PayoutError(
                    window.code,
                    f"the limit of {format_amount(window.maximum)} would be exceeded; "
                    f"{format_amount(left)} are left until {window.ends_at:%Y-%m-%dT%H:%M:%SZ}",
                    field="amount",
                    limit=format_amount(window.maximum),
                    left=format_amount(left),
                    resets_at=f"{window.ends_at:%Y-%m-%dT%H:%M:%SZ}",
                )
            taken.append(window)

    async def release(self, window_ids: Sequence[str], payout_id: str) -> None:
        """Take a payout out of its windows. Idempotent."""
        for window_id in window_ids:
            await self._store.release(window_id, payout_id)

    async def sweep(self) -> int:
        """Finish the reservations of ended payouts and undo orphaned ones; how many it did."""
        ended = await self._store.to_release(SWEEP_GROUP)
        if ended:
            await self.finish(ended)
        return len(ended) + await self._undo_orphans()

    async def finish(self, ended: Sequence[Payout]) -> None:
        """Keep what ended payouts count for where money moved, release it where none did.

        Idempotent. Raises StoreError.
        """
        kept: dict[str, list[str]] = defaultdict(list)
        outcome: dict[str, str] = {}
        for payout in ended:
            if keeps_reservation(payout):
                outcome[payout.payout_id] = Reservation.KEPT
                for window_id in payout.window_ids:
                    kept[window_id].append(payout.payout_id)
            else:
                outcome[payout.payout_id] = Reservation.RELEASED
                await self.release(payout.window_ids, payout.payout_id)
        for window_id, payout_ids in kept.items():
            await self._store.settle_reservations(window_id, payout_ids)
        await self._store.mark_reservations(outcome)

    async def _undo_orphans(self) -> int:
        orphans = await self._store.orphans(ORPHAN_AGE_SECONDS, SWEEP_GROUP)
        for window_id, payout_id in orphans:
            # Only once the payout can no longer arrive may its reservation go.
            if await self._store.bury(payout_id):
                await self._store.release(window_id, payout_id)
        return len(orphans)


def keeps_reservation(payout: Payout) -> bool:
    """Whether an ended payout still counts: money moved, or may have."""
    return payout.status is PayoutStatus.COMPLETED or has_success(payout)
