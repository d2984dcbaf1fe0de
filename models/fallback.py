"""When a payout that left the choice of its route to us leaves it for another one by itself.

It waits on a route that cannot pay it now: its wallet is short of money, paused or behind a closed
gate, its breaker is open, or it is full. What asked for a route by name stays, as does what a
person gave one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from models.chain import Balances
from models.decision import wanted
from models.findings import Effect, Finding
from models.money import Currency
from models.order import PayoutType, RouteChoice, RouteName
from models.payout import Payout, PayoutStatus, all_attempts_unpaid
from models.routes import FallbackPolicy, Route, RoutingPolicy
from models.routing import Wanted, choose, obstacles

CHOSEN: Final = "route_chosen"
"""The finding of a route that a person chose."""

FELL_BACK: Final = "routing.fallback"
"""The finding of a fall-back."""


@dataclass(frozen=True, slots=True)
class Fall:
    """The routes to fall back on, the best first, and why the payout's own cannot pay it now."""

    routes: tuple[RouteName, ...]
    why: str

    def finding(self, payout: Payout, new: RouteName) -> Finding:
        """What the payout tells of it."""
        text = f"the route {new} pays instead of {payout.route}, which cannot now: {self.why}"
        return Finding(FELL_BACK, Effect.NOTE, text)


@dataclass(frozen=True, slots=True)
class Standing:
    """The routes for each currency as they stand, each state with the fees of that currency, and
    the wallet of each route."""

    routes: Mapping[Currency, Sequence[Route]]
    wallets: Mapping[RouteName, str]

    def spent(self, wallet: str, taken: Balances) -> "Standing":
        """The same with so much less in a wallet, whichever routes pay from it."""

        def left(route: Route) -> Route:
            funds = route.state.funds
            if funds is None or self.wallets[route.name] != wallet:
                return route
            return replace(route, state=replace(route.state, funds=funds - taken))

        return self._each(left)

    def moved(self, payout: Payout, new: RouteName) -> "Standing":
        """The same when the payout waits on its new route and no more on its own."""
        change = {payout.route: -1, new: 1}

        def counted(route: Route) -> Route:
            return _with_waiting(route, change.get(route.name, 0))

        order = payout.order
        there = next(each for each in self.routes[order.currency] if each.name is new)
        fee = there.state.usual_fee_sun or 0
        taken = Balances.taken_by(order.amount, order.currency, fee)
        return self._each(counted).spent(self.wallets[new], taken)

    def _each(self, change: Callable[[Route], Route]) -> "Standing":
        after = {each: [*map(change, routes)] for each, routes in self.routes.items()}
        return replace(self, routes=after)


def doubtful(standing: Standing, largest: Mapping[Currency, int]) -> Sequence[RouteName]:
    """The routes on which payouts wait that these may be unable to pay now; `largest` is the most
    (base units) that one payout of a currency can be."""
    found = {
        route.name
        for currency, routes in standing.routes.items()
        for route in routes
        if route.state.figures.waiting and obstacles(route, _largest(route, currency, largest))
    }
    return sorted(found)


def _largest(route: Route, currency: Currency, largest: Mapping[Currency, int]) -> Wanted:
    limits = route.policy.limits.get(currency)
    own = None if limits is None else limits.maximum
    return Wanted(currency, largest[currency] if own is None else min(own, largest[currency]))


def may_fall_back(payout: Payout, policy: FallbackPolicy, now: datetime) -> bool:
    """Whether a payout may leave its route by itself: it left the choice to us, nothing has
    happened to it for long enough, nobody works on it, and it has not moved too often.

    `now` is the store's clock.
    """
    since = payout.history[-1].at if payout.history else payout.created_at
    rules = [finding.rule for finding in payout.findings]
    return (
        payout.status is PayoutStatus.PENDING
        and payout.order.route is RouteChoice.SMART
        and CHOSEN not in rules
        and rules.count(FELL_BACK) < policy.times
        and all_attempts_unpaid(payout)
        and (payout.lease is None or payout.lease.until <= now)
        and now - since >= timedelta(seconds=policy.after_seconds)
    )


def fall(payout: Payout, kyc_level: int, standing: Standing, policy: RoutingPolicy) -> Fall | None:
    """Why a payout that may fall back should, and on which routes; None if its own can pay it now,
    or no other one takes it. `kyc_level` is the valid one of its recipient.

    Its own is judged without it, so that what is left for a route on trial are the trials. The
    others are judged as at intake, with what waits on them as if it were in flight: it goes before.
    The route of emergencies takes nothing else, for what its client may do is not known any more.
    """
    what = wanted(payout.order, kyc_level)
    routes = standing.routes.get(payout.order.currency, ())
    own = next((route for route in routes if route.name is payout.route), None)
    if own is None:
        return None
    why = "; ".join(each.text for each in obstacles(_with_waiting(own, -1), what))
    if not why:
        return None
    others = [_as_if_begun(route) for route in routes if _is_open(route, payout)]
    ranked = choose(what, others, policy).ranked if others else ()
    return Fall(tuple(each.name for each in ranked), why) if ranked else None


def _is_open(route: Route, payout: Payout) -> bool:
    """Whether a payout might fall back on a route: what it has burned already counts under the fee
    cap there."""
    urgent = payout.order.payout_type is PayoutType.EMERGENCY
    burned = payout.burned_sun + (route.state.usual_fee_sun or 0)
    return (
        route.name is not payout.route
        and (urgent or route.name is not RouteName.DIRECT)
        and burned <= route.policy.fee_cap_sun
    )


def _with_waiting(route: Route, more: int) -> Route:
    figures = route.state.figures
    figures = replace(figures, waiting=max(0, figures.waiting + more))
    return replace(route, state=replace(route.state, figures=figures))


def _as_if_begun(route: Route) -> Route:
    figures = replace(route.state.figures, in_flight=route.taken, waiting=0)
    return replace(route, state=replace(route.state, figures=figures))
