"""Gives a payout that has no live attempt another route, because an operator says so."""

from dataclasses import replace
from datetime import timedelta

from models.caller import Caller
from models.errors import PayoutError, Reason
from models.findings import Effect, Finding
from models.order import RouteName
from models.payout import TERMINAL, Change, Payout, PayoutStatus, told
from models.routing import refusals
from models.spending import SpendPolicy, route_windows
from ports.signals import Wakeups
from ports.store import PayoutStore
from services.changing import Changing
from services.deciding import Deciding
from services.limits import LimitKeeper, LimitReachedError

JUST_BEFORE = timedelta(milliseconds=1)
"""The least that two moments of the store differ by."""


class Rerouting:
    """A payout counts in the limits of its route. Those of the new one are taken first, those of
    the old one given back last. What a crash or another choice in between leaves holds too much,
    and only that: services/limits.py undoes it.
    """

    def __init__(
        self,
        *,
        store: PayoutStore,
        changing: Changing,
        deciding: Deciding,
        spending: SpendPolicy,
        limits: LimitKeeper,
        wakeups: Wakeups,
    ) -> None:
        self._store = store
        self._changing = changing
        self._deciding = deciding
        self._spending = spending
        self._limits = limits
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
        changed = await self._give(payout, route, reason, caller)
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

    async def _give(
        self, payout: Payout, route: RouteName, reason: str, caller: Caller
    ) -> Payout | None:
        """The payout on its new route; None where it changed meanwhile."""
        begun_at = await self._store.now()
        order, at = payout.order, payout.created_at
        new = route_windows(self._spending, route, order.currency, at)
        old = route_windows(self._spending, payout.route, order.currency, at)
        dropped = {window.window_id for window in old}
        added = [window.window_id for window in new]
        kept = [each for each in payout.window_ids if each not in dropped]
        try:
            await self._limits.reserve_more(new, payout.payout_id, payout.order.amount)
        except LimitReachedError as error:
            raise error.refusal from None
        change = self._rerouted(payout, route, (*kept, *added), reason, caller)
        if not await self._store.apply([change]):
            return None
        # Whoever brings it back to the old route meanwhile reserves there anew, and later.
        await self._limits.release([*dropped], payout.payout_id, begun_at - JUST_BEFORE)
        return await self._store.get(payout.payout_id)

    def _rerouted(
        self,
        payout: Payout,
        route: RouteName,
        window_ids: tuple[str, ...],
        reason: str,
        caller: Caller,
    ) -> Change:
        text = f"{caller.name} chose the route {route}: {reason}"
        said = Finding("route_chosen", Effect.NOTE, text)
        fields = {
            "route": route,
            "wallet": self._deciding.wallet_of(route),
            "window_ids": window_ids,
            "findings": (*payout.findings, said),
        }
        return told(
            payout,
            f"route {payout.route or 'none'}→{route}",
            why=Reason(None, reason),
            fields=fields,
            due_in_seconds=0.0,
            **caller.signature,
        )
