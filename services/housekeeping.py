"""What time alone brings: payouts that expire, and reservations that end or were orphaned."""

from models.settlement import after_expiry
from ports.observer import Observer
from ports.store import PayoutStore
from services.limits import LimitKeeper
from services.transitions import Transitions

EXPIRE_GROUP = 200


class Housekeeping:
    """One bounded round of each, at every call."""

    def __init__(
        self,
        store: PayoutStore,
        limits: LimitKeeper,
        transitions: Transitions,
        observer: Observer,
    ) -> None:
        self._store = store
        self._transitions = transitions
        self._limits = limits
        self._observer = observer

    async def run(self) -> int:
        """Expire what is due, then finish reservations; how many payouts it touched.

        Raises StoreError.
        """
        expired = await self._store.expire_due(EXPIRE_GROUP)
        if expired:
            await self._transitions.apply([after_expiry(each) for each in expired], expired)
        unexplained = await self._store.count_open_unexplained()
        self._observer.gauge("payout_unexplained_transfers", unexplained)
        return len(expired) + await self._limits.sweep()
