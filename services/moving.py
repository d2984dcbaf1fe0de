"""A payout that has no live attempt leaves its route for another one, whoever decides that.

A payout counts in the limits of its route. Those of the new one are taken first, those of the old
one given back last. What a crash or another choice in between leaves holds too much, and only that:
services/limits.py undoes it.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from models.errors import Reason
from models.findings import Finding
from models.order import RouteName
from models.payout import Payout, told
from models.spending import SpendPolicy, SpendWindow, route_windows
from ports.store import PayoutStore
from services.deciding import Deciding
from services.limits import LimitKeeper

JUST_BEFORE = timedelta(milliseconds=1)
"""The least that two moments of the store differ by."""


class Moving:
    """Moves payouts between routes."""

    def __init__(
        self,
        *,
        store: PayoutStore,
        deciding: Deciding,
        spending: SpendPolicy,
        limits: LimitKeeper,
    ) -> None:
        self._store = store
        self._deciding = deciding
        self._spending = spending
        self._limits = limits

    async def has_room(self, payout: Payout, route: RouteName) -> bool:
        """Whether the limits of a route seem to have room for the payout; nothing is taken. Raises
        StoreError."""
        return not await self._limits.full(self._windows(payout, route), payout.order.amount)

    async def move(
        self, payout: Payout, route: RouteName, said: Finding, reason: str, **signature: Any
    ) -> bool:
        """Give the payout that route; False where it changed meanwhile, and nothing is done.

        `signature` are `by` and `request_id` of `Change`. Raises LimitReachedError, StoreError.
        """
        begun_at = await self._store.now()
        new, old = self._windows(payout, route), self._windows(payout, payout.route)
        dropped = {window.window_id for window in old}
        added = [window.window_id for window in new]
        kept = [each for each in payout.window_ids if each not in dropped]
        await self._limits.reserve_more(new, payout.payout_id, payout.order.amount)
        change = told(
            payout,
            f"route {payout.route or 'none'}→{route}",
            why=Reason(None, reason),
            fields={
                "route": route,
                "wallet": self._deciding.wallet_of(route),
                "window_ids": (*kept, *added),
                "findings": (*payout.findings, said),
            },
            due_in_seconds=0.0,
            **signature,
        )
        if not await self._store.apply([change]):
            return False
        # Whoever brings it back to the old route meanwhile reserves there anew, and later.
        await self._limits.release([*dropped], payout.payout_id, begun_at - JUST_BEFORE)
        return True

    def _windows(self, payout: Payout, route: RouteName | None) -> Sequence[SpendWindow]:
        """The windows of a route that the payout counts in, or would."""
        currency, at = payout.order.currency, payout.created_at
        return route_windows(self._spending, route, currency, at)
