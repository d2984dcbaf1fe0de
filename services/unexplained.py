"""Transfers that left our wallets and that no payout knows: a stolen key, or a restored backup.

Dispatch stays closed while one is open. A person ties it to its payout, or declares it known, which
is noted for the audit log first. Then the tie is claimed on the transfer, so that one transfer can
never complete two payouts, and a crash at any point leaves dispatch closed and the same call to be
repeated.
"""

from collections.abc import Sequence
from dataclasses import replace

from models.caller import Caller
from models.chain import Hit
from models.errors import PayoutError, Reason
from models.payout import TERMINAL, Payout, PayoutStatus, all_attempts_unpaid, check_move, move
from ports.store import PayoutStore, Unexplained
from services.acts import Acts
from services.attempts import AttemptBuilder


class Explaining:
    """Lists and explains such transfers."""

    def __init__(self, store: PayoutStore, builder: AttemptBuilder, acts: Acts) -> None:
        self._store = store
        self._acts = acts
        self._builder = builder

    async def list(self, *, only_open: bool, limit: int) -> Sequence[Unexplained]:
        """The transfers, oldest first."""
        return await self._store.unexplained(only_open=only_open, limit=limit)

    async def explain(
        self, caller: Caller, txid: str, payout_id: str | None, note: str
    ) -> Unexplained:
        """Tie a transfer to the payout that it paid (which completes), or to none.

        Raises PayoutError P010 (no such transfer), P501 (no such payout), P500 (tied already, or
        it is not what that payout asks for).
        """
        found = await self._find(txid)
        if found.explained_at is not None and found.payout_id == payout_id:
            return found
        await self._check_free(found, payout_id)
        payout = None if payout_id is None else await self._payable(payout_id, found.hit)
        await self._acts.note(
            caller,
            "unexplained:explain",
            txid,
            reason=note,
            before=_tied_to(found.payout_id) if found.explained_by else "unexplained",
            after=_tied_to(payout_id),
        )
        if not await self._store.claim_unexplained(found, payout_id, caller.name, note):
            raise PayoutError("P500", "this transfer is explained otherwise already")
        if payout is not None and payout.status is not PayoutStatus.COMPLETED:
            change = move(
                payout,
                PayoutStatus.COMPLETED,
                by=caller.name,
                request_id=caller.request_id,
                why=Reason(None, f"paid by {txid}, which had been forgotten: {note}"),
                fields={"linked_hit": found.hit},
            )
            if not await self._store.apply([change]):
                raise PayoutError("P500", "the payout changed meanwhile; look again")
        await self._store.close_unexplained(txid)
        return await self._find(txid)

    async def _check_free(self, found: Unexplained, payout_id: str | None) -> None:
        """Refuse a transfer that an earlier call tied to another payout, unless that payout has
        ended without it: then the tie can never be completed."""
        if found.explained_by is None or found.payout_id == payout_id:
            return
        tied = None if found.payout_id is None else await self._store.get(found.payout_id)
        if tied is None or tied.status not in TERMINAL or is_linked(tied, found.txid):
            raise PayoutError("P500", "this transfer is explained otherwise already")

    async def _find(self, txid: str) -> Unexplained:
        found = await self._store.find_unexplained(txid)
        if found is None:
            raise PayoutError("P010", "no unexplained transfer has this txid", field="txid")
        return found

    async def _payable(self, payout_id: str, hit: Hit) -> Payout:
        payout = await self._store.get(payout_id)
        if payout is None:
            raise PayoutError("P501", "there is no such payout", field="payout_id")
        if is_linked(payout, hit.txid):
            return payout  # an earlier call came this far
        check_move(payout.status, PayoutStatus.COMPLETED)
        wanted = replace(self._builder.transfer(payout), owner=hit.owner)
        same_asset = [t for t in hit.transfers if t.contract == wanted.contract]
        if hit.contract_ret != "SUCCESS" or same_asset != [wanted]:
            raise PayoutError("P500", "the transfer is not what this payout asks for")
        if not all_attempts_unpaid(payout):
            raise PayoutError("P500", "this payout has an attempt that is live or paid")
        return payout


def _tied_to(payout_id: str | None) -> str:
    """What a transfer is declared to be, as the audit log keeps it."""
    return "known" if payout_id is None else payout_id


def is_linked(payout: Payout, txid: str) -> bool:
    """Whether this transfer was declared to be the payout's."""
    return payout.linked_hit is not None and payout.linked_hit.txid == txid
