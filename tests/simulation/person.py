"""The people who look after the router: one who knows what happened, and one who just clicks."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from models.chain import Hit
from models.payout import (
    TERMINAL,
    Payout,
    PayoutStatus,
    Resolution,
    all_attempts_unpaid,
    has_success,
)
from services.payout_router import PayoutRouter
from tests.simulation.clients import SomeHost, answer_of
from tests.simulation.oracle import OPERATOR, Oracle

ROUND_SECONDS = 3.0


class Person:
    """Does what only people may do. What the router refuses is not asked again and again."""

    def __init__(self, some_host: SomeHost, oracle: Oracle) -> None:
        self._some_host = some_host
        self._oracle = oracle
        self._asked_again: set[str] = set()

    async def look_after(self) -> None:
        """Decide rightly, round after round, whatever waits for a person."""
        while True:
            await self.explain_all()
            for payout in self._oracle.payouts():
                if payout.status is PayoutStatus.NEEDS_REVIEW:
                    await self._resolve(payout, self._right(payout))
            await asyncio.sleep(ROUND_SECONDS)

    async def explain_all(self) -> None:
        """Tie what a restored backup forgot to its payouts, and tell the thief's apart."""
        for transfer in self._oracle.open_unexplained():
            payout = self._oracle.remembered_payout_of(transfer.txid)
            if payout is None or not _may_be_of(payout, transfer.hit):
                await self._explain(transfer.txid, None)
            elif _shows(transfer.hit, payout):
                await self._explain(transfer.txid, payout.payout_id)
            else:
                # Paid, with an event that says otherwise: it cannot be linked, nor be paid again.
                await self._cancel(payout)

    async def click(self, draw: Random, *, in_review: bool) -> None:
        """Resolve some payout at random: one that waits for a person, or one that does not."""
        payouts = [
            payout
            for payout in self._oracle.payouts()
            if (payout.status is PayoutStatus.NEEDS_REVIEW) is in_review
        ]
        if payouts:
            await self._resolve(draw.choice(payouts), draw.choice([*Resolution]))

    def _right(self, payout: Payout) -> Resolution:
        if has_success(payout):
            return Resolution.COMPLETE
        if all_attempts_unpaid(payout) and payout.payout_id not in self._asked_again:
            self._asked_again.add(payout.payout_id)
            return Resolution.RETRY
        return Resolution.FAIL

    async def _resolve(self, payout: Payout, action: Resolution) -> None:
        name = payout.payout_id
        await self._ask(lambda router: router.resolve(OPERATOR, name, action, "looked"))

    async def _cancel(self, payout: Payout) -> None:
        name = payout.payout_id
        await self._ask(lambda router: router.cancel(OPERATOR, name, "paid already"))

    async def _explain(self, txid: str, payout_id: str | None) -> None:
        await self._ask(lambda router: router.explain(OPERATOR, txid, payout_id, "looked"))

    async def _ask(self, ask: Callable[[PayoutRouter], Awaitable[Any]]) -> None:
        """Ask once; who is refused, or gets no answer, looks again another time."""
        try:
            await answer_of(self._some_host, ask)
        except Exception:
            return


def _may_be_of(payout: Payout, hit: Hit) -> bool:
    """Whether a forgotten transaction paid a payout that can still be told so."""
    linked = payout.linked_hit is not None and payout.linked_hit.txid == hit.txid
    return hit.contract_ret == "SUCCESS" and (linked or payout.status not in TERMINAL)


def _shows(hit: Hit, payout: Payout) -> bool:
    """Whether a transaction's own events say that it paid what was asked for."""
    order = payout.order
    shown = [(transfer.recipient, transfer.amount) for transfer in hit.transfers]
    return shown == [(order.recipient_address, order.amount)]
