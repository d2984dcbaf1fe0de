"""Writing moves and counting them: what was not written is not counted."""

from collections.abc import Mapping, Sequence

from models.payout import Change, Payout, PayoutStatus
from ports.observer import Observer
from ports.store import PayoutStore


class Transitions:
    """Applies groups of changes to payouts that were read, for the loops."""

    def __init__(self, store: PayoutStore, observer: Observer) -> None:
        self._store = store
        self._observer = observer

    async def apply(self, changes: Sequence[Change], payouts: Sequence[Payout]) -> int:
        """Write the changes to these payouts; how many were written. Raises StoreError.

        Where some were not, nobody knows which, and none of the group is counted.
        """
        written = await self._store.apply(changes)
        if written == len(changes):
            by_id = {payout.payout_id: payout for payout in payouts}
            for change in changes:
                self._count(change, by_id)
        return written

    def _count(self, change: Change, payouts: Mapping[str, Payout]) -> None:
        if change.to_status is change.guard.status:
            return
        payout = payouts[change.payout_id]
        currency = payout.order.currency
        self._observer.count("payout_transitions_total", status=change.to_status, currency=currency)
        if change.to_status is PayoutStatus.COMPLETED and change.hit is not None:
            self._observer.count(
                "payout_settled_units_total", payout.order.amount, currency=currency
            )
            # Two clocks, the chain's and the database's: a figure for people.
            seconds = change.hit.block.time_ms / 1000 - payout.created_at.timestamp()
            self._observer.observe("payout_settle_seconds", max(0.0, seconds), currency=currency)
