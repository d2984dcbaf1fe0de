"""What people decide about payouts that wait for them: approve, reject, release from a hold."""

from dataclasses import replace

from models.approval import approve, check_decider, complete, restarted
from models.caller import Caller
from models.errors import PayoutError, Reason
from models.payout import Change, Payout, PayoutStatus, has_success, move, next_status, told
from ports.signals import Wakeups
from ports.store import PayoutStore
from services.changing import Changing


class Approving:
    """Each decision is one guarded write; maker and checker are never the same person."""

    def __init__(self, store: PayoutStore, changing: Changing, wakeups: Wakeups) -> None:
        self._store = store
        self._changing = changing
        self._wakeups = wakeups

    async def approve(self, caller: Caller, payout_id: str, comment: str) -> Payout:
        """Give consent to a payout in `awaiting_approval`; with the last one needed it goes on.

        Raises PayoutError P500 (it waits for no approval, or has this person's), P002 (the maker,
        or a role that is not asked), P603 (too late), P501, P701.
        """
        now = await self._store.now()

        def decide(payout: Payout) -> Change:
            if payout.status is not PayoutStatus.AWAITING_APPROVAL or payout.approval is None:
                raise PayoutError("P500", f"a payout that is {payout.status} waits for no approval")
            given = approve(
                payout.approval,
                maker=payout.client,
                subject=caller.subject,
                role=caller.role,
                comment=comment,
                now=now,
            )
            fields = {"approval": given}
            why = Reason(None, comment)
            if not complete(given):
                return told(payout, "approved", why=why, fields=fields, **caller.signature)
            to = next_status(replace(payout, approval=given), now)
            return move(payout, to, why=why, fields=fields, due_in_seconds=0.0, **caller.signature)

        payout = await self._changing.change(caller, payout_id, "payout:approve", decide)
        await self._wakeups.signal()
        return payout

    async def reject(self, caller: Caller, payout_id: str, comment: str) -> Payout:
        """End a payout that waits for approval, or that a rule holds. Raises as `approve` does."""

        def decide(payout: Payout) -> Change:
            roles = _deciders(payout)
            _check_unpaid(payout)
            check_decider(roles, maker=payout.client, subject=caller.subject, role=caller.role)
            why = Reason(None, comment)
            return move(payout, PayoutStatus.REJECTED, why=why, **caller.signature)

        return await self._changing.change(caller, payout_id, "payout:reject", decide)

    async def release(self, caller: Caller, payout_id: str, comment: str) -> Payout:
        """Let a payout pass the rules that hold it; what else it waits for, it waits for now.

        Raises PayoutError P500 (no rule holds it), P002, P501, P701.
        """
        now = await self._store.now()

        def decide(payout: Payout) -> Change:
            if payout.status is not PayoutStatus.NEEDS_REVIEW or payout.hold is None:
                raise PayoutError("P500", "no rule holds this payout")
            hold = payout.hold
            _check_unpaid(payout)
            check_decider(hold.roles, maker=payout.client, subject=caller.subject, role=caller.role)
            approval = payout.approval and restarted(payout.approval, now)
            fields = {
                "hold": None,
                "released": (*payout.released, *hold.rules),
                "approval": approval,
            }
            return move(
                payout,
                next_status(replace(payout, hold=None), now),
                why=Reason(None, comment),
                fields=fields,
                due_in_seconds=0.0,
                **caller.signature,
            )

        payout = await self._changing.change(caller, payout_id, "payout:release", decide)
        await self._wakeups.signal()
        return payout


def _check_unpaid(payout: Payout) -> None:
    """Raise PayoutError P500 where an attempt that was taken for dead has paid."""
    if has_success(payout):
        raise PayoutError("P500", "money moved for this payout; only resolve can end it")


def _deciders(payout: Payout) -> tuple[str, ...]:
    """The roles that may reject a payout where it stands. Raises PayoutError P500."""
    if payout.status is PayoutStatus.AWAITING_APPROVAL and payout.approval is not None:
        return payout.approval.roles
    if payout.status is PayoutStatus.NEEDS_REVIEW and payout.hold is not None:
        return payout.hold.roles
    raise PayoutError("P500", f"a payout that is {payout.status} waits for nobody's decision")
