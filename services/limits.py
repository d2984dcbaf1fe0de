"""Limits: reserving at intake, and giving back or keeping when a payout has ended.

A crash between any two steps leaves something that `sweep` finds: an ended payout whose
reservation is still held, or a reservation whose payout never arrived.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from models.errors import PayoutError
from models.limits import Used
from models.payout import TERMINAL, Payout, PayoutStatus, Reservation, has_success, untouched
from models.spending import SpendWindow, refusal
from ports.store import PayoutStore

ORPHAN_AGE_SECONDS = 600.0
"""Well past the longest time that a create call can take to bring its payout in."""

SWEEP_GROUP = 200


class LimitReachedError(Exception):
    """A payout does not fit into a window, which holds `used`, any more."""

    def __init__(self, window: SpendWindow, used: Used) -> None:
        super().__init__(window.window_id)
        self.window = window
        self.used = used

    @property
    def refusal(self) -> PayoutError:
        """The same as an answer: P103, P104 or P105."""
        return refusal(self.window, used=self.used.amount, count=self.used.count)


class LimitKeeper:
    """Reserves, releases and keeps what payouts count for in their windows."""

    def __init__(self, store: PayoutStore) -> None:
        self._store = store

    async def reserve(self, windows: Sequence[SpendWindow], payout_id: str, amount: int) -> None:
        """Count a payout in every window, or in none.

        Raises LimitReachedError for the first window that is full, StoreError if unknown.
        """
        try:
            await self.reserve_more(windows, payout_id, amount)
        except LimitReachedError:
            await self.release([window.window_id for window in windows], payout_id)
            raise

    async def reserve_more(
        self, windows: Sequence[SpendWindow], payout_id: str, amount: int
    ) -> None:
        """Count a payout that is there in other windows too. In which of them it does not come to
        count, `sweep` finds: here nobody can tell whether another change of it rests on them.

        Raises LimitReachedError, StoreError.
        """
        full = await self._store.reserve(windows, payout_id, amount)
        if full:
            window = full[0]
            used = await self._store.used([window.window_id])
            raise LimitReachedError(window, used.get(window.window_id, Used()))

    async def full(
        self, windows: Sequence[SpendWindow], amount: int
    ) -> Sequence[LimitReachedError]:
        """Which of the windows seem to have no room for an amount; nothing is taken. Raises
        StoreError."""
        used = await self._store.used([window.window_id for window in windows])
        found = [(window, used.get(window.window_id, Used())) for window in windows]
        return [
            LimitReachedError(window, held)
            for window, held in found
            if not window.takes(held, amount)
        ]

    async def release(
        self, window_ids: Sequence[str], payout_id: str, until: datetime | None = None
    ) -> None:
        """Take a payout out of its windows, as `PayoutStore.release` does. Idempotent."""
        await self._store.release(window_ids, payout_id, until)

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
        await self._store.settle_reservations(kept)
        await self._store.mark_reservations(outcome)

    async def _undo_orphans(self) -> int:
        orphans = await self._store.orphans(ORPHAN_AGE_SECONDS, SWEEP_GROUP)
        if not orphans:
            return 0
        until = await self._store.now() - timedelta(seconds=ORPHAN_AGE_SECONDS)
        for window_id, payout_id in orphans:
            # Only once the payout can no longer arrive, or come to count there, may it go; what was
            # reserved again meanwhile is needed.
            if await self._store.bury(payout_id) or await self._disown(window_id, payout_id):
                await self.release([window_id], payout_id, until)
        return len(orphans)

    async def _disown(self, window_id: str, payout_id: str) -> bool:
        """Whether a payout that is there can't come to count in that window any more: it has ended,
        or whoever meant to give it another route finds its version changed."""
        payout = await self._store.get(payout_id)
        if payout is None or window_id in payout.window_ids:
            return False
        return payout.status in TERMINAL or await self._store.apply([untouched(payout)]) == 1


def keeps_reservation(payout: Payout) -> bool:
    """Whether an ended payout still counts: money moved, or may have."""
    return payout.status is PayoutStatus.COMPLETED or has_success(payout)
