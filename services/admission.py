"""Whether an order is taken, and how: every check before anything is reserved or kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from models.address import ZERO_ADDRESS
from models.caller import Caller
from models.decision import Decision
from models.errors import PayoutError
from models.limits import AmountLimits, check_amount
from models.money import Currency
from models.order import Order, PayoutType, RouteChoice, RouteName
from models.pause import Activity
from models.spending import (
    Spending,
    SpendPolicy,
    SpendWindow,
    check_client_maximum,
    client_maximum,
    spend_windows,
)
from ports.store import Gate, PayoutStore
from services.deciding import Deciding
from services.pauses import described, pauses_in


@dataclass(frozen=True, slots=True)
class Judged:
    """What was decided about an order, and when by the store's clock."""

    decision: Decision
    now: datetime


class Admission:
    """Judges orders; a refusal by rule or route is in the decision, others are raised."""

    def __init__(
        self,
        *,
        store: PayoutStore,
        deciding: Deciding,
        amounts: Mapping[Currency, AmountLimits],
        spending: SpendPolicy,
        forbidden: Mapping[str, str],
    ) -> None:
        """`forbidden`: addresses that are no recipients, and what they are."""
        self._store = store
        self._deciding = deciding
        self._amounts = amounts
        self._spending = spending
        self._forbidden = {ZERO_ADDRESS: "the zero address", **forbidden}

    def amounts_for(self, caller: Caller) -> Mapping[Currency, AmountLimits]:
        """What one payout of this caller may be, for each currency that is paid here."""
        found = {}
        for currency, limits in self._amounts.items():
            most = client_maximum(self._spending, caller.role, currency)
            maximum = limits.maximum if most is None else min(most, limits.maximum)
            found[currency] = AmountLimits(limits.minimum, maximum)
        return found

    async def judge(self, caller: Caller, order: Order, batch_items: int = 1) -> Judged:
        """Decide about an order of this caller, one of so many that come in the same request.

        Raises PayoutError P002 (another node's; urgent, for a role that may not), P017 (paused),
        P100, P101, P102, P106, P503 and P003 for times that cannot be; StoreError.
        """
        caller.require_node(order.node_id, "payout:create")
        if order.route is RouteChoice.DIRECT or order.payout_type is PayoutType.EMERGENCY:
            caller.require("payout:urgent")
        gates = await self._store.gates()
        check_open(gates, order.currency)
        now = await self._store.now()
        self._check(caller, order)
        decision = await self._deciding.decide(caller, order, gates, now, batch_items)
        return Judged(decision, now)

    def windows(
        self, caller: Caller, order: Order, route: RouteName, now: datetime
    ) -> Sequence[SpendWindow]:
        """The limit windows that the order would count in on that route."""
        spending = Spending(
            currency=order.currency,
            route=route,
            tenant=caller.tenant,
            subject=caller.subject,
            role=caller.role,
            recipient=order.recipient_address,
        )
        return spend_windows(self._spending, spending, now)

    def wallet_of(self, route: RouteName) -> str:
        """The wallet that pays on a route."""
        return self._deciding.wallet_of(route)

    def _check(self, caller: Caller, order: Order) -> None:
        limits = self._amounts.get(order.currency)
        if limits is None:
            raise PayoutError("P106", f"{order.currency} is not paid here", field="currency")
        refused = self._forbidden.get(order.recipient_address)
        if refused is not None:
            raise PayoutError("P100", f"the recipient is {refused}", field="recipient_address")
        check_amount(limits, order.currency, order.amount)
        check_client_maximum(self._spending, caller.role, order.currency, order.amount)


def check_open(gates: Sequence[Gate], currency: Currency) -> None:
    """Raise PayoutError P017 while a person has stopped the intake of that currency."""
    for pause, gate in pauses_in(gates).items():
        if pause.what is Activity.INTAKE and pause.currency in (None, currency):
            raise PayoutError(
                "P017",
                described(pause, gate),
                paused=pause.target,
                since=f"{gate.closed_at:%Y-%m-%dT%H:%M:%SZ}",
                reason=gate.reason,
            )
