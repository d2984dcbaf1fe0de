"""Gathers what a decision needs to know, and has it made (models/decision.py)."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

import structlog

from models.caller import Caller
from models.chain import Balances
from models.compliance import Facts, RuleKind, Screening, kyc_level, screen, velocity_asked
from models.decision import Decision, DecisionPolicy, decide, wanted
from models.figures import RouteFigures
from models.money import Currency
from models.order import Order, RouteName
from models.payout import Payout
from models.route_health import breaker, room
from models.routes import BreakerVerdict, Route, RouteState
from models.routing import Wanted
from models.schedule import EPOCH
from ports.chain import Chain, ChainUnavailableError
from ports.compliance import ComplianceStore
from ports.figures import FiguresStore
from ports.store import Gate, PayoutStore
from services.attempts import AttemptBuilder
from services.gate import WALLET_GATE
from services.pauses import pauses_in
from services.recent import Recent

log = structlog.get_logger(__name__)

FIGURES_SECONDS = 5.0
"""How old figures of routes and balances may be: they choose, and nothing rests on them."""


class DecidingStore(PayoutStore, ComplianceStore, FiguresStore, Protocol):
    """What deciding asks of the store."""


class Deciding:
    """Decides about orders, and asks some rules again before a payout is sent.

    `seconds` is a clock that only moves on, of which nothing but differences are used.
    """

    def __init__(
        self,
        *,
        store: DecidingStore,
        chain: Chain,
        builder: AttemptBuilder,
        policy: DecisionPolicy,
        usual_fee_sun: Mapping[Currency, int],
        seconds: Callable[[], float],
    ) -> None:
        """`usual_fee_sun`: what a payout of a currency usually burns, where a route's own history
        does not say."""
        self._store = store
        self._chain = chain
        self._builder = builder
        self._policy = policy
        self._usual_fee_sun = usual_fee_sun
        self.seconds = seconds
        self._let_through: Counter[RouteName | None] = Counter()
        self._figures = Recent(FIGURES_SECONDS, lambda: self.seconds(), self._count)
        self._funds = Recent(FIGURES_SECONDS, lambda: self.seconds(), self._balances)

    @property
    def policy(self) -> DecisionPolicy:
        """By what is decided."""
        return self._policy

    def wallet_of(self, route: RouteName) -> str:
        """The wallet that pays on a route."""
        return self._policy.route(route).wallet or self._builder.wallets[0]

    async def decide(
        self,
        caller: Caller,
        order: Order,
        gates: Sequence[Gate],
        now: datetime,
        batch_items: int = 1,
    ) -> Decision:
        """What becomes of an order of this caller, one of so many that come in the same request.
        `gates` are the closed ones, `now` the store's.

        Raises StoreError, ChainUnavailableError, and PayoutError for times that cannot be.
        """
        facts, routes = await asyncio.gather(
            self._facts(caller, order), self.routes(order.currency, gates, now)
        )
        if "payout:urgent" not in caller.grants:
            routes = [route for route in routes if route.name is not RouteName.DIRECT]
        return decide(order, facts, routes, self._policy, now, batch_items)

    async def _facts(self, caller: Caller, order: Order) -> Facts:
        recipient = order.recipient_address
        windows, up_to = velocity_asked(self._policy.rules)
        listed, kyc, velocity = await asyncio.gather(
            self._store.listed([recipient]),
            self._store.kyc_of([recipient]),
            self._store.velocity(recipient, caller.subject, caller.tenant, windows, up_to),
        )
        return Facts(
            lists=[entry.list_name for entry in listed], kyc=kyc.get(recipient), velocity=velocity
        )

    async def routes(
        self, currency: Currency, gates: Sequence[Gate], now: datetime
    ) -> Sequence[Route]:
        """The routes as they stand, for a payout of that currency. Raises StoreError."""
        figures, balances = await asyncio.gather(self._figures.get(), self._funds.get())
        pauses = {pause.wallet: gate for pause, gate in pauses_in(gates).items() if pause.wallet}
        closed = {gate.name.removeprefix(WALLET_GATE): gate for gate in gates}
        found = []
        for policy in self._policy.routes:
            wallet = self.wallet_of(policy.name)
            shown = figures.get(policy.name, RouteFigures())
            state = RouteState(
                figures=shown,
                breaker=self._breaker(figures, policy.name, now),
                funds=balances.get(wallet),
                paused=pauses[wallet].reason if wallet in pauses else None,
                closed=closed[wallet].reason if wallet in closed else None,
                usual_fee_sun=shown.usual_fee_sun(currency, self._usual_fee_sun[currency]),
            )
            found.append(Route(policy, state))
        return found

    async def anything_waits(self) -> bool:
        """Whether payouts were pending on some route a few seconds ago. Raises StoreError."""
        return any(each.waiting for each in (await self._figures.get()).values())

    async def rooms(self, wanted_room: int) -> Mapping[RouteName, int]:
        """How many payouts may get a live attempt now on the routes that have no room for
        `wanted_room`; on the others there is. What other replicas let through since the last look
        is not known. Raises StoreError."""
        rooms = await self._rooms(await self._figures.get())
        return {route: room for route, room in rooms.items() if room < wanted_room}

    def let_through(self, payouts: Sequence[Payout]) -> None:
        """Count payouts that got a live attempt just now, until the next look counts them."""
        self._let_through.update(each.route for each in payouts)

    async def _rooms(self, figures: Mapping[RouteName, RouteFigures]) -> Mapping[RouteName, int]:
        failing = any(each.failed for each in figures.values())
        now = await self._store.now() if failing else EPOCH  # only failures have an age
        # A route that is switched off still pays what it has taken.
        rooms: dict[RouteName, int] = {}
        for policy in self._policy.routes:
            state = RouteState(
                figures=figures.get(policy.name, RouteFigures()),
                breaker=self._breaker(figures, policy.name, now),
            )
            route = Route(replace(policy, enabled=True), state)
            rooms[policy.name] = max(0, room(route) - self._let_through[policy.name])
        return rooms

    def _breaker(
        self, figures: Mapping[RouteName, RouteFigures], route: RouteName, now: datetime
    ) -> BreakerVerdict:
        return breaker(figures.get(route, RouteFigures()), self._policy.routing.breaker, now)

    async def _count(self) -> Mapping[RouteName, RouteFigures]:
        self._let_through.clear()
        window = self._policy.routing.breaker.window_seconds
        return await self._store.route_figures(window, self._policy.routing.sample_payouts)

    async def _balances(self) -> Mapping[str, Balances]:
        """What the routes' wallets hold, as far as the nodes tell."""
        wallets = {self.wallet_of(policy.name) for policy in self._policy.routes if policy.enabled}
        found: dict[str, Balances] = {}
        for wallet in sorted(wallets):
            try:
                found[wallet] = await self._chain.balances(wallet)
            except ChainUnavailableError as error:
                log.warning("balances are not known", wallet=wallet, error=str(error))
        return found

    async def wanted(self, payout: Payout, now: datetime) -> Wanted:
        """What a payout wants of a route now. Raises StoreError."""
        recipient = payout.order.recipient_address
        record = (await self._store.kyc_of([recipient])).get(recipient)
        return wanted(payout.order, kyc_level(record, now))

    async def screened(
        self, payouts: Sequence[Payout], now: datetime, *, asks_token: bool = True
    ) -> Mapping[str, Screening]:
        """What the rules that are asked again before a payout is sent say, by payout id; of those
        that nothing stops, nothing. Without `asks_token` no node is asked for the token's list.

        Raises StoreError, ChainUnavailableError.
        """
        if not any(rule.at_dispatch for rule in self._policy.rules):
            return {}
        entries = await self._store.listed({each.order.recipient_address for each in payouts})
        asked = payouts if asks_token else ()
        blacklisted = await asyncio.gather(*(self._blacklisted(each) for each in asked))
        on_it = {each.payout_id for each, so in zip(asked, blacklisted, strict=True) if so}
        found: dict[str, Screening] = {}
        for payout in payouts:
            recipient = payout.order.recipient_address
            lists = [entry.list_name for entry in entries if entry.address == recipient]
            facts = Facts(lists=lists, blacklisted=payout.payout_id in on_it)
            released = payout.released
            said = screen(
                payout.order, facts, self._policy.rules, now, at_dispatch=True, released=released
            )
            if said.refusal is not None or said.hold is not None:
                found[payout.payout_id] = said
        return found

    async def _blacklisted(self, payout: Payout) -> bool:
        """What the token's contract says of the recipient. Asked here alone: intake waits for no
        node, and what it were told could change until the payout is sent."""
        if payout.order.currency is not Currency.USDT or not self._asks_token:
            return False
        return await self._chain.is_blacklisted(payout.order.recipient_address)

    @property
    def _asks_token(self) -> bool:
        return any(rule.kind is RuleKind.TOKEN_BLACKLIST for rule in self._policy.rules)
