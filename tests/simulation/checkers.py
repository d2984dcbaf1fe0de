"""Whoever decides about payouts, and keeps the lists: rightly, wrongly, twice, and about what is
their own."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any

from models.caller import Caller
from models.order import RouteName
from models.payout import Payout, PayoutStatus, Resolution, has_success
from models.registry import AddressList
from ports.store import PayoutQuery
from services.assembly import Services
from services.batches import BatchReport
from services.payout_router import PayoutRouter
from tests.harness import SERVICE
from tests.simulation.person import LOOK_SECONDS, LOOKS, ROUND_SECONDS, Staff
from tests.simulation.policies import KYC_VALIDITY, MAKERS, RECIPIENTS, TENANTS


def _as(subject: str, role: str) -> Caller:
    return replace(SERVICE, subject=subject, role=role)


RIGHT = (_as("ada", "ADMIN"), _as("bob", "ADMIN"))
"""They may decide about everything, and are two."""

CHECKERS = (
    *RIGHT,
    _as("ada", "SUPER_ADMIN"),
    _as("ann", "APPROVER"),
    _as("eve", "USER"),
    *(replace(maker, role="ADMIN") for maker in MAKERS),
)
"""Some of them may not, are one person in two roles, or have made the payout themselves."""

SECONDS = 20.0
"""So long a decision about a batch may take."""

REACHES: Sequence[Callable[[PayoutRouter, Caller, Payout, str], Awaitable[Any]]] = (
    lambda router, who, payout, why: router.get(who, payout.payout_id),
    lambda router, who, payout, why: router.cancel(who, payout.payout_id, why),
    lambda router, who, payout, why: router.approve(who, payout.payout_id, why),
    lambda router, who, payout, why: router.reject(who, payout.payout_id, why),
    lambda router, who, payout, why: router.release(who, payout.payout_id, why),
    lambda router, who, payout, why: router.choose_route(who, payout.payout_id, RouteName.V0, why),
    lambda router, who, payout, why: router.resolve(who, payout.payout_id, Resolution.FAIL, why),
    lambda router, who, payout, why: router.batch(who, payout.batch_id or "batch_"),
    lambda router, who, payout, why: router.approve_batch(
        who, payout.batch_id or "batch_", why, SECONDS
    ),
    lambda router, who, payout, why: router.reject_batch(
        who, payout.batch_id or "batch_", why, SECONDS
    ),
)
"""All that can be done to a payout, by its id or by that of its batch."""

WAITING = (PayoutStatus.AWAITING_APPROVAL, PayoutStatus.NEEDS_REVIEW)


async def _approve_batch(caller: Caller, batch_id: str, services: Services) -> BatchReport:
    return await services.router.approve_batch(caller, batch_id, "looked", SECONDS)


class Checkers(Staff):
    """Approve, reject, release and choose routes; list recipients and verify them."""

    async def look_after(self) -> None:
        """Decide whatever waits, round after round, so that all of it comes to an end."""
        while True:
            for payout in self._oracle.payouts():
                if payout.status is PayoutStatus.AWAITING_APPROVAL:
                    for caller in RIGHT:
                        await self._approve(caller, payout)
                if payout.hold is not None and not has_success(payout):
                    await self._release(RIGHT[0], payout)
            await asyncio.sleep(ROUND_SECONDS)

    async def approve(self, draw: Random) -> None:
        """Several people consent to something, whether or not they may."""
        payout = self._some(draw)
        for caller in draw.choices(CHECKERS, k=3):
            await self._approve(caller, payout)

    async def approve_batch(self, draw: Random) -> None:
        """Several people consent to a whole batch, whether or not they may."""
        batch_id = self._some_batch(draw)
        for caller in draw.choices(CHECKERS, k=3):
            await self._ask(partial(_approve_batch, caller, batch_id))

    async def reject_batch(self, draw: Random) -> None:
        """Somebody refuses a whole batch."""
        caller, batch_id = draw.choice(CHECKERS), self._some_batch(draw)
        await self._ask(lambda s: s.router.reject_batch(caller, batch_id, "no", SECONDS))

    async def reject(self, draw: Random) -> None:
        """Somebody refuses something."""
        caller, name = draw.choice(CHECKERS), self._some(draw).payout_id
        await self._ask(lambda s: s.router.reject(caller, name, "no"))

    async def release(self, draw: Random) -> None:
        """Somebody lets something pass."""
        await self._release(draw.choice(CHECKERS), self._some(draw))

    async def reroute(self, draw: Random) -> None:
        """Somebody chooses another route for any payout."""
        caller, route = draw.choice(CHECKERS), draw.choice([*RouteName])
        name = draw.choice(self._oracle.payouts()).payout_id
        await self._ask(lambda s: s.router.choose_route(caller, name, route, "it is better"))

    async def list_one(self, draw: Random) -> None:
        """Somebody puts a recipient on the deny list, or takes it off."""
        address, deny = draw.choice(RECIPIENTS), AddressList.DENY

        async def edit(services: Services, why: str) -> None:
            if draw.random() < 0.5:
                await services.compliance.put_listed(RIGHT[0], deny, {address: "fraud"}, why)
            else:
                await services.compliance.remove_listed(RIGHT[0], deny, address, why)

        await self._act(edit)

    async def deny_midway(self) -> None:
        """Somebody denies a recipient as soon as an attempt for it is being built, if that is
        soon."""
        for _ in range(LOOKS):
            for payout in self._oracle.payouts():
                if self._oracle.is_built(payout):
                    await self._deny(payout.order.recipient_address)
                    return
            await asyncio.sleep(LOOK_SECONDS)

    async def verify(self, draw: Random) -> None:
        """Somebody verifies a recipient, or finds that it was not verified."""
        address, level = draw.choice(RECIPIENTS[:3]), draw.choice((0, *KYC_VALIDITY))
        ago = timedelta(seconds=draw.uniform(0, 20))

        async def edit(services: Services, why: str) -> None:
            if level:
                at = self._oracle.now() - ago
                await services.compliance.put_kyc(RIGHT[1], address, level, at, why)
            else:
                await services.compliance.remove_kyc(RIGHT[1], address, why)

        await self._act(edit)

    async def trespass(self, draw: Random) -> None:
        """Somebody of a tenant reaches for what is another's, and looks around."""
        stranger = replace(draw.choice(RIGHT), tenant=draw.choice(TENANTS[1:]))
        theirs = [each for each in self._oracle.payouts() if each.tenant != stranger.tenant]
        if theirs:
            payout = draw.choice(theirs)
            reach, why = draw.choice(REACHES), "it is mine"
            if await self._ask(lambda s: reach(s.router, stranger, payout, why)):
                self._oracle.breach(f"{stranger.name} reached {payout.payout_id}")
        await self._ask(lambda s: self._look_around(s, stranger))

    async def _look_around(self, services: Services, stranger: Caller) -> None:
        seen = await services.router.list(stranger, PayoutQuery(), 1_000)
        totals = await services.router.stats(stranger)
        home = [each for each in self._oracle.payouts() if each.tenant == stranger.tenant]
        foreign = {each.payout_id for each in seen} - {each.payout_id for each in home}
        if foreign or sum(total.count for total in totals) > len(home):
            self._oracle.breach(f"{stranger.name} saw {foreign}, and of all {totals}")

    async def _deny(self, address: str) -> None:
        denied = {address: "fraud"}
        await self._act(
            lambda s, why: s.compliance.put_listed(RIGHT[0], AddressList.DENY, denied, why)
        )

    def waits(self, *, of_batches: bool) -> bool:
        """Whether some payout (of a batch) waits for one of them."""
        return any(
            payout.status in WAITING and (payout.batch_id is not None or not of_batches)
            for payout in self._oracle.payouts()
        )

    def _some(self, draw: Random) -> Payout:
        """A payout; if there are any, one that waits for somebody."""
        payouts = self._oracle.payouts()
        waiting = [payout for payout in payouts if payout.status in WAITING]
        return draw.choice(waiting or payouts)

    def _some_batch(self, draw: Random) -> str:
        """A batch that waits for somebody."""
        payouts = self._oracle.payouts()
        waiting = {p.batch_id for p in payouts if p.status in WAITING and p.batch_id is not None}
        return draw.choice(sorted(waiting))

    async def _approve(self, caller: Caller, payout: Payout) -> None:
        name = payout.payout_id
        await self._ask(lambda s: s.router.approve(caller, name, "looked"))

    async def _release(self, caller: Caller, payout: Payout) -> None:
        name = payout.payout_id
        await self._ask(lambda s: s.router.release(caller, name, "looked"))
