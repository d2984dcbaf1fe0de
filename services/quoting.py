"""What would become of an order, and how routes and limits stand: looks, and commits nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from models.caller import Caller
from models.chain import FeeRates, Transfer
from models.decision import Decision
from models.errors import PayoutError
from models.funds import TOKEN_BANDWIDTH_BYTES, TRX_BANDWIDTH_BYTES
from models.limits import AmountLimits, Used
from models.money import Currency
from models.order import Order, RouteName
from models.permission import Reach
from models.route_health import Condition, condition
from models.routes import Route, Strategy
from models.schedule import target_seconds
from models.spending import (
    SpendPolicy,
    SpendWindow,
    client_windows,
    recipient_windows,
    shared_windows,
)
from ports.chain import Chain, ChainUnavailableError
from ports.store import PayoutStore
from services.admission import Admission, Judged
from services.attempts import AttemptBuilder
from services.deciding import Deciding
from services.limits import LimitKeeper


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the chain would charge: energy and bandwidth (bytes), and the fee (sun) where the wallet
    has staked for neither."""

    energy: int
    bandwidth: int
    fee_sun: int


@dataclass(frozen=True, slots=True)
class Quote:
    """What would become of an order now.

    `route` is the one that it would take; None where it is refused, for `refusal`. `decision` is
    None where it is refused before any rule is asked. `estimate` is None while no node answers.
    `sent_by` is until when it is meant to be sent, `expected_at` when it would be completed by the
    route's own median, None while the route has no history.
    """

    decision: Decision | None
    route: RouteName | None = None
    refusal: PayoutError | None = None
    estimate: Estimate | None = None
    sent_by: datetime | None = None
    expected_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RouteReport:
    """A route as it stands, the wallet that pays on it, and how it does."""

    route: Route
    wallet: str
    condition: Condition


@dataclass(frozen=True, slots=True)
class LimitReport:
    """What one payout may be, by currency, and the windows that payouts count in, with what these
    hold now."""

    amounts: Mapping[Currency, AmountLimits]
    windows: Sequence[tuple[SpendWindow, Used]]


class Quoting:
    """Looks at what intake would do."""

    def __init__(
        self,
        *,
        store: PayoutStore,
        chain: Chain,
        builder: AttemptBuilder,
        admission: Admission,
        deciding: Deciding,
        spending: SpendPolicy,
        limits: LimitKeeper,
    ) -> None:
        self._store = store
        self._chain = chain
        self._builder = builder
        self._admission = admission
        self._deciding = deciding
        self._spending = spending
        self._limits = limits

    async def quote(self, caller: Caller, order: Order) -> Quote:
        """What would become of the order if this caller created it now. Raises StoreError."""
        try:
            judged = await self._admission.judge(caller, order)
        except PayoutError as error:
            return Quote(None, refusal=error)
        decision = judged.decision
        if decision.refusal is not None:
            return Quote(decision, refusal=decision.refusal)
        route, full = await self._fitting(caller, order, judged)
        if route is None:
            return Quote(decision, refusal=full)
        return Quote(
            decision,
            route,
            None,
            await self._estimate(order, route),
            self._sent_by(order, route, judged),
            await self._expected_at(order, route, judged),
        )

    async def _fitting(
        self, caller: Caller, order: Order, judged: Judged
    ) -> tuple[RouteName | None, PayoutError | None]:
        """The best route whose limits have room for the order; else why the best one has none."""
        first: PayoutError | None = None
        for ranked in judged.decision.choice.ranked:
            windows = self._admission.windows(caller, order, ranked.name, judged.now)
            full = await self._limits.full(windows, order.amount)
            if not full:
                return ranked.name, None
            first = first or full[0].refusal
        return None, first

    async def _estimate(self, order: Order, route: RouteName) -> Estimate | None:
        transfer = self._builder.transfer_of(order, self._deciding.wallet_of(route))
        try:
            rates = await self._chain.fee_rates()
            if order.currency is Currency.TRX:
                return await self._trx_estimate(order, rates)
            return await self._token_estimate(transfer, rates)
        except ChainUnavailableError:
            return None

    async def _trx_estimate(self, order: Order, rates: FeeRates) -> Estimate:
        known = await self._chain.is_activated(order.recipient_address)
        fee = TRX_BANDWIDTH_BYTES * rates.byte_sun + (0 if known else rates.account_sun)
        return Estimate(0, TRX_BANDWIDTH_BYTES, fee)

    async def _token_estimate(self, transfer: Transfer, rates: FeeRates) -> Estimate:
        energy = (await self._chain.simulate(transfer)).energy
        fee = energy * rates.energy_sun + TOKEN_BANDWIDTH_BYTES * rates.byte_sun
        return Estimate(energy, TOKEN_BANDWIDTH_BYTES, fee)

    def _sent_by(self, order: Order, route: RouteName, judged: Judged) -> datetime:
        schedule = self._deciding.policy.schedule
        seconds = target_seconds(order.payout_type, order.priority, schedule)
        return (judged.decision.times[route].release_at or judged.now) + timedelta(seconds=seconds)

    async def _expected_at(self, order: Order, route: RouteName, judged: Judged) -> datetime | None:
        routes = await self._deciding.routes(order.currency, (), judged.now)
        latency = next(each.state.figures.latency for each in routes if each.name is route)
        if latency is None:
            return None
        ready_at = judged.decision.times[route].release_at or judged.now
        return ready_at + timedelta(seconds=latency.p50)

    @property
    def strategy(self) -> Strategy:
        """By which merits routes are compared."""
        return self._deciding.policy.routing.strategy

    async def routes(self) -> Sequence[RouteReport]:
        """The routes as they stand. Raises StoreError."""
        gates, now = await self._store.gates(), await self._store.now()
        routing = self._deciding.policy.routing
        return [
            RouteReport(route, self._deciding.wallet_of(route.name), condition(route, routing))
            for route in await self._deciding.routes(Currency.USDT, gates, now)
        ]

    async def limits(self, caller: Caller, recipient: str | None) -> LimitReport:
        """What one payout of the caller may be, and the windows of now that its payouts count in.

        These are the client's own, and for whoever reaches the payouts of all: those that all
        share, and those of `recipient`. Raises PayoutError P002 for somebody else who asks for a
        recipient's; StoreError.
        """
        everything = caller.grants["limit:view"] is Reach.ALL and caller.tenant is None
        if recipient is not None and not everything:
            text = f"limit:view of the role {caller.role} does not reach what others pay"
            raise PayoutError("P002", text, field="recipient")
        amounts = self._admission.amounts_for(caller)
        owner, now = (caller.tenant, caller.subject), await self._store.now()
        windows: list[SpendWindow] = []
        for currency in amounts:
            if everything:
                windows += shared_windows(self._spending, currency, now)
            windows += client_windows(self._spending, caller.role, owner, currency, now)
            if recipient is not None:
                windows += recipient_windows(self._spending, recipient, currency, now)
        used = await self._store.used([window.window_id for window in windows])
        return LimitReport(
            amounts, [(window, used.get(window.window_id, Used())) for window in windows]
        )
