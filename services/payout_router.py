"""The façade: everything that the HTTP edge can ask for."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from models.batch import NewBatch
from models.caller import Caller
from models.errors import PayoutError, Reason
from models.order import NewPayout, Order, RouteName
from models.payout import (
    Change,
    Payout,
    PayoutStatus,
    Resolution,
    all_attempts_unpaid,
    has_success,
    move,
    paid_hit,
)
from models.permission import Reach
from models.routes import Strategy
from ports.signals import Wakeups
from ports.store import PayoutQuery, PayoutStore, Scope, StatusTotal, Unexplained
from services.approving import Approving
from services.batches import Batches, BatchReport
from services.changing import Changing
from services.intake import Created, Intake
from services.quoting import LimitReport, Quote, Quoting, RouteReport
from services.rerouting import Rerouting
from services.unexplained import Explaining

__all__ = ["Created", "PayoutRouter"]

OUTCOMES = {
    Resolution.RETRY: PayoutStatus.PENDING,
    Resolution.COMPLETE: PayoutStatus.COMPLETED,
    Resolution.FAIL: PayoutStatus.FAILED,
}


class PayoutRouter:
    """Accepts, shows, cancels and resolves payouts for a caller, within the caller's scope."""

    def __init__(
        self,
        *,
        store: PayoutStore,
        intake: Intake,
        changing: Changing,
        approving: Approving,
        batches: Batches,
        rerouting: Rerouting,
        quoting: Quoting,
        explaining: Explaining,
        wakeups: Wakeups,
        newest_seen: Callable[[], int],
    ) -> None:
        self._store = store
        self._newest_seen = newest_seen
        self._intake = intake
        self._changing = changing
        self._approving = approving
        self._batches = batches
        self._rerouting = rerouting
        self._quoting = quoting
        self._explaining = explaining
        self._wakeups = wakeups

    async def create(self, caller: Caller, request: NewPayout) -> Created:
        """Accept a payout; see `services.intake.Intake.create`."""
        caller.require("payout:create")
        return await self._intake.create(caller, request)

    async def create_batch(self, caller: Caller, request: NewBatch, seconds: float) -> BatchReport:
        """Accept several payouts; see `services.batches.Batches.create`."""
        caller.require("batch:create")
        caller.require("payout:create")
        return await self._batches.create(caller, request, seconds)

    async def get(self, caller: Caller, payout_id: str) -> Payout:
        """One payout. Raises PayoutError P501 when there is none, or it is a stranger's."""
        return await self._changing.find(caller, payout_id, "payout:view")

    async def list(self, caller: Caller, query: PayoutQuery, limit: int) -> Sequence[Payout]:
        """A page of the caller's payouts, newest first."""
        caller.require("payout:list")
        return await self._store.list(replace(query, scope=scope_of(caller, "payout:list")), limit)

    async def stats(self, caller: Caller) -> Sequence[StatusTotal]:
        """Counts and sums of the caller's payouts."""
        caller.require("payout:stats")
        return await self._store.totals(scope_of(caller, "payout:stats"))

    async def cancel(self, caller: Caller, payout_id: str, reason: str | None) -> Payout:
        """Cancel a payout that has no live attempt. Cancelling it again is harmless.

        Raises PayoutError P501, P502 (completed), P500 (an attempt is live, or it has ended).
        """

        def decide(payout: Payout) -> Change | None:
            if payout.status is PayoutStatus.CANCELLED:
                return None
            if payout.status is PayoutStatus.COMPLETED:
                raise PayoutError("P502", "a completed payout cannot be cancelled")
            if has_success(payout):
                raise PayoutError("P500", "money moved for this payout; only resolve can end it")
            why = None if reason is None else Reason(None, reason)
            return move(
                payout,
                PayoutStatus.CANCELLED,
                by=caller.name,
                request_id=caller.request_id,
                why=why,
            )

        return await self._changing.change(caller, payout_id, "payout:cancel", decide)

    async def resolve(
        self, caller: Caller, payout_id: str, action: Resolution, reason: str
    ) -> Payout:
        """A person's decision on a payout in `needs_review`.

        `retry` needs every attempt proven unpaid; `complete` and `fail` are final, and keep the
        limits' reservation where money moved. Raises PayoutError P501, P500.
        """

        def decide(payout: Payout) -> Change:
            if payout.status is not PayoutStatus.NEEDS_REVIEW:
                raise PayoutError("P500", f"a payout that is {payout.status} needs no review")
            if payout.hold is not None and not has_success(payout):
                text = f"{', '.join(payout.hold.rules)} holds it: release or reject it"
                raise PayoutError("P500", text)
            if action is Resolution.RETRY and not all_attempts_unpaid(payout):
                raise PayoutError("P500", "an attempt of this payout is not proven unpaid")
            fields = {"counted_deaths": 0, "refusals": 0} if action is Resolution.RETRY else {}
            return move(
                payout,
                OUTCOMES[action],
                by=caller.name,
                request_id=caller.request_id,
                why=Reason(None, reason),
                fields=fields,
                due_in_seconds=0.0,
            )

        payout = await self._changing.change(caller, payout_id, "payout:resolve", decide)
        await self._wakeups.signal()
        return payout

    async def approve(self, caller: Caller, payout_id: str, comment: str) -> Payout:
        """Consent to a payout; see `services.approving.Approving.approve`."""
        return await self._approving.approve(caller, payout_id, comment)

    async def reject(self, caller: Caller, payout_id: str, comment: str) -> Payout:
        """End a payout that waits for a person; see `services.approving.Approving.reject`."""
        return await self._approving.reject(caller, payout_id, comment)

    async def batch(self, caller: Caller, batch_id: str) -> BatchReport:
        """One batch. Raises PayoutError P010 where none of it is within the caller's reach."""
        caller.require("batch:view")
        return await self._batches.get(scope_of(caller, "batch:view"), batch_id)

    async def approve_batch(
        self, caller: Caller, batch_id: str, comment: str, seconds: float
    ) -> BatchReport:
        """Consent to what awaits it of a batch; see `services.batches.Batches.approve`."""
        caller.require("payout:approve")
        scope = scope_of(caller, "payout:approve")
        return await self._batches.approve(caller, scope, batch_id, comment, seconds)

    async def reject_batch(
        self, caller: Caller, batch_id: str, comment: str, seconds: float
    ) -> BatchReport:
        """End what awaits approval of a batch; see `services.batches.Batches.reject`."""
        caller.require("payout:reject")
        scope = scope_of(caller, "payout:reject")
        return await self._batches.reject(caller, scope, batch_id, comment, seconds)

    async def release(self, caller: Caller, payout_id: str, comment: str) -> Payout:
        """Let a payout pass what holds it; see `services.approving.Approving.release`."""
        return await self._approving.release(caller, payout_id, comment)

    async def choose_route(
        self, caller: Caller, payout_id: str, route: RouteName, reason: str
    ) -> Payout:
        """Give a payout another route; see `services.rerouting.Rerouting.choose`."""
        return await self._rerouting.choose(caller, payout_id, route, reason)

    async def quote(self, caller: Caller, order: Order) -> Quote:
        """What would become of an order; see `services.quoting.Quoting.quote`."""
        caller.require("payout:quote")
        return await self._quoting.quote(caller, order)

    async def routes(self, caller: Caller) -> Sequence[RouteReport]:
        """The routes and how they stand."""
        caller.require("route:view")
        return await self._quoting.routes()

    @property
    def strategy(self) -> Strategy:
        """By which merits routes are compared."""
        return self._quoting.strategy

    async def limits(self, caller: Caller, recipient: str | None) -> LimitReport:
        """The limits that hold for the caller now; see `services.quoting.Quoting.limits`."""
        caller.require("limit:view")
        return await self._quoting.limits(caller, recipient)

    async def unexplained(
        self, caller: Caller, only_open: bool, limit: int
    ) -> Sequence[Unexplained]:
        """Transfers of our wallets that no payout knows."""
        caller.require("unexplained:view")
        return await self._explaining.list(only_open=only_open, limit=limit)

    async def explain(
        self, caller: Caller, txid: str, payout_id: str | None, note: str
    ) -> Unexplained:
        """Tie such a transfer to its payout, or declare it known."""
        caller.require("unexplained:explain")
        return await self._explaining.explain(caller, txid, payout_id, note)

    def confirmations(self, payout: Payout) -> int:
        """Blocks from the one that paid up to the newest seen; 0 while it is in none."""
        hit = paid_hit(payout)
        return 0 if hit is None else max(1, self._newest_seen() - hit.block.number + 1)


def scope_of(caller: Caller, action: str) -> Scope:
    """The payouts that an action of the caller reaches, as a filter."""
    reach = caller.grants[action]
    return Scope(
        client=None if reach is Reach.ALL else caller.subject,
        node_id=caller.node_id if reach is Reach.NODE else None,
        tenant=caller.tenant,
        any_tenant=reach is Reach.ALL and caller.tenant is None,
    )
