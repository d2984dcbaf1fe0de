"""The people who look after the router: one who knows what happened, and one who just clicks."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from random import Random
from typing import Any

from models.caller import Caller
from models.chain import Hit
from models.money import Currency
from models.pause import Activity, Pause
from models.payout import (
    TERMINAL,
    Payout,
    PayoutStatus,
    Resolution,
    all_attempts_unpaid,
    has_success,
)
from models.token import Target
from services.assembly import Services
from tests.simulation.clients import SomeHost, answer_of
from tests.simulation.oracle import OPERATOR, Oracle

ROUND_SECONDS = 3.0
LOOK_SECONDS = 0.1
LOOKS = 200


class Staff:
    """People who ask a replica, and are not told whether it was done when it crashes."""

    def __init__(self, some_host: SomeHost, oracle: Oracle) -> None:
        self._some_host = some_host
        self._oracle = oracle
        self._acts = count(1)

    async def _act(self, ask: Callable[[Services, str], Awaitable[Any]]) -> bool:
        """Do what the audit log must keep, for a reason of its own; whether it was done."""
        reason = f"{type(self).__name__} {next(self._acts)}"
        done = await self._ask(lambda services: ask(services, reason))
        if done:
            self._oracle.log.promised.add(reason)
        return done

    async def _ask(self, ask: Callable[[Services], Awaitable[Any]]) -> bool:
        """Ask once; who is refused, or gets no answer, looks again another time."""
        try:
            await answer_of(self._some_host, ask)
        except Exception:
            return False
        return True


class Person(Staff):
    """Does what only people may do. What the router refuses is not asked again and again."""

    def __init__(self, some_host: SomeHost, oracle: Oracle, wallets: Sequence[str]) -> None:
        super().__init__(some_host, oracle)
        self._asked_again: set[str] = set()
        self.dispatch_pauses: Sequence[Pause] = (
            *_pauses(Activity.DISPATCH),
            *(Pause(Activity.DISPATCH, wallet=wallet) for wallet in wallets),
        )
        self.pauses: Sequence[Pause] = (*self.dispatch_pauses, *_pauses(Activity.INTAKE))
        self.keeps: Pause | None = None
        """What stays paused for now, though the storm is over."""

    async def look_after(self) -> None:
        """Decide rightly, round after round, whatever waits for a person."""
        while True:
            await self.explain_all()
            for pause in self._oracle.paused(self.pauses):
                if pause != self.keeps:
                    await self.resume(pause)
            for payout in self._oracle.payouts():
                if payout.status is PayoutStatus.NEEDS_REVIEW and _undecided(payout):
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

    async def pause(self, pause: Pause) -> bool:
        """Stop something; whether that was answered for."""
        asked_at = asyncio.get_running_loop().time()
        done = await self._act(lambda s, why: s.control.pause(OPERATOR, pause, why))
        if done:
            self._oracle.was_stopped(pause.gate, asked_at)
        return done

    async def pause_midway(self, pause: Pause) -> None:
        """Stop something as soon as part of it is being built, if that is soon."""
        for _ in range(LOOKS):
            if self._oracle.builds(pause):
                await self.pause(pause)
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def resume(self, pause: Pause) -> None:
        """Let something go on that is paused."""
        await self._act(lambda s, why: s.control.resume(OPERATOR, pause, why))

    async def open_gate(self, name: str) -> None:
        """Open a gate, whatever closed it."""
        await self._act(lambda s, why: s.control.open_gate(OPERATOR, name, why))

    async def revoke(self, token: Caller, draw: Random) -> None:
        """Let a token count no more, or none of its subject."""
        subject = Target(subject=token.subject, tenant=token.tenant)
        target = draw.choice((subject, Target(token_id=token.token_id)))
        if await self._act(lambda s, why: s.tokens.revoke(OPERATOR, target, why)):
            self._oracle.was_revoked(target)

    def _right(self, payout: Payout) -> Resolution:
        if has_success(payout):
            return Resolution.COMPLETE
        if all_attempts_unpaid(payout) and payout.payout_id not in self._asked_again:
            self._asked_again.add(payout.payout_id)
            return Resolution.RETRY
        return Resolution.FAIL

    async def _resolve(self, payout: Payout, action: Resolution) -> None:
        name = payout.payout_id
        await self._ask(lambda s: s.router.resolve(OPERATOR, name, action, "looked"))

    async def _cancel(self, payout: Payout) -> None:
        name = payout.payout_id
        await self._ask(lambda s: s.router.cancel(OPERATOR, name, "paid already"))

    async def _explain(self, txid: str, payout_id: str | None) -> None:
        await self._ask(lambda s: s.router.explain(OPERATOR, txid, payout_id, "looked"))


def _undecided(payout: Payout) -> bool:
    """Whether no rule holds it, so that it is not for those who release and reject."""
    return payout.hold is None or has_success(payout)


def _pauses(what: Activity) -> Sequence[Pause]:
    return [Pause(what), *(Pause(what, currency=currency) for currency in Currency)]


def _may_be_of(payout: Payout, hit: Hit) -> bool:
    """Whether a forgotten transaction paid a payout that can still be told so."""
    linked = payout.linked_hit is not None and payout.linked_hit.txid == hit.txid
    return hit.contract_ret == "SUCCESS" and (linked or payout.status not in TERMINAL)


def _shows(hit: Hit, payout: Payout) -> bool:
    """Whether a transaction's own events say that it paid what was asked for."""
    order = payout.order
    shown = [(transfer.recipient, transfer.amount) for transfer in hit.transfers]
    return shown == [(order.recipient_address, order.amount)]
