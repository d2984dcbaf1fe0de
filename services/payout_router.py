"""The façade: everything that the HTTP edge can ask for."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from models.caller import Caller
from models.errors import PayoutError, Reason
from models.payout import (
    TERMINAL,
    Change,
    NewPayout,
    Payout,
    PayoutStatus,
    Resolution,
    all_attempts_unpaid,
    has_success,
    move,
    paid_hit,
)
from models.permission import Reach
from ports.signals import Wakeups
from ports.store import PayoutQuery, PayoutStore, Scope, StatusTotal, StoreError, Unexplained
from services.intake import Created, Intake
from services.limits import LimitKeeper
from services.unexplained import Explaining

__all__ = ["Created", "PayoutRouter"]

log = structlog.get_logger(__name__)

CHANGE_TRIES = 5
"""A payout that changes under a call is read and judged anew this often."""


OUTCOMES = {
    Resolution.RETRY: PayoutStatus.PENDING,
    Resolution.COMPLETE: PayoutStatus.COMPLETED,
    Resolution.FAIL: PayoutStatus.FAILED,
}

Decision = Callable[[Payout], Change | None]
"""What to do with a payout as it is now; None if nothing is left to do."""


class PayoutRouter:
    """Accepts, shows, cancels and resolves payouts for a caller, within the caller's scope."""

    def __init__(
        self,
        *,
        store: PayoutStore,
        intake: Intake,
        limits: LimitKeeper,
        explaining: Explaining,
        wakeups: Wakeups,
        newest_seen: Callable[[], int],
    ) -> None:
        self._store = store
        self._newest_seen = newest_seen
        self._intake = intake
        self._limits = limits
        self._explaining = explaining
        self._wakeups = wakeups

    async def create(self, caller: Caller, request: NewPayout) -> Created:
        """Accept a payout; see `services.intake.Intake.create`."""
        caller.require("payout:create")
        return await self._intake.create(caller, request)

    async def get(self, caller: Caller, payout_id: str) -> Payout:
        """One payout. Raises PayoutError P501 when there is none, or it is a stranger's."""
        return await self._visible(caller, payout_id, "payout:view")

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

        return await self._change(caller, payout_id, "payout:cancel", decide)

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

        payout = await self._change(caller, payout_id, "payout:resolve", decide)
        await self._wakeups.signal()
        return payout

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

    async def _visible(self, caller: Caller, payout_id: str, action: str) -> Payout:
        """The payout, if the caller may do this to it. Raises PayoutError P002, P501."""
        caller.require(action)
        payout = await self._store.get(payout_id)
        if payout is None or not any(
            caller.reaches(payout, each) for each in (action, "payout:view")
        ):
            raise PayoutError("P501", "there is no such payout", field="payout_id")
        if not caller.reaches(payout, action):
            raise PayoutError("P002", f"{action} of the role {caller.role} does not reach it")
        return payout

    async def _change(
        self, caller: Caller, payout_id: str, action: str, decide: Decision
    ) -> Payout:
        """Read, decide, write guarded; again when the payout changed in between."""
        for _ in range(CHANGE_TRIES):
            payout = await self._visible(caller, payout_id, action)
            change = decide(payout)
            if change is None or await self._store.apply([change]):
                return await self._ended(await self._visible(caller, payout_id, action))
        raise PayoutError("P701", "the payout keeps changing; try again")

    async def _ended(self, payout: Payout) -> Payout:
        """Give back at once what an ended payout reserved; housekeeping does it otherwise."""
        if payout.status in TERMINAL:
            try:
                await self._limits.finish([payout])
            except StoreError as error:
                log.warning("reservation not finished", error=str(error))
        return payout


def scope_of(caller: Caller, action: str) -> Scope:
    """The payouts that an action of the caller reaches, as a filter."""
    reach = caller.grants[action]
    return Scope(
        client=None if reach is Reach.ALL else caller.subject,
        node_id=caller.node_id if reach is Reach.NODE else None,
        tenant=caller.tenant,
        any_tenant=reach is Reach.ALL and caller.tenant is None,
    )
