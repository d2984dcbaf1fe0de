"""Gives payouts that their route cannot pay now another one: as intake would choose it now.

Nobody asks for that, so it is done with care: only for payouts that left the choice to us, one
bounded round at a time, and only onto routes that can pay them beside all that they have taken.
Another replica, or an operator, may do the same at once: services/moving.py keeps the limits right,
and a payout that changed meanwhile is left alone.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from models.chain import Balances
from models.compliance import kyc_level
from models.fallback import Fall, Standing, doubtful, fall, may_fall_back
from models.money import Currency
from models.order import RouteName
from models.payout import Payout
from models.routes import FallbackPolicy
from ports.observer import Observer
from ports.signals import Wakeups
from services.deciding import FIGURES_SECONDS, Deciding, DecidingStore
from services.limits import LimitReachedError
from services.moving import Moving

GROUP: Final = 100
"""Payouts of one route that are looked at in one round."""


class Fallback:
    """One round every few seconds, however often it is called."""

    def __init__(
        self,
        *,
        store: DecidingStore,
        deciding: Deciding,
        moving: Moving,
        wakeups: Wakeups,
        observer: Observer,
        largest: Mapping[Currency, int],
    ) -> None:
        """`largest`: the most that one payout of a currency can be, in base units."""
        self._store = store
        self._deciding = deciding
        self._moving = moving
        self._wakeups = wakeups
        self._observer = observer
        self._largest = largest
        self._looked_at: float | None = None
        self._after: dict[RouteName, Payout | None] = {}

    async def run(self) -> None:
        """Let payouts fall back. Raises StoreError.

        What a round moves, the figures of the next one show: they are not older than a round.
        """
        seconds = self._deciding.seconds()
        if self._looked_at is not None and seconds - self._looked_at <= FIGURES_SECONDS:
            return
        self._looked_at = seconds
        if not self._policy.times or not await self._deciding.anything_waits():
            return
        gates, now = await self._store.gates(), await self._store.now()
        standing = Standing(
            {each: await self._deciding.routes(each, gates, now) for each in self._largest},
            {each: self._deciding.wallet_of(each) for each in RouteName},
        )
        unwell = doubtful(standing, self._largest)
        if not unwell:
            return
        for wallet, exposure in (await self._store.exposures("")).items():
            if wallet is not None:
                taken = Balances(exposure.trx_sun + exposure.cost_sun, exposure.usdt)
                standing = standing.spent(wallet, taken)
        for route in unwell:
            standing = await self._leave(route, standing, now)

    @property
    def _policy(self) -> FallbackPolicy:
        return self._deciding.policy.routing.fallback

    async def _leave(self, route: RouteName, standing: Standing, now: datetime) -> Standing:
        """Let the next page of what waits on a route leave it; how the routes stand then."""
        page = await self._page(route)
        able = [payout for payout in page if may_fall_back(payout, self._policy, now)]
        if not able:
            return standing
        known = await self._store.kyc_of({payout.order.recipient_address for payout in able})
        moved = False
        for payout in able:
            level = kyc_level(known.get(payout.order.recipient_address), now)
            found = fall(payout, level, standing, self._deciding.policy.routing)
            new = None if found is None else await self._moved(payout, found)
            if new is not None:
                standing, moved = standing.moved(payout, new), True
        if moved:
            await self._wakeups.signal()
        return standing

    async def _page(self, route: RouteName) -> Sequence[Payout]:
        """The next payouts that wait there; from the oldest again after the last ones, so that what
        no other route takes keeps nobody behind it."""
        seconds, after = self._policy.after_seconds, self._after.get(route)
        page = await self._store.waiting_on(route, seconds, after, GROUP)
        self._after[route] = page[-1] if len(page) == GROUP else None
        return page

    async def _moved(self, payout: Payout, found: Fall) -> RouteName | None:
        """The first of the routes whose limits have room, once the payout is there; None where
        none has, or it changed meanwhile."""
        for route in found.routes:
            # Only asked for, as long as it is full: what would be taken of some windows and not of
            # others would be held, and renewed with every round.
            if not await self._moving.has_room(payout, route):
                continue
            said = found.finding(payout, route)
            try:
                moved = await self._moving.move(payout, route, said, said.text, by="scheduler")
            except LimitReachedError:
                continue
            if moved:
                self._observer.count("payout_findings_total", rule=said.rule, effect=said.effect)
            return route if moved else None
        return None
