"""Whoever decides about payouts, and keeps the lists: rightly, wrongly, twice, and about what is
their own."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from random import Random

from models.caller import Caller
from models.order import RouteName
from models.payout import Payout, PayoutStatus, has_success
from models.registry import AddressList
from services.assembly import Services
from tests.harness import SERVICE
from tests.simulation.person import LOOK_SECONDS, LOOKS, ROUND_SECONDS, Staff
from tests.simulation.policies import KYC_VALIDITY, MAKERS, RECIPIENTS


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

WAITING = (PayoutStatus.AWAITING_APPROVAL, PayoutStatus.NEEDS_REVIEW)


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

    async def _deny(self, address: str) -> None:
        denied = {address: "fraud"}
        await self._act(
            lambda s, why: s.compliance.put_listed(RIGHT[0], AddressList.DENY, denied, why)
        )

    def waits(self) -> bool:
        """Whether some payout waits for one of them."""
        return any(payout.status in WAITING for payout in self._oracle.payouts())

    def _some(self, draw: Random) -> Payout:
        """A payout; if there are any, one that waits for somebody."""
        payouts = self._oracle.payouts()
        waiting = [payout for payout in payouts if payout.status in WAITING]
        return draw.choice(waiting or payouts)

    async def _approve(self, caller: Caller, payout: Payout) -> None:
        name = payout.payout_id
        await self._ask(lambda s: s.router.approve(caller, name, "looked"))

    async def _release(self, caller: Caller, payout: Payout) -> None:
        name = payout.payout_id
        await self._ask(lambda s: s.router.release(caller, name, "looked"))
