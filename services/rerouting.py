"""Gives a payout that has no live attempt another route, because an operator says so."""

from dataclasses import replace

from models.caller import Caller
from models.errors import PayoutError
from models.fallback import CHOSEN
from models.findings import Effect, Finding
from models.order import RouteName
from models.payout import TERMINAL, Payout, PayoutStatus
from models.routing import refusals
from ports.signals import Wakeups
from ports.store import PayoutStore
from services.changing import Changing
from services.deciding import Deciding
from services.limits import LimitReachedError
from services.moving import Moving


class Rerouting:
    """The choice of a person, which no fall-back undoes."""

    def __init__(
        self,
        *,
        store: PayoutStore,
        changing: Changing,
        deciding: Deciding,
        moving: Moving,
        wakeups: Wakeups,
    ) -> None:
        self._store = store
        self._changing = changing
        self._deciding = deciding
        self._moving = moving
        self._wakeups = wakeups

    async def choose(self, caller: Caller, payout_id: str, route: RouteName, reason: str) -> Payout:
        """An operator's choice, before a payout has a live attempt.

        Raises PayoutError P500 (too late), P400 to P403 and P101, P102 (the route does not take
        it), P103, P104 (its limits), P501, P701.
        """
        payout = await self._changing.find(caller, payout_id, "payout:route")
        if payout.status in TERMINAL or payout.status is PayoutStatus.PROCESSING:
            raise PayoutError("P500", f"a payout that is {payout.status} keeps its route")
        if payout.route is route:
            return payout
        await self._check(payout, route)
        said = Finding(CHOSEN, Effect.NOTE, f"{caller.name} chose the route {route}: {reason}")
        try:
            moved = await self._moving.move(payout, route, said, reason, **caller.signature)
        except LimitReachedError as error:
            raise error.refusal from None
        changed = await self._store.get(payout.payout_id) if moved else None
        if changed is None:
            raise PayoutError("P701", "the payout changed meanwhile; look again")
        await self._wakeups.signal()
        return changed

    async def _check(self, payout: Payout, route: RouteName) -> None:
        now, gates = await self._store.now(), await self._store.gates()
        wanted = await self._deciding.wanted(payout, now)
        found = next(
            each
            for each in await self._deciding.routes(payout.order.currency, gates, now)
            if each.name is route
        )
        against = refusals(found, replace(wanted, route=None))
        if against:
            text = "; ".join(finding.text for finding in against)
            raise PayoutError(
                against[0].code or "P400",
                f"the route {route} does not take this payout: {text}",
                field="route",
            )
